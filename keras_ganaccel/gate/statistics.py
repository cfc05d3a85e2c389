"""The statistics of paired comparisons over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import t as student_t


@dataclass(frozen=True)
class PairedTest:
    """A one-sided test that a mean paired difference is above zero, and its interval.

    Args:
        mean: The mean difference.
        low: Lower end of the two-sided interval.
        high: Upper end.
        p_value: The p-value of the differences being zero on average, against their being above.

    Example:
        >>> import keras_ganaccel as ga
        >>> round(ga.paired_test([0.01, 0.02, 0.03]).mean, 3)
        0.02
    """

    mean: float
    low: float
    high: float
    p_value: float


def paired_test(
    differences: Sequence[float], *, folds: int | None = None, confidence: float = 0.95
) -> PairedTest:
    """The paired t-test, for differences from (repeated) cross-validation.

    The folds of one repetition hold out different rows and count as independent. Further
    repetitions hold out the same rows again: they steady the mean and the estimate of the spread,
    but do not make the interval narrower, or any difference would become certain by repeating.
    (What remains is that training parts overlap, by which the test is slightly too bold:
    Dietterich, Neural Computation 10, 1998.)

    Args:
        differences: One per pair; at least two.
        folds: Folds of a repetition; None if all pairs are independent.
        confidence: Level of the interval.

    Returns:
        The test. Differences that are all the same have an interval of no width, and the p-value
        of a sign test.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.paired_test([0.01, 0.02, 0.03]).low < 0
        True
    """
    values = np.asarray(differences, np.float64)
    pairs, mean = len(values), float(values.mean())
    independent = pairs if folds is None else min(pairs, folds)
    error = float(np.sqrt(values.var(ddof=1) / independent))
    if error <= 1e-12 * max(1.0, abs(mean)):
        return PairedTest(mean, mean, mean, 0.5**independent if mean > 0 else 1.0)
    spread = student_t(pairs - 1, loc=mean, scale=error)
    low, high = spread.interval(confidence)
    return PairedTest(mean, float(low), float(high), float(spread.cdf(0.0)))


def holm_levels(p_values: Mapping[str, float], hypotheses: int) -> dict[str, float]:
    """The significance divisor that each hypothesis faces in Holm's step-down procedure.

    Args:
        p_values: Name -> p-value.
        hypotheses: How many were started, those that were given up before a test included.

    Returns:
        Name -> divisor: the smallest p-value is compared with ``alpha / hypotheses``, the next
        with ``alpha / (hypotheses - 1)``, and so on.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.holm_levels({"a": 0.04, "b": 0.001}, hypotheses=3)
        {'b': 3, 'a': 2}
    """
    ranked = sorted(p_values, key=lambda name: p_values[name])
    return {name: hypotheses - rank for rank, name in enumerate(ranked)}


def holm_rejected(p_values: Mapping[str, float], hypotheses: int, alpha: float) -> set[str]:
    """The hypotheses that Holm's step-down procedure rejects.

    Args:
        p_values: Name -> p-value.
        hypotheses: How many were started, see `holm_levels`.
        alpha: Family-wise error rate.

    Returns:
        Their names.
    """
    rejected: set[str] = set()
    for name, divisor in holm_levels(p_values, hypotheses).items():
        if p_values[name] > alpha / divisor:
            break
        rejected.add(name)
    return rejected


def calibrated_log_loss(logits: np.ndarray, y: np.ndarray) -> float:
    """Mean log-loss at the temperature that suits these logits best.

    Arms differ in how soft their targets are, and so in how sure their students sound; that can
    be mended after training by one number and must not decide. What remains tells how well the
    classes are told apart, with far less noise than a count of errors.

    Args:
        logits: ``(n, classes)``.
        y: Integer labels ``(n,)``.

    Returns:
        The least mean log-loss over temperatures from 0.05 to 20.
    """
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(y))

    def loss(log_scale: float) -> float:
        return float(-log_softmax(np.exp(log_scale) * logits, axis=1)[rows, y].mean())

    found = minimize_scalar(loss, bounds=(-np.log(20.0), np.log(20.0)), method="bounded")
    return float(min(found.fun, loss(0.0)))
