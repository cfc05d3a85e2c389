"""What the columns of a table are, by what they hold."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from keras_ganaccel.data.finite import listed_rows
from keras_ganaccel.data.labels import named
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.table.column_file import ColumnOptions, TableOptions
from keras_ganaccel.modality.table.values import (
    ISO_8601,
    MISSING_WORDS,
    as_numbers,
    as_times,
    as_words,
    is_text,
)

Kind = Literal["numeric", "integer", "boolean", "category", "date"]

# Two words of a pair make a boolean, the first of them False.
_PAIRS = (
    ("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("0", "1"), ("off", "on"),
)  # fmt: skip
_DATE_FORMATS = (
    ISO_8601, "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d %b %Y", "%d-%b-%Y",
    "%b %d, %Y",
)  # fmt: skip
# What a date at least looks like: ISO 8601's parser takes plain years and numbers as well.
_DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?|\d{1,4}[./-]\d\d?[./-]\d{1,4}|\d\d?[ -][A-Za-z]{3}|[A-Z]\w\w "
)
_PROBED = 200
_MOSTLY = 0.9
_FEW_NUMBERS = 20
_IDENTIFIER_NAME = re.compile(r"(^|[_ \-.])(id|index|idx|key|uuid|guid|rownum|row)$", re.IGNORECASE)
_LEAST_ROWS_OF_IDENTIFIERS = 20
_IDENTIFIER_SHARE = 0.9


@dataclass(frozen=True)
class TypedColumn:
    """What a column is.

    Args:
        name: Its name.
        kind: What it holds.
        missing: The words that mean a missing value; None for the usual ones.
        date_format: How its dates are read, if it holds dates that are text.
        decimal: The decimal mark of its numbers, if they are text.
        words: The two values of a boolean, as words.
        identifier: Whether it only numbers or names the rows.
    """

    name: str
    kind: Kind
    missing: tuple[str, ...] | None = None
    date_format: str = ISO_8601
    decimal: str = "."
    words: tuple[str, ...] = ()
    identifier: bool = False

    @property
    def absent(self) -> Collection[str]:
        """The words that mean a missing value."""
        return MISSING_WORDS if self.missing is None else ("", *self.missing)


def type_columns(
    frame: pd.DataFrame, options: TableOptions
) -> tuple[tuple[TypedColumn, ...], tuple[str, ...]]:
    """Finds out what the columns of a table hold.

    Args:
        frame: All rows; the target is not among the columns.
        options: What the user says of the columns.

    Returns:
        The columns, and what was assumed of them, a sentence each.

    Raises:
        InvalidInputError: If a column is empty, of mixed types, or not of the kind that it is said
            to be.
    """
    typed, notes = [], []
    for name in frame.columns:
        found, assumed = _type_column(frame[name], options.column(name), options)
        typed.append(found)
        notes += assumed
    return tuple(typed), tuple(notes)


def _type_column(
    cells: pd.Series, given: ColumnOptions, options: TableOptions
) -> tuple[TypedColumn, list[str]]:
    name = str(cells.name)
    missing = given.missing if given.missing is not None else options.missing
    absent = MISSING_WORDS if missing is None else ("", *missing)
    decimal = options.decimal or "."
    _refuse_nests(cells)
    words = as_words(cells, absent) if is_text(cells) else None
    if (cells.isna().all() if words is None else pd.isna(words).all()) and len(cells):
        raise InvalidInputError(
            f"A column must hold values. Received: {name!r}, missing in all {len(cells)} rows. "
            "Leave it out with drop (--drop), or say in the file of columns what it holds."
        )
    notes: list[str] = []
    date_format = given.date_format or ISO_8601
    if given.kind is not None:
        kind: Kind = given.kind
        if kind == "date" and given.date_format is None and words is not None:
            date_format = _date_format(words, notes, name) or ISO_8601
    elif words is None or (given.date_format is not None):
        kind = "date" if given.date_format is not None else _kind_of_dtype(cells)
    else:
        kind, decimal, date_format = _kind_of_words(cells, words, decimal, notes)
    found = TypedColumn(
        name,
        kind,
        missing,
        date_format,
        decimal,
        _two_words(cells, absent) if kind == "boolean" else (),
        identifier=given.kind is None and _is_identifier(cells, kind),
    )
    _check_kind(cells, found)
    return found, notes


def _two_words(cells: pd.Series, absent: Collection[str]) -> tuple[str, ...]:
    """The values of a boolean, the one that means no first."""
    words = as_words(cells, absent)
    found = sorted(pd.unique(words[pd.notna(words)]))
    first = [pair[0] for pair in _PAIRS]
    return tuple(sorted(found, key=lambda word: word.lower() not in first))


def _refuse_nests(cells: pd.Series) -> None:
    if cells.dtype.kind == "c":
        raise InvalidInputError(
            f"The column {str(cells.name)!r} must hold plain values. Received: complex numbers. "
            "Give real and imaginary parts as two columns."
        )
    if cells.dtype != object:
        return
    for row, cell in enumerate(cells):
        if isinstance(cell, (list, tuple, dict, set, np.ndarray, pd.Series)):
            raise InvalidInputError(
                f"The column {str(cells.name)!r} must hold one value a row. Received: "
                f"{type(cell).__name__} in row {row}. Give each of its parts a column."
            )


def _kind_of_dtype(cells: pd.Series) -> Kind:
    if cells.dtype.kind == "M" or isinstance(cells.dtype, pd.PeriodDtype):
        return "date"
    if cells.dtype.kind == "b":
        return "boolean"
    return _kind_of_numbers(as_numbers(cells)[0])


def _kind_of_numbers(numbers: np.ndarray) -> Kind:
    finite = numbers[np.isfinite(numbers)]
    infinite = np.isinf(numbers).any()
    if not infinite and len(np.unique(finite)) == 2 and np.isin(finite, (0, 1)).all():
        return "boolean"
    return "integer" if (finite == np.rint(finite)).all() else "numeric"


def _kind_of_words(
    cells: pd.Series, words: np.ndarray, decimal: str, notes: list[str]
) -> tuple[Kind, str, str]:
    """The kind of a column of text, its decimal mark and the format of its dates."""
    name = str(cells.name)
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return "category", decimal, ISO_8601
    present = words[pd.notna(words)]
    different = {word.lower() for word in pd.unique(present[:1000])}
    if any(set(pair) == different for pair in _PAIRS) and (
        len({word.lower() for word in pd.unique(present)}) == 2
    ):
        return "boolean", decimal, ISO_8601
    column = pd.Series(words, name=name, dtype=object)
    for mark in dict.fromkeys((decimal, ".", ",")):
        numbers, wrong = as_numbers(column, (), mark)
        if not wrong.any():
            if mark != decimal:
                _refuse_thousands(present, name)
                notes.append(f"The numbers of {name!r} were read with decimal commas.")
            return _kind_of_numbers(numbers), mark, ISO_8601
        known = ~np.isnan(numbers)
        if known.sum() >= _MOSTLY * len(present) and (
            len(np.unique(numbers[known])) > _FEW_NUMBERS
        ):
            _refuse_mixed(name, words, wrong, len(present))
    if _holds_numbers_and_text(cells):
        _refuse_mixed(name, words, as_numbers(column, ())[1], len(present))
    date_format = _date_format(words, notes, name)
    if date_format is not None:
        return "date", decimal, date_format
    return "category", decimal, ISO_8601


def _holds_numbers_and_text(cells: pd.Series) -> bool:
    """Whether Python's own numbers stand beside text, which no file of text can hold."""
    if cells.dtype != object:
        return False
    text = [isinstance(cell, str) for cell in cells]
    number = [isinstance(cell, (int, float, np.number)) and cell == cell for cell in cells]
    return any(text) and any(number)


def _refuse_mixed(name: str, words: np.ndarray, wrong: np.ndarray, present: int) -> None:
    rows = np.flatnonzero(wrong).tolist()
    raise InvalidInputError(
        f"The column {name!r} must not mix numbers and text. Received: {words[rows[0]]!r} and "
        f"numbers; {len(rows)} of {present} values are none ({listed_rows(rows)}). Correct them, "
        "or name them as missing, or the kind of the column, in the file of columns."
    )


def _refuse_thousands(present: np.ndarray, name: str) -> None:
    """Refuses commas that may set thousands apart as well as decimals."""
    grouped = [word for word in pd.unique(present) if "," in word]
    if all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", word) for word in grouped):
        raise InvalidInputError(
            f"The commas in the numbers of {name!r} may set thousands or decimals apart. Received: "
            f"{named(grouped, most=3)}. Take them out, or name `decimal` in the file of columns."
        )


def _date_format(words: np.ndarray, notes: list[str], name: str) -> str | None:
    present = pd.Series(words[pd.notna(words)], dtype=object)
    probe = present.iloc[:: max(1, len(present) // _PROBED)]
    if not all(_DATE.match(word) for word in probe):
        return None
    fitting = [
        date_format
        for date_format in _DATE_FORMATS
        if not as_times(probe, date_format, ())[1].any()
        and not as_times(present, date_format, ())[1].any()
    ]
    if len(fitting) > 1:
        notes.append(
            f"The dates of {name!r} fit {' as well as '.join(fitting[:2])}; the first was taken. "
            "Name another `format` in the file of columns."
        )
    return fitting[0] if fitting else None


def _check_kind(cells: pd.Series, found: TypedColumn) -> None:
    """Makes sure that all cells are of the kind that a user named."""
    if found.kind in ("numeric", "integer"):
        numbers, wrong = as_numbers(cells, found.absent, found.decimal)
        if found.kind == "integer" and not wrong.any():
            wrong = np.isfinite(numbers) & (numbers != np.rint(numbers))
    elif found.kind == "date":
        wrong = as_times(cells, found.date_format, found.absent)[1]
    elif found.kind == "boolean":
        words = as_words(cells, found.absent)
        wrong = pd.notna(words) & (len({word.lower() for word in found.words}) > 2)
    else:
        return
    if wrong.any():
        rows = np.flatnonzero(wrong).tolist()
        raise InvalidInputError(
            f"The column {found.name!r} is said to be of kind {found.kind}. Received: "
            f"{str(cells.iloc[rows[0]])!r} ({listed_rows(rows)}). Name its missing values, or "
            "another kind, in the file of columns."
        )


def _is_identifier(cells: pd.Series, kind: Kind) -> bool:
    """Whether a column only numbers or names the rows."""
    if len(cells) < _LEAST_ROWS_OF_IDENTIFIERS or kind in ("boolean", "date", "numeric"):
        return False
    if kind == "category":
        return bool(cells.nunique() > _IDENTIFIER_SHARE * len(cells))
    numbers = as_numbers(cells)[0]
    if np.isnan(numbers).any() or len(np.unique(numbers)) < len(numbers):
        return False
    counts_rows = bool((np.abs(np.diff(numbers)) == 1).all())
    return counts_rows or _IDENTIFIER_NAME.search(str(cells.name)) is not None
