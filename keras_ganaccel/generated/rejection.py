"""Filters that bring the distribution of samples nearer to that of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.generated.filters import content_uniforms
from keras_ganaccel.seeds import derive_seed

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
Features = Callable[[np.ndarray], np.ndarray]
_BATCH = 256


def discriminator_score(discriminator: Any, spec: Spec | None = None) -> Score:
    """Makes the function that a discriminator is asked through.

    Args:
        discriminator: A Keras model from ``[relaxed sample, label]`` to logits, such as
            ``gan.discriminator``.
        spec: The description of the data; None for images, which need none.

    Returns:
        A function from encoded samples and classes to logits, float64 ``(n,)``; the
        mean over heads where there are several.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> score = ga.discriminator_score(ga.build_discriminator(spec, width=8))
        >>> score(np.zeros((3, 8, 8, 1), np.float32), np.array([0, 1, 1])).shape
        (3,)
    """
    forms = Forms(spec)

    def score(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        relaxed, labels = forms.relax(np.asarray(x, np.float32)), y.astype(np.int32)
        parts = [
            np.asarray(
                discriminator(
                    [relaxed[start : start + _BATCH], labels[start : start + _BATCH]],
                    training=False,
                ),
                np.float64,
            )
            for start in range(0, len(x), _BATCH)
        ]
        return np.concatenate([part.reshape(len(part), -1).mean(axis=1) for part in parts])

    return score


def rejection_probabilities(
    logits: np.ndarray, maximum: np.ndarray, gamma: np.ndarray, epsilon: float = 1e-14
) -> np.ndarray:
    """The acceptance of discriminator rejection sampling (arXiv 1810.06758, equation 8).

    Args:
        logits: The discriminator's, shape ``(n,)``.
        maximum: The greatest logit, of broadcastable shape; higher ones count as this.
        gamma: Subtracted; the greater, the fewer samples pass.
        epsilon: Keeps the greatest logit's value finite.

    Returns:
        Probabilities, float64 ``(n,)``.
    """
    below = np.minimum(logits - maximum, 0.0)
    return _sigmoid(below - np.log(-np.expm1(below - epsilon)) - gamma)


class DiscriminatorRejection:
    """Discriminator rejection sampling (Azadi et al., arXiv 1810.06758), calibrated per class.

    Args:
        score: From samples and classes to logits; see `discriminator_score`.
        x: Generated samples to calibrate on, float32 in [0, 1].
        y: Their classes; each that will be asked about must occur.
        percentile: Percentile of the uncalibrated acceptance that becomes a half, in [0, 100];
            about the share of samples, in percent, that is rather refused.
        seed: Seed of the decisions.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> score = ga.discriminator_score(ga.build_discriminator(spec, width=8))
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> ga.DiscriminatorRejection(score, x, y, percentile=20).mask(x, y).shape
        (20,)
    """

    name = "discriminator"

    def __init__(
        self, score: Score, x: np.ndarray, y: np.ndarray, *, percentile: float = 60, seed: int = 0
    ) -> None:
        if not 0 <= percentile <= 100:
            raise InvalidInputError(
                f"`percentile` must be in [0, 100]. Received: {percentile!r}. Try 60."
            )
        self._score, self._seed = score, derive_seed(seed, "discriminator_rejection")
        self.maximum, self.gamma = {}, {}
        logits = score(x, y)
        for label in np.unique(y).tolist():
            own = logits[y == label]
            below = own - own.max()
            uncalibrated = below - np.log(-np.expm1(below - 1e-14))
            self.maximum[label] = own.max()
            self.gamma[label] = np.percentile(uncalibrated, percentile)

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `Filter.mask`."""
        accepted = rejection_probabilities(
            self._score(x, y), _by_class(self.maximum, y), _by_class(self.gamma, y)
        )
        return content_uniforms(self._seed, x) < accepted


class DensityRatio:
    """Rejection sampling by an estimated density ratio in a classifier's features.

    After cGAN-KD (Ding et al., arXiv 2104.03164), which samples with the ratio of the real to the
    generated density given the class. The ratio is estimated by a regularised logistic regression
    instead of a neural network, which a few hundred labels cannot train.

    Args:
        features: From samples to features ``(n, d)``, such as a `FeatureExtractor`.
        real_x: Training samples, float32 in [0, 1].
        real_y: Their classes.
        generated_x: Generated samples, float32 in [0, 1].
        generated_y: Their classes.
        quantile: Quantile of the ratios of a class' generated samples from which on a sample is
            always accepted.
        regularization: Inverse strength of the regression's penalty (scikit-learn's C).
        seed: Seed of the decisions.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> pixels = lambda x: x.reshape(len(x), -1)
        >>> rng = np.random.default_rng(0)
        >>> real, y = 0.5 * rng.random((40, 4, 4, 1), np.float32), np.arange(40) % 2
        >>> dark, bright = real.copy(), real + 0.5
        >>> generated, of = np.concatenate([dark, bright]), np.concatenate([y, y])
        >>> ratio = ga.DensityRatio(pixels, real, y, generated, of)
        >>> bool(ratio.mask(dark, y).sum() > ratio.mask(bright, y).sum())
        True
    """

    name = "density_ratio"

    def __init__(
        self,
        features: Features,
        real_x: np.ndarray,
        real_y: np.ndarray,
        generated_x: np.ndarray,
        generated_y: np.ndarray,
        *,
        quantile: float = 0.95,
        regularization: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not 0 < quantile <= 1:
            raise InvalidInputError(
                f"`quantile` must be in (0, 1]. Received: {quantile}. Try 0.95."
            )
        self._features, self._seed = features, derive_seed(seed, "density_ratio")
        self._classes = np.unique(generated_y)
        raw = np.concatenate([features(real_x), features(generated_x)])
        self._scaler = StandardScaler().fit(raw)
        labels = np.concatenate([real_y, generated_y])
        is_real = np.repeat([1, 0], [len(real_y), len(generated_y)])
        self._model = LogisticRegression(C=regularization, max_iter=1000)
        self._model.fit(self._inputs(raw, labels), is_real)
        log_ratios = self._log_ratios(features(generated_x), generated_y)
        self.always = {
            int(label): float(np.quantile(log_ratios[generated_y == label], quantile))
            for label in self._classes
        }

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `Filter.mask`."""
        log_ratios = self._log_ratios(self._features(x), y) - _by_class(self.always, y)
        return content_uniforms(self._seed, x) < np.exp(np.minimum(log_ratios, 0.0))

    def _log_ratios(self, features: np.ndarray, y: np.ndarray) -> np.ndarray:
        # The share of real samples shifts all of a class alike and cancels.
        return self._model.decision_function(self._inputs(features, y))

    def _inputs(self, features: np.ndarray, y: np.ndarray) -> np.ndarray:
        scaled = self._scaler.transform(features)
        return np.concatenate([scaled, y[:, None] == self._classes], axis=1)


def _by_class(values: dict[int, Any], y: np.ndarray) -> np.ndarray:
    missing = sorted(set(np.unique(y).tolist()) - set(values))
    if missing:
        raise InvalidInputError(
            f"The filter was not calibrated on some classes. Received: {missing}. "
            "Calibrate it on samples of every class."
        )
    return np.array([values[label] for label in y.tolist()], np.float64)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -x))
