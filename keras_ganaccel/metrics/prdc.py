"""Precision, recall, density and coverage: fidelity and diversity apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.arrays import feature_pair


def prdc(real: ArrayLike, generated: ArrayLike, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage from nearest-neighbour balls.

    Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models"
    (arXiv 2002.09797). Each sample's ball reaches to its k-th nearest neighbour of its own kind.
    Precision: the share of generated samples within some real ball. Recall: the share of real
    samples within some generated ball. Density: how many real balls hold a generated sample, over
    k (above 1 where samples crowd the real modes). Coverage: the share of real balls that hold a
    generated sample. Precision and recall swing with outliers; prefer density and coverage.

    Args:
        real: Features of real samples, shape ``(m, d)``, m > k.
        generated: Features of generated samples, shape ``(n, d)``, n > k.
        k: Which neighbour sets the balls' radius.

    Returns:
        ``{"precision", "recall", "density", "coverage"}``; all but density in [0, 1]. All depend
        on the sample counts and on k: compare only at equal ones.

    Raises:
        InvalidInputError: Too few samples, unequal widths, or values that are not finite.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> ga.prdc(x, x + 100.0)["coverage"]
        0.0
    """
    if k < 1:
        raise InvalidInputError(f"`k` must be at least 1. Received: {k}. The paper takes 5.")
    real, generated = feature_pair(real, generated, least=k + 1)
    real_radii, generated_radii = _radii(real, k), _radii(generated, k)
    balls_per_sample = np.zeros(len(generated))
    real_ball_filled = np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    start = 0
    for distances in pairwise_distances_chunked(generated, real):
        rows = slice(start, start + len(distances))
        within_real_ball = distances < real_radii
        balls_per_sample[rows] = within_real_ball.sum(axis=1)
        real_ball_filled |= within_real_ball.any(axis=0)
        recalled |= (distances < generated_radii[rows, None]).any(axis=0)
        start = rows.stop
    return {
        "precision": float((balls_per_sample > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(balls_per_sample.mean() / k),
        "coverage": float(real_ball_filled.mean()),
    }


def _radii(features: np.ndarray, k: int) -> np.ndarray:
    """Returns every sample's distance to its k-th nearest other sample."""
    neighbours = NearestNeighbors(n_neighbors=k).fit(features)
    return neighbours.kneighbors()[0][:, -1]
