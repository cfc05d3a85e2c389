"""Columns as they were fitted: each knows its cells, their raw form on a device, and a way back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from keras_ganaccel.data.finite import listed_rows
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.table.curve import Curve
from keras_ganaccel.modality.table.raw_form import DAY, WEEK, YEAR
from keras_ganaccel.modality.table.values import (
    ISO_8601,
    MISSING_WORDS,
    as_numbers,
    as_times,
    as_words,
    parts_of,
    times_of,
)

OTHER = "(other)"
"""What a decoded category is called that is none of the frequent ones."""

# Differences of raw numbers, and the slopes of curves through them, stay inside of float32.
_LARGEST = 1e37
_BOTH_WAYS = (0.0, 1.0), (-1.0, 1.0)


@dataclass(frozen=True)
class Shares:
    """What a column has of the raw form and of the encoded vector, in this order.

    Args:
        raw: What its raw numbers are.
        curves: Each with the one of the column's raw numbers that it takes.
        cycles: Periods, each with the one of the column's raw numbers that it takes.
        flagged: Whether missing values have a flag.
        span: The number of values of a category; None where the column holds numbers.
        names: What its encoded numbers are.
    """

    raw: tuple[str, ...]
    curves: tuple[tuple[int, Curve], ...]
    names: tuple[str, ...]
    cycles: tuple[tuple[int, float], ...] = ()
    flagged: bool = False
    span: int | None = None

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """The number of encoded numbers of curves, cycles, flag and span."""
        return len(self.curves), 2 * len(self.cycles), int(self.flagged), self.span or 0


@dataclass(frozen=True)
class Column:
    """A fitted column of a table: what all kinds of them share.

    Args:
        name: The name of the column.
        missing: The words that mean a missing value, beside empty cells and NaN; None for the
            usual ones.

    Example:
        >>> import keras_ganaccel as ga
        >>> column = ga.load_data("tables:iris").spec.columns[0]
        >>> isinstance(column, ga.Column), column.kind, column.name
        (True, 'number', 'sepal length (cm)')
        >>> column.shares.names
        ('sepal length (cm)',)
    """

    name: str
    missing: tuple[str, ...] | None = None

    kind: ClassVar[str]

    @cached_property
    def shares(self) -> Shares:
        """What the column has of the raw form and of the encoded vector."""
        return self._shares()

    @property
    def absent(self) -> Collection[str]:
        """The words that mean a missing value."""
        return MISSING_WORDS if self.missing is None else ("", *self.missing)

    def read(self, cells: pd.Series) -> np.ndarray:
        """Brings cells into their raw form.

        Args:
            cells: The column of a frame, shape ``(n,)``.

        Returns:
            Raw numbers, float32 ``(n, len(shares.raw))``, NaN for a missing one; of a category
            indices, int32 ``(n, 1)``.

        Raises:
            InvalidInputError: If a cell is of another kind than in training.
        """
        return self._read(cells)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Brings encoded numbers back into raw form, the nearest valid one.

        Args:
            encoded: The column's own, shape ``(n, sum(shares.sizes))``.

        Returns:
            As `read`.
        """
        raw = self._decode(encoded)
        if self.shares.flagged:
            raw[encoded[:, -1] >= 0.5] = np.nan
        return raw

    def write(self, raw: np.ndarray) -> pd.Series:
        """Makes cells out of their raw form."""
        return self._write(raw)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON holds; what stands at its default is left out."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        kept = {
            item.name: _plain(given[item.name])
            for item in fields(self)
            if item.default is MISSING or given[item.name] != item.default
        }
        return {"kind": self.kind, **kept}

    def _shares(self) -> Shares:
        raise NotImplementedError

    def _read(self, cells: pd.Series) -> np.ndarray:
        raise NotImplementedError

    def _decode(self, encoded: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _write(self, raw: np.ndarray) -> pd.Series:
        raise NotImplementedError

    def _refuse(self, wrong: np.ndarray, cells: pd.Series, what: str) -> None:
        if not wrong.any():
            return
        rows = np.flatnonzero(wrong).tolist()
        raise InvalidInputError(
            f"The column {self.name!r} must hold {what}. Received: {str(cells.iloc[rows[0]])!r} "
            f"({listed_rows(rows)}). Correct such cells, or leave them empty where nothing is "
            "known."
        )

    def _names(self, *more: str, flagged: bool) -> tuple[str, ...]:
        return (self.name, *more, *((f"{self.name} is missing",) * flagged))


@dataclass(frozen=True, kw_only=True)
class NumberColumn(Column):
    """Numbers, whole or not.

    Args:
        curve: Their way into the model.
        whole: Whether all are whole.
        offset: What is taken off before float32 holds the value; whole where the numbers are.
        flag: Whether missing values have a flag.
        decimal: The decimal mark of numbers that are text.
    """

    curve: Curve
    whole: bool = False
    offset: float = 0.0
    flag: bool = False
    decimal: str = "."

    kind: ClassVar[str] = "number"

    def _shares(self) -> Shares:
        raw = f"{self.name} - {self.offset:.15g}" if self.offset else self.name
        names = self._names(flagged=self.flag)
        return Shares((raw,), ((0, self.curve),), names, flagged=self.flag)

    def _read(self, cells: pd.Series) -> np.ndarray:
        numbers, wrong = as_numbers(cells, self.absent, self.decimal)
        self._refuse(wrong, cells, "numbers")
        return to_float32(numbers - self.offset)[:, np.newaxis]

    def _decode(self, encoded: np.ndarray) -> np.ndarray:
        raw = self.curve.decode(encoded[:, :1])
        return to_float32(np.rint(raw) if self.whole else raw)

    def _write(self, raw: np.ndarray) -> pd.Series:
        numbers = raw[:, 0].astype(np.float64) + self.offset
        if self.whole and np.isfinite(numbers).all():
            return pd.Series(np.rint(numbers).astype(np.int64), name=self.name)
        return pd.Series(numbers, name=self.name)


@dataclass(frozen=True, kw_only=True)
class BooleanColumn(Column):
    """One of two values: -1 for the first and 1 for the second.

    Args:
        words: What the two values are, as words.
        fill: The encoded value of a missing one: the mean of the training rows.
        flag: Whether missing values have a flag.
    """

    words: tuple[str, str]
    fill: float = 0.0
    flag: bool = False

    kind: ClassVar[str] = "boolean"

    def _shares(self) -> Shares:
        raw = f"{self.name}: 0 for {self.words[0]}, 1 for {self.words[1]}"
        names = self._names(flagged=self.flag)
        return Shares((raw,), ((0, Curve(*_BOTH_WAYS, self.fill)),), names, flagged=self.flag)

    def _read(self, cells: pd.Series) -> np.ndarray:
        codes, found = pd.factorize(as_words(cells, self.absent))
        places = {word.lower(): float(place) for place, word in enumerate(self.words)}
        of_words = [places.get(word.lower(), np.nan) for word in found]
        raw = np.array([*of_words, np.nan], np.float32)[codes]
        wrong = np.isnan(raw) & (codes >= 0)
        self._refuse(wrong, cells, f"{self.words[0]!r} or {self.words[1]!r}")
        return raw[:, np.newaxis]

    def _decode(self, encoded: np.ndarray) -> np.ndarray:
        return (encoded[:, :1] > 0).astype(np.float32)

    def _write(self, raw: np.ndarray) -> pd.Series:
        words = [None if np.isnan(value) else self.words[int(value)] for value in raw[:, 0]]
        return pd.Series(words, name=self.name, dtype=object)


@dataclass(frozen=True, kw_only=True)
class CategoryColumn(Column):
    """One of several values: a span with a 1 at its place.

    Args:
        values: The frequent values, the most frequent first.
        other: Whether rare values of the training rows, and unknown ones since, have a place. Else
            all of the span is 0 for an unknown value.
        empty: Whether a missing value has a place; it is the last one.
    """

    values: tuple[str, ...]
    other: bool = False
    empty: bool = False

    kind: ClassVar[str] = "category"

    def _shares(self) -> Shares:
        values = (*self.values, *((OTHER,) * self.other))
        names = [f"{self.name} = {value}" for value in values]
        names += [f"{self.name} is missing"] * self.empty
        return Shares((), (), tuple(names), span=len(names))

    @cached_property
    def _places(self) -> pd.Index:
        return pd.Index(self.values, dtype=object)

    @property
    def unknown(self) -> int:
        """The index of a value that is none of the frequent ones."""
        return len(self.values) if self.other else -1

    @property
    def unstated(self) -> int:
        """The index of a missing value."""
        return len(self.values) + self.other if self.empty else self.unknown

    def _read(self, cells: pd.Series) -> np.ndarray:
        codes, found = pd.factorize(as_words(cells, self.absent))
        places = self._places.get_indexer(pd.Index(found, dtype=object))
        places = np.where(places < 0, self.unknown, places)
        return np.append(places, self.unstated)[codes].astype(np.int32)[:, np.newaxis]

    def _decode(self, encoded: np.ndarray) -> np.ndarray:
        some = encoded.max(axis=1, initial=0.0) > 0
        places = np.where(some, encoded.argmax(axis=1), self.unknown)
        return places.astype(np.int32)[:, np.newaxis]

    def _write(self, raw: np.ndarray) -> pd.Series:
        # An index of -1 takes the last word.
        words = [*self.values, *([OTHER] * self.other), *([None] * self.empty), OTHER]
        return pd.Series(np.array(words, object)[raw[:, 0]], name=self.name, dtype=object)


@dataclass(frozen=True, kw_only=True)
class DateColumn(Column):
    """Points in time: a number as they go by, and turns of the year, the week and the day.

    Args:
        curve: The way of the days since `offset` into the model.
        offset: The first day, counted from 1970-01-01.
        turns: Which turns vary in the training rows, of `TURNS`.
        date_format: How dates that are text are read.
        flag: Whether missing values have a flag.
    """

    curve: Curve
    offset: float = 0.0
    turns: tuple[str, ...] = ()
    date_format: str = ISO_8601
    flag: bool = False

    kind: ClassVar[str] = "date"

    def _shares(self) -> Shares:
        first = times_of(np.array([self.offset])).dt.strftime("%Y-%m-%d")[0]
        raw = [f"{self.name}: days since {first}, with their fraction"]
        raw += [f"{self.name}: {_TURNS[turn].title}" for turn in self.turns]
        cycles = [(1 + place, _TURNS[turn].period) for place, turn in enumerate(self.turns)]
        waves = [f"{self.name}: {wave} of the {turn}" for turn in self.turns for wave in _WAVES]
        names = self._names(*waves, flagged=self.flag)
        return Shares(tuple(raw), ((0, self.curve),), names, tuple(cycles), self.flag)

    def _read(self, cells: pd.Series) -> np.ndarray:
        times, wrong = as_times(cells, self.date_format, self.absent)
        self._refuse(wrong, cells, f"dates of the form {self.date_format}")
        return self._raw(times)

    def _raw(self, times: pd.Series) -> np.ndarray:
        days, *turns = parts_of(times)
        chosen = [turns[_TURNS[turn].part] for turn in self.turns]
        return to_float32(np.stack([days - self.offset, *chosen], axis=1))

    def _decode(self, encoded: np.ndarray) -> np.ndarray:
        days = self.curve.decode(encoded[:, 0]) + self.offset
        return self._raw(times_of(days if "day" in self.turns else np.rint(days)))

    def _write(self, raw: np.ndarray) -> pd.Series:
        return times_of(raw[:, 0].astype(np.float64) + self.offset).rename(self.name)


@dataclass(frozen=True)
class _Turn:
    part: int
    period: float
    title: str


_TURNS: Mapping[str, _Turn] = {
    "year": _Turn(0, YEAR, "day of the year, 0 for the first of January"),
    "week": _Turn(1, WEEK, "day of the week, 0 for Monday"),
    "day": _Turn(2, DAY, "second of the day"),
}
TURNS = tuple(_TURNS)
"""The turns that a date may take part in, in the order of `values.parts_of`."""

_WORDS = ("missing", "words", "values", "turns")
_TYPES: Mapping[str, Any] = {
    "name": str, "curve": Curve, "whole": bool, "offset": (int, float), "flag": bool,
    "decimal": str, "fill": (int, float), "other": bool, "empty": bool, "date_format": str,
}  # fmt: skip
_WAVES = ("sine", "cosine")
_KINDS: Mapping[str, type[Column]] = {
    kind.kind: kind for kind in (NumberColumn, BooleanColumn, CategoryColumn, DateColumn)
}


def column_from_dict(given: Mapping[str, Any]) -> Column:
    """Makes a column of what `Column.to_dict` returned.

    Raises:
        InvalidInputError: If it is not such a thing.
    """
    try:
        found = {name: _tuples(value) for name, value in given.items() if name != "kind"}
        if "curve" in found:
            found["curve"] = Curve(**{name: _tuples(v) for name, v in found["curve"].items()})
        column = _KINDS[given["kind"]](**found)
        _check_types(column)
        return column
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"The description of a table's column cannot be read. Received: {str(given)[:80]!r} "
            f"({type(error).__name__}). Export the model again."
        ) from None


def _check_types(column: Column) -> None:
    """Refuses what no fitted column holds, of files that others may have written."""
    for item in fields(column):
        value = getattr(column, item.name)
        if item.name in _WORDS:
            fits = value is None or (
                isinstance(value, tuple) and all(isinstance(word, str) for word in value)
            )
        else:
            fits = isinstance(value, _TYPES[item.name]) and value == value
        if not fits:
            raise TypeError(f"{item.name} is {type(value).__name__}")
    if isinstance(column, BooleanColumn) and len(column.words) != 2:
        raise ValueError("a boolean has two words")
    # Names of turns that are not known, and days that no calendar has, show here.
    if len(column.shares.names) != sum(column.shares.sizes):
        raise ValueError("names and places differ")


def to_float32(numbers: np.ndarray) -> np.ndarray:
    """Numbers as float32, those beyond 1e37 taken for that, infinite ones as they are."""
    ends = np.clip(numbers, -_LARGEST, _LARGEST)
    return np.where(np.isinf(numbers), numbers, ends).astype(np.float32)


def _plain(value: Any) -> Any:
    if isinstance(value, Curve):
        return {name: _plain(item) for name, item in asdict(value).items()}
    return list(value) if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
