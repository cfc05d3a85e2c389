"""Frames and .csv files of pixels: a row per picture, a column for the label and for each pixel."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.data.labels import named
from keras_ganaccel.data.vocabulary import LABEL_WORDS
from keras_ganaccel.errors import InvalidInputError, MissingFileError, reason_of
from keras_ganaccel.modality.image.arrays import are_bytes, combine_arrays
from keras_ganaccel.modality.protocol import RawData

SUFFIXES = {".csv": ",", ".tsv": "\t"}


def read_frame(frame: Any, target: str | None, name: str) -> RawData:
    """Reads a pandas frame whose columns are a label and the pixels of square grey pictures.

    Args:
        frame: Such as MNIST's usual CSV file: ``label, pixel0, ..., pixel783``.
        target: The column of labels; None takes the one that is called so.
        name: The name of the data set.

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
            f"columns {named(text)} of other kinds. Of a table name the column of labels: "
            "target='...' (--target)."
        )
    values = np.asarray(pixels)
    return combine_arrays(
        [values, frame.iloc[:, place]], ["pixel columns", target], name, notes=notes
    )


def read_text(path: Path) -> RawData:
    """Reads a .csv or .tsv file of labelled pixels, such as ``label,pixel0,...,pixel783``.

    Args:
        path: The file, with a header that names the column of labels.

    Returns:
        The raw data.

    Raises:
        MissingFileError: If the file cannot be read.
        InvalidInputError: If its columns are not a label and the pixels of square grey pictures.
    """
    delimiter = SUFFIXES[path.suffix.lower()]
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file, delimiter=delimiter), [])
            empty = not file.readline().strip()
        target, notes = _label_column(header)
        if empty:
            raise ValueError("no rows")
        place = header.index(target)
        others = [number for number in range(len(header)) if number != place]
        labels = _columns(path, delimiter, [place], str)[:, 0]
        pixels = _columns(path, delimiter, others, np.float32)
    except OSError as error:
        raise MissingFileError(
            f"Cannot read {str(path)!r}. Received: {error.strerror}. Give a readable file."
        ) from None
    except InvalidInputError:
        raise
    except (ValueError, csv.Error) as error:
        raise InvalidInputError(
            f"Cannot read {path.name!r} as rows of pixels. Received: {reason_of(error, 120)}. "
            "Give one number per pixel beside the label; of a table name the column of labels: "
            "target='...' (--target)."
        ) from None
    return combine_arrays(
        [pixels.astype(np.uint8) if are_bytes(pixels) else pixels, _as_numbers(labels)],
        ["pixel columns", target],
        path.stem,
        notes=notes,
    )


def _columns(path: Path, delimiter: str, columns: list[int], dtype: Any) -> np.ndarray:
    return np.loadtxt(
        path, dtype, comments=None, delimiter=delimiter, skiprows=1, usecols=columns, ndmin=2,
        encoding="utf-8-sig", quotechar='"',
    )  # fmt: skip


def _as_numbers(labels: np.ndarray) -> Any:
    """Labels that are whole numbers, which sort as such; an empty one is missing."""
    texts = [text.strip() for text in labels.tolist()]
    if all(text.lstrip("-").isdecimal() for text in texts if text):
        return [int(text) if text else None for text in texts]
    return labels


def _label_column(columns: list[str]) -> tuple[str, tuple[str, ...]]:
    found = [column for column in columns if column.strip().lower() in LABEL_WORDS]
    if len(found) != 1:
        received = named(found) if found else f"{len(columns)} columns and no such name"
        raise InvalidInputError(
            f"One column must be called {LABEL_WORDS[2]} and hold the labels. Received: "
            f"{received}. Rename it, or name it: target='...' (--target)."
        )
    return found[0], (f"The column {found[0]!r} was taken as the label.",)
