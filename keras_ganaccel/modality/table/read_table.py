"""Tables out of files and frames: what the columns hold, the labels apart, and nothing learnt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_ganaccel.data.labels import named
from keras_ganaccel.errors import (
    InvalidInputError,
    MissingExtraError,
    MissingFileError,
    nearest,
    reason_of,
)
from keras_ganaccel.modality.table.column_file import ColumnOptions, TableOptions
from keras_ganaccel.modality.table.dialect import MOST_COLUMNS, check_names, find_dialect
from keras_ganaccel.modality.table.table_spec import TableSpec
from keras_ganaccel.modality.table.values import MISSING_WORDS, as_numbers, as_words, is_text

SUFFIXES = (".csv", ".tsv", ".parquet")
_LIKELY_REGRESSION = 20
EMBEDDED = ("breast_cancer", "wine", "iris")


@dataclass(frozen=True, eq=False)
class RawTable:
    """What a table holds before labels are mapped and splits are drawn.

    Args:
        name: The name of the data set.
        frame: The columns that are inputs, raw.
        labels: The column of labels; None where no target was named.
        groups: The column of groups, if one was named.
        notes: What was assumed, a sentence each.
    """

    name: str
    frame: pd.DataFrame
    labels: pd.Series | None
    groups: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def read_table(source: Any, options: TableOptions, name: str | None = None) -> RawTable:
    """Reads a table.

    Args:
        source: A pandas frame; a .csv, .tsv or .parquet file; ``"tables:"`` and one of
            `EMBEDDED`.
        options: What the user says of it.
        name: The name of the data set; None derives it.

    Returns:
        The table.

    Raises:
        MissingFileError: If the file cannot be read.
        MissingExtraError: If a Parquet file is read without pyarrow.
        InvalidInputError: If it is no usable table; the message is one line.

    Example:
        >>> table = read_table("tables:iris", TableOptions())
        >>> table.frame.shape, sorted(set(table.labels))
        ((150, 4), ['setosa', 'versicolor', 'virginica'])
    """
    notes: tuple[str, ...] = ()
    if isinstance(source, pd.DataFrame):
        frame, found = _checked_frame(source), "table"
    elif str(source).startswith("tables:"):
        frame, found = _embedded(str(source).partition(":")[2]), str(source)
        options = options if options.target is not None else replace(options, target="target")
    else:
        path = Path(source).expanduser()
        frame, notes = _read_file(path, options)
        found = path.stem
    labels = _take_labels(frame, options.target)
    groups = _take_groups(frame, options.groups)
    rest = _inputs(frame, options)
    return RawTable(name or found, rest, labels, groups, notes + _coded_notes(rest, options))


def read_rows(source: Any, spec: TableSpec) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Reads rows of a table that is known, with or without its column of labels.

    Args:
        source: A pandas frame, or a .csv, .tsv or .parquet file.
        spec: The description of the table.

    Returns:
        The rows, and what was assumed, a sentence each.

    Raises:
        InvalidInputError: If it is no table, or not one with the columns of the known one.
    """
    if isinstance(source, pd.DataFrame):
        return _known_rows(_checked_frame(source), spec), ()
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() in SUFFIXES:
        said = {column.name: ColumnOptions(missing=column.missing) for column in spec.columns}
        frame, notes = _read_file(Path(source).expanduser(), TableOptions(columns=said))
        return _known_rows(frame, spec), notes
    received = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    raise InvalidInputError(
        f"The rows of a table must be a pandas frame or a file ({', '.join(SUFFIXES)}). "
        f"Received: {received[:80]!r}. Convert them."
    )


def _known_rows(frame: pd.DataFrame, spec: TableSpec) -> pd.DataFrame:
    """Rows with all columns of a known table, which is found out before any is encoded."""
    spec.raw_form(frame.iloc[:0])
    return frame


def _read_file(path: Path, options: TableOptions) -> tuple[pd.DataFrame, tuple[str, ...]]:
    try:
        if path.suffix.lower() == ".parquet":
            return _checked_frame(_read_parquet(path)), ()
        dialect = find_dialect(path, options)
        # Labels may be called NA, and groups have no numbers.
        as_they_are = [column for column in (options.target, options.groups) if column is not None]
        missing = MISSING_WORDS if options.missing is None else {"", *options.missing}
        of_columns = {
            column: ["", *said] if (said := options.column(column).missing) else list(missing)
            for column in dialect.columns
            if column not in as_they_are
        }
        frame = pd.read_csv(
            path,
            sep=dialect.delimiter,
            decimal=dialect.decimal,
            encoding=dialect.encoding,
            header=0,
            names=list(dialect.columns),
            index_col=False,
            dtype={column: object for column in as_they_are if column in dialect.columns},
            keep_default_na=False,
            na_values=of_columns,
            skipinitialspace=True,
            low_memory=False,
            float_precision="round_trip",
        )
    except OSError as error:
        raise MissingFileError(
            f"Cannot read {str(path)!r}. Received: {error.strerror or reason_of(error)}. "
            "Give an existing, readable file."
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        raise InvalidInputError(
            f"Cannot read {path.name!r} as a table. Received: {reason_of(error)}. "
            "Save it anew as CSV, in UTF-8."
        ) from None
    return frame, dialect.notes


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(
            "Parquet files need pyarrow. Received: no such package. "
            "Install it: pip install 'keras-ganaccel[parquet]'."
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            columns = len(file.schema_arrow.names)
            if columns > MOST_COLUMNS:
                raise InvalidInputError(
                    f"The file {path.name!r} must have at most {MOST_COLUMNS} columns. Received: "
                    f"{columns}. Choose those that matter."
                )
            return file.read().to_pandas()
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise InvalidInputError(
            f"Cannot read {path.name!r} as a Parquet file. Received: {reason_of(error)}. "
            "Save it anew."
        ) from None


def _embedded(name: str) -> pd.DataFrame:
    if name not in EMBEDDED:
        raise InvalidInputError(
            f"There is no such embedded table. Received: {name!r}. {nearest(name, EMBEDDED)}"
        )
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    frame = pd.DataFrame(bunch.data, columns=list(map(str, bunch.feature_names)))
    return frame.assign(target=bunch.target_names[bunch.target].astype(object))


def _checked_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of its own whose columns are named by text."""
    if frame.columns.nlevels > 1:
        raise InvalidInputError(
            "A table must have one name for each column. Received: a frame whose columns have "
            f"{frame.columns.nlevels} levels. Join them: frame.columns.map('_'.join)."
        )
    if len(frame.columns) > MOST_COLUMNS:
        check_names([""] * len(frame.columns), "The frame")
    names = ["" if pd.isna(name) else str(name) for name in frame.columns]
    check_names(names, "The frame")
    if not len(frame):
        raise InvalidInputError(
            f"A table must have rows. Received: a frame of {len(names)} columns without any. "
            "Check where it comes from."
        )
    return frame.set_axis(names, axis=1).reset_index(drop=True)


def _take_labels(frame: pd.DataFrame, target: str | None) -> pd.Series | None:
    if target is None:
        return None
    _require_column(frame, target, "target")
    labels = frame[target]
    if is_text(labels):
        numbers, wrong = as_numbers(labels, ("",))
        if not wrong.any():
            labels = pd.Series(numbers, name=target)
    _refuse_too_many_classes(labels, target)
    return labels


def _refuse_too_many_classes(labels: pd.Series, target: str) -> None:
    present = labels.dropna()
    classes = present.nunique()
    if classes < 2 and len(present):
        raise InvalidInputError(
            f"The target {target!r} must hold at least 2 classes. Received: only "
            f"{str(present.iloc[0])!r} in {len(present)} rows. Give rows of every class to tell "
            "apart."
        )
    if classes <= len(present) / 2:
        return
    numbers = labels.dtype.kind in "iuf" and classes > _LIKELY_REGRESSION
    what = "different numbers, as in regression," if numbers else "different values"
    raise InvalidInputError(
        f"The target {target!r} must hold classes, each of two rows or more. Received: {classes} "
        f"{what} in {len(present)} rows. "
        + ("Regression targets are not supported; cut the numbers into classes." if numbers
           else "Name another target.")
    )  # fmt: skip


def _take_groups(frame: pd.DataFrame, groups: str | None) -> np.ndarray | None:
    if groups is None:
        return None
    _require_column(frame, groups, "groups")
    words = as_words(frame[groups], ("",))
    absent = pd.isna(words)
    if absent.any():
        raise InvalidInputError(
            f"The column of groups {groups!r} must be filled in every row. Received: "
            f"{int(absent.sum())} of {len(words)} empty. Give each row its group."
        )
    return words.astype(str)


def _inputs(frame: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    for name in options.named:
        _require_column(frame, name, "column")
    taken = {*options.drop, options.target, options.groups}
    if options.target is not None and options.target in (*options.drop, options.groups):
        raise InvalidInputError(
            f"The target must not be dropped or group the rows. Received: {options.target!r} as "
            "both. Name another column."
        )
    rest = frame[[name for name in frame.columns if name not in taken]]
    if not len(rest.columns):
        raise InvalidInputError(
            "A table must have a column beside the target. Received: "
            f"{named([str(name) for name in frame.columns])}. Drop fewer of them."
        )
    return rest


def _require_column(frame: pd.DataFrame, name: str, what: str) -> None:
    if name in frame.columns:
        return
    names = [str(column) for column in frame.columns]
    raise InvalidInputError(
        f"There is no such {what if what == 'column' else f'column to be the {what}'}. Received: "
        f"{name!r}. " + (nearest(name, names) if len(names) <= 30 else f"It has {named(names)}.")
    )


def _coded_notes(frame: pd.DataFrame, options: TableOptions) -> tuple[str, ...]:
    """Tells what was taken for missing."""
    cells = int(frame.isna().sum().sum())
    columns = int(frame.isna().any().sum())
    if not cells:
        return ()
    return (
        f"{cells} cells of {columns} column{'s' if columns > 1 else ''} hold no value; that is "
        "kept as a fact of its own.",
    )
