"""Synthetic samples without a network: what a GAN has to beat to have earned its time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.noise import noise_rows, uniform_rows
from keras_ganaccel.seeds import derive_seed


def training_arrays(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Returns float32 samples and int64 labels, without the unlabelled rows."""
    samples, labels = np.asarray(x, np.float32), np.asarray(y, np.int64)
    if len(samples) != len(labels):
        raise InvalidInputError(
            f"`x` and `y` must be equally long. Received: {len(samples)} and {len(labels)}. "
            "Pass one label per sample."
        )
    known = labels >= 0
    if not known.any():
        raise InvalidInputError(
            "A source needs labelled samples. Received: none. Pass the training split."
        )
    return samples[known], labels[known]


def rows_by_class(y: np.ndarray) -> dict[int, np.ndarray]:
    """Returns class -> its row numbers."""
    return {int(label): np.flatnonzero(y == label) for label in np.unique(y)}


def check_known(labels: np.ndarray, known: dict[int, Any]) -> None:
    """Refuses labels of classes that a source was not fitted on."""
    missing = sorted(set(np.unique(labels).tolist()) - set(known))
    if missing:
        raise InvalidInputError(
            f"The source has seen no sample of some classes. Received: {missing}. "
            "Ask for classes of the training data."
        )


def _uniforms(seed: int, indices: np.ndarray) -> np.ndarray:
    """Three uniform numbers per sample, float64 in [0, 1), shape ``(3, n)``."""
    return uniform_rows(seed, indices, 3).numpy().astype(np.float64).T


def data_digest(*arrays: np.ndarray) -> str:
    """Returns the SHA-256 of some arrays' bytes in hexadecimal digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class PCAGaussian:
    """A Gaussian per class in the leading principal components of the within-class scatter.

    With few samples a class its covariance is shrunk towards the one that all classes share.

    Args:
        means: Class -> mean sample, flattened.
        factors: Class -> ``(pixels, components)``: a sample is mean + factor @ normal.
        shape: ``(height, width, channels)``.
        seed: Seed of the samples.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> ga.PCAGaussian.fit(x, y).sample(np.array([0, 1, 1]), 0).shape
        (3, 8, 8, 1)
    """

    means: dict[int, np.ndarray]
    factors: dict[int, np.ndarray]
    shape: tuple[int, ...]
    seed: int

    @classmethod
    def fit(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        *,
        variance: float = 0.95,
        shrinkage: float = 0.5,
        seed: int = 0,
    ) -> PCAGaussian:
        """Fits means and covariances.

        Args:
            x: Training samples, float32 in [0, 1], shape ``(n, height, width, channels)``.
            y: Their classes, shape ``(n,)``; -1 rows are left out.
            variance: Share of the within-class variance that the components keep, in (0, 1].
            shrinkage: Weight of the shared covariance, in [0, 1].
            seed: Seed of the samples.
        """
        samples, labels = training_arrays(x, y)
        flat = samples.reshape(len(samples), -1).astype(np.float64)
        rows = rows_by_class(labels)
        means = {label: flat[row].mean(axis=0) for label, row in rows.items()}
        centred = flat - np.stack([means[label] for label in labels.tolist()])
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        share = np.cumsum(singular**2) / max(np.sum(singular**2), np.finfo(float).tiny)
        kept = min(int(np.searchsorted(share, variance - 1e-12)) + 1, len(singular))
        basis = directions[:kept]
        scores = centred @ basis.T
        freedom = max(len(scores) - len(rows), 1)
        shared = scores.T @ scores / freedom
        factors = {}
        for label, row in rows.items():
            own = scores[row].T @ scores[row] / max(len(row) - 1, 1)
            values, vectors = np.linalg.eigh((1 - shrinkage) * own + shrinkage * shared)
            factors[label] = basis.T @ (vectors * np.sqrt(np.maximum(values, 0.0)))
        return cls(means, factors, samples.shape[1:], seed)

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`; values outside [0, 1] are clipped."""
        check_known(labels, self.means)
        components = next(iter(self.factors.values())).shape[1]
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        noise = noise_rows(derive_seed(self.seed, "pca_gaussian"), indices, components).numpy()
        flat = np.empty((len(labels), int(np.prod(self.shape))))
        for label, rows in rows_by_class(labels).items():
            # One row at a time: a matrix product's rounding may depend on the number of rows.
            for row in rows:
                flat[row] = self.means[label] + self.factors[label] @ noise[row]
        return np.clip(flat, 0.0, 1.0).astype(np.float32).reshape(-1, *self.shape)

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        arrays = [*self.means.values(), *self.factors.values()]
        return {"source": "pca_gaussian", "seed": self.seed, "data": data_digest(*arrays)}


@dataclass(frozen=True, eq=False)
class Smote:
    """Points between a sample and one of its nearest neighbours of the same class.

    After Chawla et al., 2002, "SMOTE: Synthetic Minority Over-sampling Technique".

    Args:
        x: Training samples, float32 in [0, 1].
        rows: Class -> its rows in `x`.
        neighbours: Class -> ``(rows of the class, k)`` row numbers in `x`, nearest first.
        seed: Seed of the samples.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> ga.Smote.fit(x, y, k=3).sample(np.array([0, 1, 1]), 0).shape
        (3, 8, 8, 1)
    """

    x: np.ndarray
    rows: dict[int, np.ndarray]
    neighbours: dict[int, np.ndarray]
    seed: int

    @classmethod
    def fit(cls, x: ArrayLike, y: ArrayLike, *, k: int = 5, seed: int = 0) -> Smote:
        """Finds the neighbours.

        Args:
            x: Training samples, float32 in [0, 1], shape ``(n, height, width, channels)``.
            y: Their classes, shape ``(n,)``; -1 rows are left out.
            k: Neighbours to choose from; a lone sample of a class is its own neighbour.
            seed: Seed of the samples.
        """
        samples, labels = training_arrays(x, y)
        flat = samples.reshape(len(samples), -1).astype(np.float64)
        rows = rows_by_class(labels)
        neighbours = {}
        for label, row in rows.items():
            distances = ((flat[row][:, None] - flat[row][None]) ** 2).sum(axis=2)
            if len(row) > 1:
                np.fill_diagonal(distances, np.inf)
            nearest_rows = np.argsort(distances, axis=1, kind="stable")
            neighbours[label] = row[nearest_rows[:, : max(min(k, len(row) - 1), 1)]]
        return cls(samples, rows, neighbours, seed)

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        check_known(labels, self.rows)
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        which, other, part = _uniforms(derive_seed(self.seed, "smote"), indices)
        base, partner = np.empty(len(labels), np.int64), np.empty(len(labels), np.int64)
        for label, places in rows_by_class(labels).items():
            chosen = (which[places] * len(self.rows[label])).astype(np.int64)
            near = self.neighbours[label]
            base[places] = self.rows[label][chosen]
            partner[places] = near[chosen, (other[places] * near.shape[1]).astype(np.int64)]
        return _blend(self.x[base], self.x[partner], part)

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        arrays = [self.x, *self.neighbours.values()]
        return {"source": "smote", "seed": self.seed, "data": data_digest(*arrays)}


@dataclass(frozen=True, eq=False)
class MixupSource:
    """Blends of a sample of the asked-for class with a smaller part of any other sample.

    After Zhang et al., 2018, "mixup" (arXiv 1710.09412), as a pool: the label is that of the
    larger part; soft labels come from the teacher.

    Args:
        x: Training samples, float32 in [0, 1].
        rows: Class -> its rows in `x`.
        alpha: Parameter of the Beta(alpha, alpha) that the parts are drawn from.
        seed: Seed of the samples.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> ga.MixupSource.fit(x, y).sample(np.array([0, 1, 1]), 0).shape
        (3, 8, 8, 1)
    """

    x: np.ndarray
    rows: dict[int, np.ndarray]
    alpha: float
    seed: int

    @classmethod
    def fit(cls, x: ArrayLike, y: ArrayLike, *, alpha: float = 0.4, seed: int = 0) -> MixupSource:
        """Keeps the samples.

        Args:
            x: Training samples, float32 in [0, 1], shape ``(n, height, width, channels)``.
            y: Their classes, shape ``(n,)``; -1 rows are left out.
            alpha: Above 0; the larger, the more even the blends.
            seed: Seed of the samples.
        """
        if not alpha > 0:
            raise InvalidInputError(f"`alpha` must be above 0. Received: {alpha}. Try 0.4.")
        samples, labels = training_arrays(x, y)
        return cls(samples, rows_by_class(labels), alpha, seed)

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        check_known(labels, self.rows)
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        which, other, part = _uniforms(derive_seed(self.seed, "mixup"), indices)
        base = np.empty(len(labels), np.int64)
        for label, places in rows_by_class(labels).items():
            own = self.rows[label]
            base[places] = own[(which[places] * len(own)).astype(np.int64)]
        partner = (other * len(self.x)).astype(np.int64)
        blend = betaincinv(self.alpha, self.alpha, part)
        return _blend(self.x[base], self.x[partner], np.minimum(blend, 1 - blend))

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        classes = [rows for _, rows in sorted(self.rows.items())]
        data = data_digest(self.x, *classes)
        return {"source": "mixup", "seed": self.seed, "alpha": self.alpha, "data": data}


def _blend(base: np.ndarray, partner: np.ndarray, part: np.ndarray) -> np.ndarray:
    shares = part.astype(np.float32).reshape(-1, *[1] * (base.ndim - 1))
    return base + shares * (partner - base)
