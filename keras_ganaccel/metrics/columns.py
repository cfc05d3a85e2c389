"""How generated rows of a table resemble real ones, column by column and pair by pair.

The eight scores that are usual for tables, by the names and formulas of the SDMetrics project, all
of them from 0, worst, to 1. They tell where a generator misses its columns. They do not tell
whether a model learns from its rows, nor whether the rows give anybody away.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from keras_ganaccel.errors import InvalidInputError

_BINS = 10


@dataclass(frozen=True)
class ColumnScores:
    """What is said of one column.

    Args:
        name: The column.
        shape: Likeness of the distributions: 1 - Kolmogorov and Smirnov's distance of numbers
            (KSComplement), 1 - the total variation distance of categories (TVComplement).
        coverage: Share of the real range, or of the real categories, that is generated
            (RangeCoverage, CategoryCoverage).
        adherence: Share of the generated values that lie within the real range, or are real
            categories (BoundaryAdherence, CategoryAdherence).

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.ColumnScores("age", shape=0.9, coverage=1.0, adherence=1.0).shape
        0.9
    """

    name: str
    shape: float
    coverage: float
    adherence: float


@dataclass(frozen=True)
class PairScores:
    """What is said of two columns together.

    Args:
        names: The columns.
        score: 1 - half the difference of the correlations of two columns of numbers
            (CorrelationSimilarity); else 1 - the total variation distance of their contingency
            tables, numbers in ten bins over the real range (ContingencySimilarity).

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.PairScores(("age", "income"), 0.8).score
        0.8
    """

    names: tuple[str, str]
    score: float


@dataclass(frozen=True)
class TableScores:
    """All scores of a generated table.

    Args:
        columns: One for each column.
        pairs: One for each pair of columns that is asked for.

    Example:
        >>> import keras_ganaccel as ga
        >>> scores = ga.TableScores((ga.ColumnScores("age", 0.9, 1.0, 1.0),), ())
        >>> scores.mean_shape
        0.9
    """

    columns: tuple[ColumnScores, ...]
    pairs: tuple[PairScores, ...]

    @property
    def mean_shape(self) -> float:
        """Mean likeness of the columns' distributions."""
        return float(np.mean([column.shape for column in self.columns]))

    @property
    def mean_pair(self) -> float | None:
        """Mean likeness of the pairs; None for a table of one column."""
        return float(np.mean([pair.score for pair in self.pairs])) if self.pairs else None


def table_scores(
    real: pd.DataFrame,
    generated: pd.DataFrame,
    *,
    categories: Collection[str] = (),
    pairs: Sequence[tuple[str, str]] | None = None,
) -> TableScores:
    """Compares generated rows with real ones.

    Args:
        real: Real rows; those that the generator has not seen say more than its training rows.
        generated: Generated rows with the same columns.
        categories: The columns whose values are names; those that hold no numbers are among them.
        pairs: Pairs of columns to compare; None for all.

    Returns:
        The scores. Missing values are left out of the numbers, and count as a category of their
        own among categories.

    Raises:
        InvalidInputError: The columns differ, or a column holds no value.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pandas as pd
        >>> real = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "sex": ["f", "m", "f", "m"]})
        >>> ga.table_scores(real, real.iloc[:2]).columns[0].shape
        0.5
    """
    if list(real.columns) != list(generated.columns) or not len(real) or not len(generated):
        raise InvalidInputError(
            "Both tables need rows and the same columns. Received: "
            f"{len(real)} rows of {list(real.columns)[:5]} and {len(generated)} of "
            f"{list(generated.columns)[:5]}. Decode both with one spec."
        )
    numeric = [
        name for name in real.columns if name not in categories and real[name].dtype.kind in "biuf"
    ]
    names = list(real.columns)
    wanted = list(combinations(names, 2)) if pairs is None else list(pairs)
    columns = tuple(_column(real[name], generated[name], name in numeric) for name in names)
    binned = {name: _binned(real[name], generated[name], name in numeric) for name in names}
    scores = []
    for first, second in wanted:
        if first in numeric and second in numeric:
            score = correlation_similarity(real[[first, second]], generated[[first, second]])
        else:
            tables = zip(binned[first], binned[second], strict=True)
            joint = [pd.Series(list(zip(*columns, strict=True))) for columns in tables]
            score = tv_complement(*joint)
        scores.append(PairScores((first, second), score))
    return TableScores(columns, tuple(scores))


def _column(real: pd.Series, generated: pd.Series, numeric: bool) -> ColumnScores:
    if numeric:
        ends = _numbers(real), _numbers(generated)
        shape, coverage, within = ks_complement, range_coverage, boundary_adherence
    else:
        ends = _words(real), _words(generated)
        shape, coverage, within = tv_complement, category_coverage, category_adherence
    return ColumnScores(str(real.name), shape(*ends), coverage(*ends), within(*ends))


def _numbers(cells: pd.Series) -> pd.Series:
    values = cells.dropna().astype(np.float64)
    if values.empty:
        raise InvalidInputError(
            f"A column must hold values to be compared. Received: {cells.name!r}, missing in all "
            f"{len(cells)} rows. Leave it out."
        )
    return values


def _words(cells: pd.Series) -> pd.Series:
    return cells.astype(object).where(cells.notna(), None).map(str)


def _binned(real: pd.Series, generated: pd.Series, numeric: bool) -> list[pd.Series]:
    """The cells of both as categories: numbers by ten equal parts of the real range."""
    if not numeric:
        return [_words(cells) for cells in (real, generated)]
    values = _numbers(real)
    ends = np.linspace(values.min(), values.max(), _BINS + 1)[1:-1]
    return [
        pd.Series(np.digitize(cells.astype(np.float64), ends)).where(cells.notna().to_numpy(), -1)
        for cells in (real, generated)
    ]


def ks_complement(real: pd.Series, generated: pd.Series) -> float:
    """1 - the largest distance of two empirical distribution functions."""
    return float(1.0 - ks_2samp(real, generated).statistic)


def tv_complement(real: pd.Series, generated: pd.Series) -> float:
    """1 - the total variation distance of two columns of categories."""
    shares = [cells.value_counts(normalize=True) for cells in (real, generated)]
    return float(1.0 - shares[0].sub(shares[1], fill_value=0.0).abs().sum() / 2)


def range_coverage(real: pd.Series, generated: pd.Series) -> float:
    """Share of the real range between the least and the largest generated number."""
    width = real.max() - real.min()
    if width == 0:
        return float((generated == real.iloc[0]).any())
    below = max((generated.min() - real.min()) / width, 0.0)
    above = max((real.max() - generated.max()) / width, 0.0)
    return float(max(1.0 - (below + above), 0.0))


def category_coverage(real: pd.Series, generated: pd.Series) -> float:
    """Share of the real categories that are generated."""
    return float(real.drop_duplicates().isin(generated).mean())


def boundary_adherence(real: pd.Series, generated: pd.Series) -> float:
    """Share of the generated numbers between the least and the largest real one."""
    return float(generated.between(real.min(), real.max()).mean())


def category_adherence(real: pd.Series, generated: pd.Series) -> float:
    """Share of the generated categories that are real ones."""
    return float(generated.isin(real).mean())


def correlation_similarity(real: pd.DataFrame, generated: pd.DataFrame) -> float:
    """1 - half the difference of Pearson's correlations of two columns of numbers.

    A column without spread correlates with nothing: it counts as 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [frame.astype(np.float64).corr().to_numpy()[0, 1] for frame in (real, generated)]
    first, second = np.nan_to_num(found)
    return float(1.0 - abs(first - second) / 2)
