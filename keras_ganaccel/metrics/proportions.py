"""Shares of right answers: their intervals, and paired comparisons on the same rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm

from keras_ganaccel.errors import InvalidInputError

_CERTAIN = 0.05


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), as SciPy computes it.

    Example:
        >>> low, high = wilson_interval(98, 100)
        >>> round(low, 3), round(high, 3)
        (0.93, 0.994)
    """
    found = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class PairedDifference:
    """How two classifiers differ on the same rows.

    Rows that both get right, or both wrong, say nothing about which of the two is better; the
    intervals of the two accuracies do not know of that, and overlap where the difference is
    beyond doubt.

    Args:
        rows: How many both have answered.
        only_first: Rows that the first alone gets right.
        only_second: Rows that the second alone gets right.
        difference: The first's accuracy minus the second's.
        ci95: Its 95 % interval (Agresti & Min, Statistics in Medicine 24, 2005).
        p_value: The p-value of McNemar's exact two-sided test that both are equally good.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> first, second = np.array([True] * 20), np.array([True] * 5 + [False] * 15)
        >>> found = ga.paired_difference(first, second)
        >>> found.only_first, found.only_second, found.certain
        (15, 0, True)
    """

    rows: int
    only_first: int
    only_second: int
    difference: float
    ci95: tuple[float, float]
    p_value: float

    @property
    def certain(self) -> bool:
        """Whether chance hardly explains the difference (p below 0.05)."""
        return self.p_value < _CERTAIN

    def as_dict(self) -> dict[str, Any]:
        """Returns the form of the ledger."""
        return {
            "rows": self.rows,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "difference": self.difference,
            "ci95": list(self.ci95),
            "p_value": self.p_value,
        }


def paired_difference(first: np.ndarray, second: np.ndarray) -> PairedDifference:
    """Compares two classifiers row by row.

    Args:
        first: Whether the first is right, bool ``(n,)``.
        second: Whether the second is right on the same rows, bool ``(n,)``.

    Returns:
        The difference with its interval and McNemar's exact test.

    Raises:
        InvalidInputError: The two are of other rows, or of none.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> right = np.ones(200, bool)
        >>> wrong_in_nine = np.arange(200) >= 9
        >>> found = ga.paired_difference(wrong_in_nine, right)
        >>> found.difference, round(found.p_value, 4), found.certain
        (-0.045, 0.0039, True)
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise InvalidInputError(
            "Two classifiers are compared on the same rows. Received: answers of shape "
            f"{first.shape} and {second.shape}. Ask both about the same samples."
        )
    rows = len(first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    return PairedDifference(
        rows=rows,
        only_first=only_first,
        only_second=only_second,
        difference=(only_first - only_second) / rows,
        ci95=_agresti_min(only_first, only_second, rows),
        p_value=float(binomtest(only_first, differing).pvalue) if differing else 1.0,
    )


def _agresti_min(only_first: int, only_second: int, rows: int) -> tuple[float, float]:
    """The Wald interval with half a row added to each cell, which also serves few rows."""
    b, c, n = only_first + 0.5, only_second + 0.5, rows + 2
    middle = (b - c) / n
    reach = float(norm.ppf(0.975)) * math.sqrt(b + c - (b - c) ** 2 / n) / n
    return max(middle - reach, -1.0), min(middle + reach, 1.0)
