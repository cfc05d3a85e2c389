"""The way of one number into a model: a line of a few straight pieces, and back again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from keras_ganaccel.errors import InvalidInputError

LIMIT = 3.0
"""Encoded numbers lie in [-LIMIT, LIMIT], so that one scale of an int8 input serves all columns."""

NumberForm = Literal["auto", "rank", "standardise"]
_DIGITS = 4
# A slope over less would be beyond float32.
LEAST_STEP = 1e-30
# Measured on six public tables at 500 rows with a small MLP: below this skewness standardised
# numbers serve up to 1.5 points better, above it ranks do, by up to 2 points.
_SKEWED = 2.0


@dataclass(frozen=True)
class Curve:
    """A rising line through knots, level beyond its ends.

    Args:
        knots: Raw values, rising, each one of float32.
        scores: The encoded value of each, rising, in [-`LIMIT`, `LIMIT`].
        fill: The encoded value of a missing one: the mean of the training rows.

    Example:
        >>> curve = Curve((0.0, 10.0), (-1.0, 1.0), fill=0.0)
        >>> curve.encode(np.array([5.0, 20.0, np.nan])).tolist()
        [0.0, 1.0, 0.0]
        >>> curve.decode(np.array([0.5])).tolist()
        [7.5]
    """

    knots: tuple[float, ...]
    scores: tuple[float, ...]
    fill: float

    def __post_init__(self) -> None:
        numbers = np.array([*self.knots, *self.scores, self.fill], np.float64)
        knots, scores = np.array(self.knots, np.float32), np.array(self.scores, np.float64)
        fits = len(knots) == len(scores) > 0 and bool((np.abs(scores) <= LIMIT).all())
        rising = bool((np.diff(knots) > 0).all() and (np.diff(scores) > 0).all())
        if not (np.isfinite(numbers).all() and fits and rising and abs(self.fill) <= LIMIT):
            raise InvalidInputError(
                f"A curve must rise through as many scores as knots, within {LIMIT:g}. Received: "
                f"{str(self)[:80]}. Fit it again."
            )

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Encodes raw values.

        Args:
            values: Any shape; infinite ones are taken for the ends, NaN for missing.

        Returns:
            float64 in [-`LIMIT`, `LIMIT`].
        """
        encoded = np.interp(values, self.knots, self.scores)
        return np.where(np.isnan(values), self.fill, encoded)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """The raw values, float64, of encoded ones; beyond the ends those of the ends."""
        return np.interp(encoded, self.scores, self.knots)


def fit_curve(values: np.ndarray, form: NumberForm, most_knots: int) -> Curve:
    """Fits the curve of a column.

    By rank, a value's score is the normal distribution's quantile of the share of rows below it,
    equal rows counting half, as scikit-learn's `QuantileTransformer` has it; of many values a few
    knots are kept, at equal distances in score. Standardised, it is the value less the mean, over
    the standard deviation, as in `StandardScaler`, and level beyond the last value on either side
    that lies within `LIMIT`. ``"auto"`` is by rank where the skewness of the values is beyond 2,
    standardised elsewhere.

    Args:
        values: Finite ones of the training rows, shape ``(n,)``, that float32 tells apart: at least
            two are different by more than 1e-30.
        form: ``"auto"``, ``"rank"`` or ``"standardise"``.
        most_knots: Knots to keep by rank, at least 2.

    Returns:
        The curve.
    """
    values = values.astype(np.float64)
    if form == "auto":
        form = "rank" if _is_skewed(values) else "standardise"
    knots, scores = _ranked(values, most_knots) if form == "rank" else _standardised(values)
    # Shortest text that float32 tells apart: these travel inside of files of a few kilobytes.
    knots = np.array([float(str(np.float32(knot))) for knot in knots])
    rising = np.append(True, np.diff(knots) > LEAST_STEP)
    knots, scores = knots[rising], np.round(scores[rising], _DIGITS)
    fill = float(np.round(np.interp(values, knots, scores).mean(), _DIGITS))
    return Curve(tuple(knots.tolist()), tuple(scores.tolist()), fill)


def _is_skewed(values: np.ndarray) -> bool:
    # Cubes of large values overflow, and skewness has no scale.
    apart = values / np.abs(values).max()
    apart = apart - apart.mean()
    return bool(abs((apart**3).mean()) > _SKEWED * (apart**2).mean() ** 1.5)


def _ranked(values: np.ndarray, most_knots: int) -> tuple[np.ndarray, np.ndarray]:
    knots, counts = np.unique(values, return_counts=True)
    share = (np.cumsum(counts) - counts / 2) / len(values)
    tail = ndtr(-LIMIT)
    scores = ndtri(tail + (1 - 2 * tail) * share)
    # Rounded equal scores would leave a jump that no line goes through.
    apart = np.append(True, np.diff(np.round(scores, _DIGITS)) > 0)
    knots, scores = knots[apart], scores[apart]
    if len(knots) > most_knots:
        wanted = np.linspace(scores[0], scores[-1], most_knots)
        right = np.clip(np.searchsorted(scores, wanted), 1, len(scores) - 1)
        nearer_left = wanted - scores[right - 1] < scores[right] - wanted
        kept = np.unique(right - nearer_left)
        knots, scores = knots[kept], scores[kept]
    return knots, scores


def _standardised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Values whose squares overflow are no reason to give up on their column.
    scale = np.abs(values).max()
    mean, deviation = scale * (values / scale).mean(), scale * (values / scale).std()
    ends = mean + np.array([-LIMIT, LIMIT]) * deviation
    inside = values[(values >= ends[0]) & (values <= ends[1])]
    few = inside.min() == inside.max()
    knots = np.array([values.min(), values.max()] if few else [inside.min(), inside.max()])
    return knots, np.clip((knots - mean) / deviation, -LIMIT, LIMIT)
