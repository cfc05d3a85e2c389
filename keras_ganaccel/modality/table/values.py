"""What the cells of a column hold, read as numbers, as words or as points in time."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

MISSING_WORDS = frozenset(
    [
        "",
        "?",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "#NA",
        "<NA>",
        "NaN",
        "nan",
        "-nan",
        "-NaN",
        "NaT",
        "NULL",
        "null",
        "None",
    ]
)
"""What stands for a missing value in a file or frame, unless the user names other words."""

ISO_8601 = "ISO8601"
_DAY = 86_400


def is_text(series: pd.Series) -> bool:
    """Tells whether the cells are Python's objects or text, neither numbers nor dates by dtype."""
    dtype = series.dtype
    return dtype.kind == "O" and not isinstance(dtype, pd.PeriodDtype)


def as_words(series: pd.Series, missing: Collection[str] = MISSING_WORDS) -> np.ndarray:
    """Reads cells as words: numbers in their shortest form, text trimmed and composed.

    Args:
        series: Any dtype.
        missing: Words that mean a missing value.

    Returns:
        Shape ``(n,)``, strings, None where a value is missing.

    Example:
        >>> as_words(pd.Series([1.0, None, 2.5])).tolist()
        ['1', None, '2.5']
        >>> as_words(pd.Series([" a", "?", "b"])).tolist()
        ['a', None, 'b']
    """
    codes, cells = pd.factorize(series)
    words = np.array([None, *(_word(cell, missing) for cell in cells)], dtype=object)
    return words[codes + 1]


def as_numbers(
    series: pd.Series, missing: Collection[str] = MISSING_WORDS, decimal: str = "."
) -> tuple[np.ndarray, np.ndarray]:
    """Reads cells as numbers.

    Args:
        series: Any dtype; spans of time become seconds.
        missing: Words that mean a missing value.
        decimal: The decimal mark of numbers that are text, a point or a comma.

    Returns:
        float64 of shape ``(n,)``, NaN where a value is missing or no number, and a mask of those
        that are no numbers.

    Example:
        >>> numbers, wrong = as_numbers(pd.Series(["1", "?", "x"]))
        >>> numbers.tolist(), wrong.tolist()
        ([1.0, nan, nan], [False, False, True])
    """
    kind = series.dtype.kind
    if kind == "m":
        return series.dt.total_seconds().to_numpy(np.float64), np.zeros(len(series), bool)
    if kind in "biuf":
        numbers = series.to_numpy(np.float64, na_value=np.nan)
        coded = pd.to_numeric(pd.Series(list(missing), dtype=object), errors="coerce").dropna()
        numbers = np.where(np.isin(numbers, coded), np.nan, numbers)
        return numbers, np.zeros(len(series), bool)
    words = as_words(series, missing)
    absent = pd.isna(words)
    codes, cells = pd.factorize(words)
    texts = pd.Series(cells, dtype=object)
    if decimal == ",":
        texts = texts.str.replace(",", ".", regex=False)
    known = pd.to_numeric(texts.replace({"True": "1", "False": "0"}), errors="coerce")
    numbers = np.append(known.to_numpy(np.float64), np.nan)[codes]
    return numbers, np.isnan(numbers) & ~absent


def as_times(
    series: pd.Series, date_format: str, missing: Collection[str] = MISSING_WORDS
) -> tuple[pd.Series, np.ndarray]:
    """Reads cells as points in time, those with a zone in UTC.

    Args:
        series: Any dtype.
        date_format: As `datetime.strptime` takes it, or `ISO_8601`.
        missing: Words that mean a missing value.

    Returns:
        ``datetime64`` without a zone, NaT where a value is missing or no date, and a mask of those
        that are no dates.
    """
    if isinstance(series.dtype, pd.PeriodDtype):
        series = series.dt.to_timestamp()
    if series.dtype.kind == "M":
        times = series if series.dt.tz is None else series.dt.tz_convert("UTC").dt.tz_localize(None)
        return times, np.zeros(len(series), bool)
    words = pd.Series(as_words(series, missing), index=series.index, dtype=object)
    times = pd.to_datetime(words, format=date_format, errors="coerce", utc=True)
    return times.dt.tz_localize(None), (times.isna() & words.notna()).to_numpy()


def parts_of(times: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Takes points in time apart as a device's clock does.

    Args:
        times: ``datetime64`` without a zone.

    Returns:
        float64, NaN where a time is missing: days since 1970-01-01 with their fraction, the day of
        the year from 0, the day of the week from 0 for Monday, and the second of the day.
    """
    midnight = times.dt.normalize()
    days = ((midnight - pd.Timestamp(0)) / pd.Timedelta(days=1)).to_numpy(np.float64)
    seconds = (times - midnight).dt.total_seconds().to_numpy(np.float64)
    day_of_year = times.dt.dayofyear.to_numpy(np.float64) - 1
    return days + seconds / _DAY, day_of_year, times.dt.dayofweek.to_numpy(np.float64), seconds


def times_of(days: np.ndarray) -> pd.Series:
    """The points in time of days since 1970-01-01, to the second; NaT where they are NaN."""
    seconds = pd.Series(np.rint(np.asarray(days, np.float64) * _DAY))
    return pd.to_datetime(seconds, unit="s")


def _word(cell: Any, missing: Collection[str]) -> str | None:
    if isinstance(cell, str):
        text = unicodedata.normalize("NFC", cell.strip())
    elif isinstance(cell, bytes):
        text = unicodedata.normalize("NFC", cell.decode("utf-8", "backslashreplace").strip())
    elif isinstance(cell, (float, np.floating)):
        if np.isnan(cell):
            return None
        whole = bool(np.isfinite(cell)) and cell == np.rint(cell) and abs(float(cell)) < 2**53
        text = str(int(cell)) if whole else str(cell)
    elif cell is None or cell is pd.NaT or cell is pd.NA:
        return None
    else:
        text = str(cell)
    return None if text in missing else text
