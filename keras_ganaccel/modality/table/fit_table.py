"""From typed columns to fitted ones, by the training rows alone; and what is odd about them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score
from sklearn.tree import DecisionTreeClassifier

from keras_ganaccel.data.labels import named
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.table.columns import (
    TURNS,
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    to_float32,
)
from keras_ganaccel.modality.table.curve import LEAST_STEP, Curve, NumberForm, fit_curve
from keras_ganaccel.modality.table.kinds import TypedColumn
from keras_ganaccel.modality.table.table_spec import TableSpec
from keras_ganaccel.modality.table.values import (
    as_numbers,
    as_times,
    as_words,
    parts_of,
)

MOST_KNOTS = 8
MOST_VALUES = 32
"""A category keeps so many values, the most frequent ones."""

LEAST_ROWS_OF_A_VALUE = 3
LEAST_SHARE_OF_A_VALUE = 0.002
MOST_WIDTH = 20_000

_LEAKING = 0.99
_ROWS_PROBED_FOR_LEAKS = 2000
_LEAST_ROWS_OF_A_LEAK = 40
# float32 keeps some seven digits; fewer than four of them vary where the mean is this far away.
_FAR = 1000.0


def fit_table(
    frame: pd.DataFrame,
    typed: tuple[TypedColumn, ...],
    y: np.ndarray,
    class_names: tuple[str, ...],
    *,
    target: str,
    numbers: NumberForm = "auto",
) -> tuple[TableSpec, tuple[str, ...]]:
    """Fits the encoding of a table.

    Columns that are constant, that only number or name the rows, or whose values are all rare are
    left out; columns that tell the target alone stay. The notes say so.

    Args:
        frame: The training rows.
        typed: What the columns are.
        y: Labels 0..k-1, shape ``(n,)``.
        class_names: The names of the classes.
        target: The name of the column of labels.
        numbers: How numbers get into the model.

    Returns:
        The specification, and what was found, a sentence each.

    Raises:
        InvalidInputError: If no column is left, or too many encoded numbers are.
    """
    identifiers = [column.name for column in typed if column.identifier]
    kept: list[Column] = []
    constant: list[str] = []
    leaking: list[str] = []
    for column in typed:
        if column.identifier:
            continue
        cells = frame[column.name]
        fitted = _FITS[column.kind](cells, column, numbers)
        encoded = TableSpec((fitted,), class_names, target).encode(frame[[column.name]])
        if not encoded.size or (encoded == encoded[:1]).all():
            constant.append(column.name)
            continue
        kept.append(fitted)
        if _tells_target(encoded, y):
            leaking.append(column.name)
    width = sum(sum(column.shares.sizes) for column in kept)
    if not kept or width > MOST_WIDTH:
        found = f"{width} numbers a row" if kept else " ".join(_notes(constant, identifiers, []))
        raise InvalidInputError(
            f"The columns of a table must encode to 1 to {MOST_WIDTH} numbers a row. Received: "
            f"{found.rstrip('.')}. Name other columns."
        )
    return TableSpec(tuple(kept), class_names, target), _notes(constant, identifiers, leaking)


def _notes(constant: list[str], identifiers: list[str], leaking: list[str]) -> tuple[str, ...]:
    notes = []
    if constant:
        notes.append(
            f"Left out, for all training rows are alike in {_these(constant)}: {named(constant)}."
        )
    if identifiers:
        notes.append(
            f"Left out, for the rows are only numbered or named by {_these(identifiers)}: "
            f"{named(identifiers)}. Name a kind in the file of columns to keep one."
        )
    if leaking:
        notes.append(
            f"The target is told alone by {_these(leaking)}: {named(leaking)}. Is that known when "
            "you predict? Leave it out with drop (--drop) if not."
        )
    return tuple(notes)


def _these(names: list[str]) -> str:
    return "this column" if len(names) == 1 else "these columns"


def _tells_target(encoded: np.ndarray, y: np.ndarray) -> bool:
    """Whether a small tree on this column alone finds the class of rows it did not see."""
    encoded, y = encoded[:_ROWS_PROBED_FOR_LEAKS], y[:_ROWS_PROBED_FOR_LEAKS]
    if len(y) < _LEAST_ROWS_OF_A_LEAK:
        return False
    tree = DecisionTreeClassifier(max_leaf_nodes=4 * (int(y.max()) + 1), random_state=0)
    tree.fit(encoded[::2], y[::2])
    found = tree.predict(encoded[1::2])
    # Classes of one row are in one half only.
    both = np.isin(y[1::2], y[::2])
    if len(np.unique(y[1::2][both])) < 2:
        return False
    return bool(balanced_accuracy_score(y[1::2][both], found[both]) >= _LEAKING)


def _fit_numbers(cells: pd.Series, typed: TypedColumn, form: NumberForm) -> Column:
    numbers = as_numbers(cells, typed.absent, typed.decimal)[0]
    finite = numbers[np.isfinite(numbers)]
    offset = _offset(finite)
    if typed.kind == "integer":
        offset = float(np.rint(offset))
    return NumberColumn(
        typed.name,
        typed.missing,
        curve=_curve(finite - offset, form),
        whole=typed.kind == "integer",
        offset=offset,
        flag=bool(np.isnan(numbers).any()),
        decimal=typed.decimal,
    )


def _curve(finite: np.ndarray, form: NumberForm) -> Curve:
    raw = to_float32(finite).astype(np.float64)
    if not len(raw) or np.ptp(raw) <= LEAST_STEP:
        # All that varies is whether there is a value.
        value = float(raw[0]) if len(raw) else 0.0
        return Curve((value, value + max(1.0, abs(value))), (0.0, 1.0), 0.0)
    return fit_curve(raw, form, MOST_KNOTS)


def _offset(finite: np.ndarray) -> float:
    """What is taken off so that float32 tells values apart that lie together far from zero."""
    if not len(finite):
        return 0.0
    middle, spread = float(np.median(finite)), float(np.ptp(finite))
    return middle if abs(middle) > _FAR * spread and math.isfinite(spread) else 0.0


def _fit_boolean(cells: pd.Series, typed: TypedColumn, form: NumberForm) -> Column:
    first, last = typed.words[0], typed.words[-1]
    column = BooleanColumn(typed.name, typed.missing, words=(first, last))
    raw = column.read(cells)[:, 0]
    missing = np.isnan(raw)
    fill = 0.0 if missing.all() else round(float(2 * raw[~missing].mean() - 1), 4)
    return replace(column, fill=fill, flag=bool(missing.any()))


def _fit_category(cells: pd.Series, typed: TypedColumn, form: NumberForm) -> Column:
    counts = Counter(as_words(cells, typed.absent).tolist())
    missing = counts.pop(None, 0)
    least = max(LEAST_ROWS_OF_A_VALUE, math.ceil(LEAST_SHARE_OF_A_VALUE * len(cells)))
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    frequent = [value for value in ranked if counts[value] >= least][:MOST_VALUES]
    return CategoryColumn(
        typed.name,
        typed.missing,
        values=tuple(frequent),
        other=len(frequent) < len(ranked),
        empty=bool(missing),
    )


def _fit_date(cells: pd.Series, typed: TypedColumn, form: NumberForm) -> Column:
    times = as_times(cells, typed.date_format, typed.absent)[0]
    days, *parts = parts_of(times)
    known = ~np.isnan(days)
    offset = float(np.floor(days[known].min())) if known.any() else 0.0
    turns = [
        turn for turn, part in zip(TURNS, parts, strict=True) if len(np.unique(part[known])) > 1
    ]
    return DateColumn(
        typed.name,
        typed.missing,
        curve=_curve(days[known] - offset, form),
        offset=offset,
        turns=tuple(turns),
        date_format=typed.date_format,
        flag=bool((~known).any()),
    )


_FITS = {
    "numeric": _fit_numbers,
    "integer": _fit_numbers,
    "boolean": _fit_boolean,
    "category": _fit_category,
    "date": _fit_date,
}
