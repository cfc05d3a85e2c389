"""Fréchet distance between Gaussians fitted to real and generated features."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.arrays import feature_pair

LEAST_SAMPLES = 2048


def frechet_distance(real: ArrayLike, generated: ArrayLike, *, allow_biased: bool = False) -> float:
    """Squared Fréchet distance of the Gaussians with the samples' means and covariances.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (arXiv 1706.08500); call it FID
    only with Inception features. The trace of the covariances' geometric mean is taken as the sum
    of the singular values of a product of triangular factors of the data, so that no covariance
    is squared or rooted: the result is real and exact also where covariances are singular.

    Args:
        real: Features of real samples, shape ``(m, d)``.
        generated: Features of generated samples, shape ``(n, d)``.
        allow_biased: Whether to compute it below 2,048 samples, where its upward bias, which
            differs from model to model, can be larger than what it shall show.

    Returns:
        The distance, at least 0.

    Raises:
        InvalidInputError: Too few samples, unequal widths, or values that are not finite.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(3000, 2))
        >>> round(ga.frechet_distance(x, x + [3.0, 4.0]), 6)
        25.0
    """
    real, generated = feature_pair(real, generated, least=2)
    fewest = min(len(real), len(generated))
    if fewest < LEAST_SAMPLES and not allow_biased:
        raise InvalidInputError(
            f"The Fréchet distance needs {LEAST_SAMPLES} samples of each kind, below which its "
            f"bias misleads. Received: {len(real)} real, {len(generated)} generated. "
            "Use KID, or pass allow_biased=True."
        )
    shift = real.mean(axis=0) - generated.mean(axis=0)
    real_factor, generated_factor = _covariance_factor(real), _covariance_factor(generated)
    overlap = linalg.svdvals(real_factor @ generated_factor.T).sum()
    spread = np.square(real_factor).sum() + np.square(generated_factor).sum()
    return max(0.0, float(shift @ shift + spread - 2.0 * overlap))


def _covariance_factor(features: np.ndarray) -> np.ndarray:
    """Returns R with ``R.T @ R`` the unbiased covariance, never forming the covariance."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    return linalg.qr(centred, mode="r")[0][: min(centred.shape)]
