"""Columns as they were fitted: each knows its cells, their raw form on a device, and the way back.

A column takes part in the encoded vector with its curve, its cycles, its flag and its span, in this
order, as far as it has them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
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

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Column:
    """What all columns share.

    Args:
        name: The name of the column.
        missing: The words that mean a missing value, beside empty cells and NaN; None for the
            usual ones.
    """

    name: str
    missing: tuple[str, ...] | None = None

    kind: ClassVar[str]

    @property
    def _absent(self) -> Collection[str]:
        return MISSING_WORDS if self.missing is None else ("", *self.missing)

    @property
    def raw_names(self) -> tuple[str, ...]:
        """What the raw numbers of the column are."""
        return ()

    @property
    def curves(self) -> tuple[tuple[int, Curve], ...]:
        """Curves, each with the raw number of the column that it takes."""
        return ()

    @property
    def cycles(self) -> tuple[tuple[int, float], ...]:
        """Periods, each with the raw number of the column that it takes."""
        return ()

    @property
    def flagged(self) -> bool:
        """Whether missing values have a flag of their own in the encoded vector."""
        return False

    @property
    def span(self) -> int | None:
        """The number of values of a category; None where the column holds numbers."""
        return None

    @property
    def width(self) -> int:
        """How many encoded numbers the column takes."""
        return len(self.curves) + 2 * len(self.cycles) + self.flagged + (self.span or 0)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """What each of the encoded numbers is."""
        flag = (f"{self.name} is missing",) if self.flagged else ()
        return (self.name, *flag)

    def read(self, cells: pd.Series) -> np.ndarray:
        """Brings cells into their raw form.

        Args:
            cells: The column of a frame, shape ``(n,)``.

        Returns:
            Shape ``(n, len(raw_names))``, float32; of a category ``(n, 1)``, int32.

        Raises:
            InvalidInputError: If a cell is of another kind than in training.
        """
        raise NotImplementedError

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Brings encoded numbers back into raw form, the nearest valid one.

        Args:
            encoded: Shape ``(n, width)``.

        Returns:
            As `read`.
        """
        raise NotImplementedError

    def write(self, raw: np.ndarray) -> pd.Series:
        """Makes cells out of their raw form."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON holds; what stands at its default is left out."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        kept = {
            item.name: asdict(value) if isinstance(value, Curve) else value
            for item in fields(self)
            if (value := given[item.name]) != item.default
        }
        return {"kind": self.kind, **kept}

    def _refuse(self, wrong: np.ndarray, cells: pd.Series, what: str) -> None:
        if not wrong.any():
            return
        rows = np.flatnonzero(wrong).tolist()
        raise InvalidInputError(
            f"The column {self.name!r} must hold {what}. Received: {str(cells.iloc[rows[0]])!r} "
            f"({listed_rows(rows)}). Correct such cells, or leave them empty where nothing is "
            "known."
        )


@dataclass(frozen=True)
class NumberColumn(Column):
    """Numbers, whole or not.

    Args:
        curve: Their way into the model.
        whole: Whether all are whole.
        offset: What is taken off before float32 holds the value; whole where the numbers are.
        flag: See `flagged`.
        decimal: The decimal mark of numbers that are text.
    """

    curve: Curve = Curve((0.0, 1.0), (-1.0, 1.0), 0.0)
    whole: bool = False
    offset: float = 0.0
    flag: bool = False
    decimal: str = "."

    kind: ClassVar[str] = "number"

    @property
    def raw_names(self) -> tuple[str, ...]:
        return (f"{self.name} - {self.offset:.15g}" if self.offset else self.name,)

    @property
    def curves(self) -> tuple[tuple[int, Curve], ...]:
        return ((0, self.curve),)

    @property
    def flagged(self) -> bool:
        return self.flag

    def read(self, cells: pd.Series) -> np.ndarray:
        numbers, wrong = as_numbers(cells, self._absent, self.decimal)
        self._refuse(wrong, cells, "numbers")
        return to_float32(numbers - self.offset)[:, np.newaxis]

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        raw = self.curve.decode(encoded[:, 0])
        if self.whole:
            raw = np.rint(raw)
        return _without_flagged(raw[:, np.newaxis], encoded, self.flag)

    def write(self, raw: np.ndarray) -> pd.Series:
        numbers = raw[:, 0].astype(np.float64) + self.offset
        if self.whole:
            numbers = np.rint(numbers)
            if np.isfinite(numbers).all():
                return pd.Series(numbers.astype(np.int64), name=self.name)
        return pd.Series(numbers, name=self.name)


@dataclass(frozen=True)
class BooleanColumn(Column):
    """One of two values: -1 for the first and 1 for the second.

    Args:
        words: What the two values are, as words.
        fill: The encoded value of a missing one.
        flag: See `flagged`.
    """

    words: tuple[str, str] = ("False", "True")
    fill: float = 0.0
    flag: bool = False

    kind: ClassVar[str] = "boolean"

    @property
    def raw_names(self) -> tuple[str, ...]:
        return (f"{self.name}: 0 for {self.words[0]}, 1 for {self.words[1]}",)

    @property
    def curves(self) -> tuple[tuple[int, Curve], ...]:
        return ((0, Curve((0.0, 1.0), (-1.0, 1.0), self.fill)),)

    @property
    def flagged(self) -> bool:
        return self.flag

    def read(self, cells: pd.Series) -> np.ndarray:
        words = as_words(cells, self._absent)
        codes, found = pd.factorize(words)
        places = {word.lower(): float(place) for place, word in enumerate(self.words)}
        of_words = [places.get(word.lower(), np.nan) for word in found]
        raw = np.array([*of_words, np.nan], np.float32)[codes]
        wrong = np.isnan(raw) & (codes >= 0)
        self._refuse(wrong, cells, f"{self.words[0]!r} or {self.words[1]!r}")
        return raw[:, np.newaxis]

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        raw = (encoded[:, :1] > 0).astype(np.float64)
        return _without_flagged(raw, encoded, self.flag)

    def write(self, raw: np.ndarray) -> pd.Series:
        words = [None if np.isnan(value) else self.words[int(value)] for value in raw[:, 0]]
        return pd.Series(words, name=self.name, dtype=object)


@dataclass(frozen=True)
class CategoryColumn(Column):
    """One of several values: a span with a 1 at its place.

    Args:
        values: The frequent values, the most frequent first.
        other: Whether rare values of the training rows, and unknown ones since, have a place. Else
            all of the span is 0 for an unknown value.
        absent: Whether a missing value has a place; it is the last one.
    """

    values: tuple[str, ...] = ()
    other: bool = False
    absent: bool = False

    kind: ClassVar[str] = "category"

    @property
    def span(self) -> int:
        return len(self.values) + self.other + self.absent

    @property
    def encoded_names(self) -> tuple[str, ...]:
        more = (OTHER,) * self.other
        names = tuple(f"{self.name} = {value}" for value in (*self.values, *more))
        return (*names, f"{self.name} is missing") if self.absent else names

    @cached_property
    def _places(self) -> pd.Index:
        return pd.Index(self.values, dtype=object)

    @property
    def _unknown(self) -> int:
        return len(self.values) if self.other else -1

    def read(self, cells: pd.Series) -> np.ndarray:
        words = as_words(cells, self._absent)
        places = self._places.get_indexer(pd.Index(words, dtype=object))
        missing = np.equal(words, None)
        unknown = self._unknown
        places = np.where(places < 0, unknown, places)
        places[missing] = self.span - 1 if self.absent else unknown
        return places.astype(np.int32)[:, np.newaxis]

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        places = np.where(encoded.max(axis=1) > 0, encoded.argmax(axis=1), self._unknown)
        return places.astype(np.int32)[:, np.newaxis]

    def write(self, raw: np.ndarray) -> pd.Series:
        words = np.array(
            [*self.values, *([OTHER] * self.other), *([None] * self.absent), OTHER], dtype=object
        )
        return pd.Series(words[raw[:, 0]], name=self.name, dtype=object)


@dataclass(frozen=True)
class DateColumn(Column):
    """Points in time: a number as they go by, and turns of the year, the week and the day.

    Args:
        curve: The way of the days since `offset` into the model.
        offset: The first day, counted from 1970-01-01.
        turns: Which turns vary in the training rows, of ``"year"``, ``"week"`` and ``"day"``.
        date_format: How dates that are text are read.
        flag: See `flagged`.
    """

    curve: Curve = Curve((0.0, 1.0), (-1.0, 1.0), 0.0)
    offset: float = 0.0
    turns: tuple[str, ...] = ()
    date_format: str = ISO_8601
    flag: bool = False

    kind: ClassVar[str] = "date"

    @property
    def raw_names(self) -> tuple[str, ...]:
        first = times_of(np.array([self.offset])).dt.strftime("%Y-%m-%d")[0]
        turns = [f"{self.name}: {_TURNS[turn].title}" for turn in self.turns]
        return (f"{self.name}: days since {first}, with their fraction", *turns)

    @property
    def curves(self) -> tuple[tuple[int, Curve], ...]:
        return ((0, self.curve),)

    @property
    def cycles(self) -> tuple[tuple[int, float], ...]:
        return tuple((1 + place, _TURNS[turn].period) for place, turn in enumerate(self.turns))

    @property
    def flagged(self) -> bool:
        return self.flag

    @property
    def encoded_names(self) -> tuple[str, ...]:
        waves = [
            f"{self.name}, {wave} of the {turn}" for turn in self.turns for wave in ("sine", "cosine")
        ]
        flag = (f"{self.name} is missing",) if self.flag else ()
        return (self.name, *waves, *flag)

    def read(self, cells: pd.Series) -> np.ndarray:
        times, wrong = as_times(cells, self.date_format, self._absent)
        self._refuse(wrong, cells, f"dates of the form {self.date_format}")
        return self._raw(times)

    def _raw(self, times: pd.Series) -> np.ndarray:
        days, *turns = parts_of(times)
        chosen = [turns[_TURNS[turn].part] for turn in self.turns]
        return to_float32(np.stack([days - self.offset, *chosen], axis=1))

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        days = self.curve.decode(encoded[:, 0]) + self.offset
        if "day" not in self.turns:
            days = np.rint(days)
        return _without_flagged(self._raw(times_of(days)), encoded, self.flag)

    def write(self, raw: np.ndarray) -> pd.Series:
        times = times_of(raw[:, 0].astype(np.float64) + self.offset)
        return times.rename(self.name)


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
            found["curve"] = Curve(**{k: _tuples(v) for k, v in found["curve"].items()})
        return _KINDS[given["kind"]](**found)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"The description of a table's column cannot be read. Received: {str(given)[:80]!r} "
            f"({type(error).__name__}). Export the model again."
        ) from None


def to_float32(numbers: np.ndarray) -> np.ndarray:
    """Numbers as float32, those beyond its range at its ends, infinite ones as they are."""
    ends = np.clip(numbers, -_LARGEST, _LARGEST)
    return np.where(np.isinf(numbers), numbers, ends).astype(np.float32)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _without_flagged(raw: np.ndarray, encoded: np.ndarray, flag: bool) -> np.ndarray:
    """Takes away what the flag, the last of the encoded numbers, calls missing."""
    raw = to_float32(raw)
    if flag:
        raw[encoded[:, -1] >= 0.5] = np.nan
    return raw
