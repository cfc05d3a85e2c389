"""A source that is broken on purpose: no honest comparison may find a use for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ganaccel.gan.noise import uniform_rows
from keras_ganaccel.seeds import derive_seed


class NoiseSource:
    """Uniform noise under any label.

    Args:
        shape: ``(height, width, channels)``.
        seed: Seed of the noise.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> ga.NoiseSource((8, 8, 1)).sample(np.arange(3), 0).shape
        (3, 8, 8, 1)
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
