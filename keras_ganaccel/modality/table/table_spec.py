"""What leads from the raw rows of a table to encoded ones, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from keras_ganaccel.data.labels import named
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.modality.table.columns import CategoryColumn, Column, column_from_dict
from keras_ganaccel.modality.table.raw_form import Arithmetic


@dataclass(frozen=True)
class TableSpec:
    """The columns of a table as they were fitted on its training rows.

    An encoded row is one float32 vector: numbers in [-3, 3] (`Curve`), then sine and cosine of
    dates' turns, then 1 or 0 for each column that may miss values, then a span for each category,
    1 at its value's place.

    Args:
        columns: The columns that are inputs.
        class_names: One name per class, in the order of the labels 0..k-1.
        target: The name of the column of labels.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("tables:iris")
        >>> data.spec.sample_shape, data.spec.class_names
        ((4,), ('setosa', 'versicolor', 'virginica'))
        >>> data.spec.encoded_names[0]
        'sepal length (cm)'
    """

    columns: tuple[Column, ...]
    class_names: tuple[str, ...]
    target: str = "target"

    @property
    def modality(self) -> str:
        """``"table"``."""
        return "table"

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """``(width,)``: the length of an encoded row."""
        return (self.arithmetic.width,)

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """What the front end does with the raw form of a row."""
        curves, cycles, flags, spans = [], [], [], []
        numbers = 0
        for column in self.columns:
            curves += [(numbers + source, curve) for source, curve in column.shares.curves]
            cycles += [(numbers + source, period) for source, period in column.shares.cycles]
            flags += [numbers] * column.shares.flagged
            spans += [] if column.shares.span is None else [column.shares.span]
            numbers += len(column.shares.raw)
        return Arithmetic(numbers, tuple(curves), tuple(cycles), tuple(flags), tuple(spans))

    @property
    def _sizes(self) -> tuple[int, int, int, int]:
        of_all = np.array([column.shares.sizes for column in self.columns]).sum(axis=0)
        curves, cycles, flags, spans = of_all.tolist()
        return curves, cycles, flags, spans

    @cached_property
    def places(self) -> tuple[np.ndarray, ...]:
        """For each column the places of its encoded numbers, int64, in the order of `Column`."""
        starts = np.cumsum([0, *self._sizes[:3]])
        places = []
        for column in self.columns:
            sizes = column.shares.sizes
            spread = [
                np.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)
            ]
            places.append(np.concatenate(spread))
            starts = starts + sizes
        return tuple(places)

    @property
    def numbers(self) -> slice:
        """The places of numbers: columns of numbers, booleans and dates, in [-3, 3]."""
        return slice(0, len(self.arithmetic.curves))

    @property
    def cycles(self) -> slice:
        """The places of sines and cosines of dates' turns; `harden` makes them fit the dates."""
        return slice(self.numbers.stop, self.numbers.stop + 2 * len(self.arithmetic.cycles))

    @property
    def flags(self) -> slice:
        """The places that are 1 where a number, boolean or date is missing, else 0."""
        return slice(self.cycles.stop, self.cycles.stop + len(self.arithmetic.flags))

    @property
    def spans(self) -> tuple[slice, ...]:
        """The places of each category; a missing value, where there are any, has the last one."""
        ends = np.cumsum([self.flags.stop, *self.arithmetic.spans]).tolist()
        return tuple(map(slice, ends, ends[1:]))

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """What each number of an encoded row is."""
        names = np.empty(self.arithmetic.width, object)
        for column, places in zip(self.columns, self.places, strict=True):
            names[places] = column.shares.names
        return tuple(names)

    @property
    def raw_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What each number and each index of a device's raw form is."""
        numbers = [name for column in self.columns for name in column.shares.raw]
        indices = [column.name for column in self.columns if column.shares.span is not None]
        return tuple(numbers), tuple(indices)

    def raw_form(self, frame: Any) -> tuple[np.ndarray, np.ndarray]:
        """Brings rows into the form in which a device has them, without text.

        Args:
            frame: Rows of a table, with the columns that are inputs and perhaps others.

        Returns:
            Numbers, float32 ``(n, numbers)``, NaN for a missing one; and indices of categories,
            int32 ``(n, categories)``, -1 for one that is not known.

        Raises:
            InvalidInputError: If a column is missing, or holds values of another kind.
        """
        if not isinstance(frame, pd.DataFrame):
            raise InvalidInputError(
                "The rows of a table must be a pandas frame. Received: "
                f"{type(frame).__name__}. Name its columns: pandas.DataFrame(rows, columns=[...])."
            )
        absent = [column.name for column in self.columns if column.name not in frame.columns]
        if absent:
            raise InvalidInputError(
                f"The table must have the columns that the model was trained on. Received: none "
                f"called {named(absent)}. {nearest(absent[0], map(str, frame.columns))}"
            )
        numbers = [np.zeros((len(frame), 0), np.float32)]
        indices = [np.zeros((len(frame), 0), np.int32)]
        for column in self.columns:
            raw = column.read(frame[column.name])
            (numbers if column.shares.span is None else indices).append(raw)
        return np.concatenate(numbers, axis=1), np.concatenate(indices, axis=1)

    def encode(self, raw: Any) -> np.ndarray:
        """Encodes rows.

        A missing value that no training row missed is taken for the mean; an infinite one for the
        smallest or largest of the training rows; an unknown category for a rare one, if training
        rows had such, else for none of the known ones.

        Args:
            raw: Rows of a table, as `raw_form` takes them.

        Returns:
            float32, shape ``(n, width)``.

        Raises:
            InvalidInputError: If a column is missing, or holds values of another kind.
        """
        return self.arithmetic.encode(*self.raw_form(raw))

    def decode(self, encoded: np.ndarray) -> pd.DataFrame:
        """Makes rows of a table out of encoded ones.

        Args:
            encoded: Shape ``(n, width)``; what is no valid row is taken for the nearest one.

        Returns:
            The columns that are inputs: numbers, text, dates, missing values as NaN, None and NaT,
            a rare or unknown category as ``"(other)"``.
        """
        encoded = self._checked(encoded)
        cells = {
            column.name: column.write(column.decode(encoded[:, places]))
            for column, places in zip(self.columns, self.places, strict=True)
        }
        return pd.DataFrame(cells)

    def harden(self, relaxed: np.ndarray) -> np.ndarray:
        """Makes valid encoded rows: one value a category, whole numbers whole, dates of one piece.

        Args:
            relaxed: Shape ``(n, width)``, such as a real row with noise, or soft categories.

        Returns:
            float32, shape ``(n, width)``. Encoded rows come back as they are, within rounding.
        """
        relaxed = self._checked(relaxed)
        numbers = [np.zeros((len(relaxed), 0), np.float32)]
        indices = [np.zeros((len(relaxed), 0), np.int32)]
        for column, places in zip(self.columns, self.places, strict=True):
            raw = column.decode(relaxed[:, places])
            (numbers if column.shares.span is None else indices).append(raw)
        return self.arithmetic.encode(
            np.concatenate(numbers, axis=1), np.concatenate(indices, axis=1)
        )

    def ordinal(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The short form of encoded rows for trees: a number for each category.

        Args:
            encoded: Shape ``(n, width)``.

        Returns:
            float32, shape ``(n, numbers + cycles + categories)``, NaN where a number is flagged as
            missing; and a mask of the columns that are indices of categories.
        """
        encoded = self._checked(encoded)
        numbers = encoded[:, : self.cycles.stop].astype(np.float32)
        for column, places in zip(self.columns, self.places, strict=True):
            if column.shares.flagged:
                missing = encoded[:, places[-1]] >= 0.5
                numbers[np.ix_(missing, places[:-1])] = np.nan
        indices = [encoded[:, span].argmax(axis=1).astype(np.float32) for span in self.spans]
        columns = np.column_stack([numbers, *indices]) if indices else numbers
        return columns, np.arange(columns.shape[1]) >= numbers.shape[1]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values that hold all of it."""
        return {
            "modality": self.modality,
            "target": self.target,
            "class_names": list(self.class_names),
            "columns": [column.to_dict() for column in self.columns],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableSpec:
        """Makes a specification of what `to_dict` returned.

        Raises:
            InvalidInputError: If it is not such a thing.
        """
        try:
            columns = tuple(column_from_dict(column) for column in values["columns"])
            class_names, target = values["class_names"], values["target"]
            if not columns or not all(isinstance(name, str) for name in (*class_names, target)):
                raise ValueError("names that are no text, or no columns")
            return cls(columns, tuple(class_names), target)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, InvalidInputError):
                raise
            raise InvalidInputError(
                f"The description of a table cannot be read. Received: {type(error).__name__} at "
                f"{error}. Export the model again."
            ) from None

    @property
    def categories(self) -> tuple[CategoryColumn, ...]:
        """The columns that are categories, in the order of `spans`."""
        return tuple(column for column in self.columns if isinstance(column, CategoryColumn))

    def _checked(self, encoded: np.ndarray) -> np.ndarray:
        encoded = np.asarray(encoded)
        if encoded.ndim != 2 or encoded.shape[1:] != self.sample_shape:
            raise InvalidInputError(
                f"Encoded rows must have the shape (n, {self.sample_shape[0]}). Received: shape "
                f"{encoded.shape}. Encode rows with TableSpec.encode."
            )
        return encoded
