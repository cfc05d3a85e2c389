"""Frames of pixels: one row per picture, one column for the label and one for each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_ganaccel.data.arrays import RawData, combine_arrays
from keras_ganaccel.data.labels import named
from keras_ganaccel.data.words import LABEL_WORDS
from keras_ganaccel.errors import InvalidInputError


def is_frame(value: Any) -> bool:
    """Tells whether something is a pandas frame or works like one."""
    return all(hasattr(value, name) for name in ("columns", "dtypes", "drop", "iloc"))


def read_frame(frame: Any, target: str | None, name: str) -> RawData:
    """Reads a pandas frame whose columns are a label and the pixels of square grey pictures.

    Args:
        frame: Such as MNIST's usual CSV file: ``label, pixel0, ..., pixel783``.
        target: The column of labels; None takes the one that is called so.
        name: Of the data set.

    Returns:
        The raw data.

    Raises:
        InvalidInputError: If the label's column is not clear, or the others are no pixels.
    """
    columns = [str(column) for column in frame.columns]
    notes: tuple[str, ...] = ()
    if target is None:
        target, notes = _label_column(columns)
    if target not in columns:
        raise InvalidInputError(
            f"`target` must be a column of the frame. Received: {target!r}. "
            f"It has {named(columns, most=3)}."
        )
    place = columns.index(target)
    pixels = frame.iloc[:, [number for number in range(len(columns)) if number != place]]
    text = [
        str(column)
        for column, dtype in zip(pixels.columns, pixels.dtypes, strict=True)
        if getattr(dtype, "kind", "O") not in "biuf"
    ]
    if text:
        raise InvalidInputError(
            "A frame of pictures must hold one number per pixel beside the label. Received: the "
            f"columns {named(text)} of other kinds. Drop them; tables are not supported."
        )
    values = np.asarray(pixels)
    return combine_arrays(
        [values, frame.iloc[:, place]], ["pixel columns", target], name, notes=notes
    )


def _label_column(columns: list[str]) -> tuple[str, tuple[str, ...]]:
    found = [column for column in columns if column.strip().lower() in LABEL_WORDS]
    if len(found) != 1:
        received = named(found) if found else f"{len(columns)} columns and no such name"
        raise InvalidInputError(
            f"A frame must say which column holds the labels. Received: {received}. "
            "Pass target='...'."
        )
    return found[0], (f"The column {found[0]!r} was taken as the label.",)
