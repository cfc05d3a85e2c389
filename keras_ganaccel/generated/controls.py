"""Sources that are broken on purpose: no honest comparison may find a use for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ganaccel.gan.noise import uniform_rows
from keras_ganaccel.generated.sources import Source
from keras_ganaccel.seeds import derive_seed


class NoiseSource:
    """Uniform noise under any label.

    Args:
        shape: ``(height, width, channels)``.
        seed: Seed of the noise.
    """

    def __init__(self, shape: Sequence[int], *, seed: int = 0) -> None:
        self._shape, self._seed = tuple(shape), seed

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        rows = uniform_rows(derive_seed(self._seed, "noise"), indices, int(np.prod(self._shape)))
        return rows.numpy().reshape(-1, *self._shape)

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        return {"source": "noise", "shape": list(self._shape), "seed": self._seed}


class ShuffledLabels:
    """Another source's samples of random classes, whatever class was asked for.

    Args:
        source: Any source.
        num_classes: The number of classes.
        seed: Seed of the classes.
    """

    def __init__(self, source: Source, num_classes: int, *, seed: int = 0) -> None:
        self._source, self._num_classes, self._seed = source, num_classes, seed

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        draws = uniform_rows(derive_seed(self._seed, "shuffled"), indices, 1).numpy()[:, 0]
        return self._source.sample((draws * self._num_classes).astype(np.int64), start_index)

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        return {"source": "shuffled_labels", "seed": self._seed, "of": self._source.describe()}


class Collapsed:
    """A generator after mode collapse: one and the same sample per class.

    Args:
        source: Any source.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        del start_index
        classes, which = np.unique(labels, return_inverse=True)
        samples = [self._source.sample(np.array([label]), 0)[0] for label in classes]
        return np.stack(samples)[which]

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        return {"source": "collapsed", "of": self._source.describe()}
