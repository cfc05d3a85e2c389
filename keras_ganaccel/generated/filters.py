"""Filters: which of a source's samples are good enough to be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import NearestNeighbors

from keras_ganaccel.classifier.members import answer_function
from keras_ganaccel.errors import InvalidInputError


class Filter(Protocol):
    """Anything that accepts or refuses samples.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> class Bright:
        ...     name = "bright"
        ...     def mask(self, x, y):
        ...         return x.mean(axis=(1, 2, 3)) > 0.5
        >>> bright: ga.Filter = Bright()
        >>> x = np.stack([np.zeros((8, 8, 1)), np.ones((8, 8, 1))])
        >>> bright.mask(x, np.array([0, 1])).tolist()
        [False, True]
    """

    name: str

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Decides about samples.

        Args:
            x: float32 in [0, 1], shape ``(n, height, width, channels)``.
            y: The classes that they were made for, int64, shape ``(n,)``.

        Returns:
            bool, shape ``(n,)``: True to keep.
        """


class Chain:
    """Filters one after the other, which counts per class what passes each.

    Args:
        filters: Applied in this order; each sees only what the ones before it kept.
        num_classes: The number of classes.

    Attributes:
        passed: int64, shape ``(len(filters) + 1, num_classes)``: samples tried, and samples left
            after each filter.
    """

    name = "chain"

    def __init__(self, filters: Sequence[Filter], num_classes: int) -> None:
        self.filters = list(filters)
        self.num_classes = num_classes
        self.passed = np.zeros((len(self.filters) + 1, num_classes), np.int64)

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `Filter.mask`."""
        left = np.arange(len(x))
        self._count(0, y)
        for number, one in enumerate(self.filters, start=1):
            if len(left):
                left = left[np.asarray(one.mask(x[left], y[left]), bool)]
            self._count(number, y[left])
        kept = np.zeros(len(x), bool)
        kept[left] = True
        return kept

    def acceptance(self) -> dict[str, list[float | None]]:
        """Returns, by filter, the share per class that it kept; None where it saw no sample."""
        return {
            name: [
                after / before if before else None
                for before, after in zip(self.passed[number], self.passed[number + 1], strict=True)
            ]
            for number, name in enumerate(self.names())
        }

    def names(self) -> list[str]:
        """The filters' names, numbered where one occurs twice."""
        names: list[str] = []
        for one in self.filters:
            same = sum(name.partition("#")[0] == one.name for name in names)
            names.append(f"{one.name}#{same + 1}" if same else one.name)
        return names

    def _count(self, stage: int, y: np.ndarray) -> None:
        self.passed[stage] += np.bincount(y, minlength=self.num_classes)


class TeacherAgreement:
    """Keeps samples to which the teacher gives the class that they were made for.

    Args:
        teacher: An `Ensemble`, a Keras model, a scikit-learn classifier or a callable; it returns
            class probabilities (a Keras model may return logits).
        min_confidence: The least probability of that class, in [0, 1].

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> teacher = lambda x: np.array([[1.0, 0.0], [0.7, 0.3], [0.1, 0.9]])
        >>> x, y = np.zeros((3, 8, 8, 1), np.float32), np.array([0, 1, 1])
        >>> ga.TeacherAgreement(teacher).mask(x, y).tolist()
        [True, False, True]
    """

    name = "teacher_agreement"

    def __init__(self, teacher: Any, *, min_confidence: float = 0.0) -> None:
        self._answer = answer_function(teacher)
        self.min_confidence = _share(min_confidence, "min_confidence")

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `Filter.mask`."""
        probabilities = self._answer(x)
        agreed = probabilities.argmax(axis=1) == y
        return agreed & (probabilities[np.arange(len(y)), y] >= self.min_confidence)


class ConfidenceBand:
    """Keeps samples about which the teacher is neither too sure nor too unsure.

    A sample that the teacher is sure of teaches little; one that it cannot place may be broken.

    Args:
        teacher: As in `TeacherAgreement`.
        low: Least probability of the likeliest class, in [0, 1].
        high: Greatest one, in [low, 1].

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> teacher = lambda x: np.array([[1.0, 0.0], [0.7, 0.3], [0.1, 0.9]])
        >>> x, y = np.zeros((3, 8, 8, 1), np.float32), np.array([0, 0, 1])
        >>> ga.ConfidenceBand(teacher, high=0.8).mask(x, y).tolist()
        [False, True, False]
    """

    name = "confidence_band"

    def __init__(self, teacher: Any, *, low: float = 0.4, high: float = 0.99) -> None:
        self._answer = answer_function(teacher)
        self.low, self.high = _share(low, "low"), _share(high, "high")
        if low > high:
            raise InvalidInputError(
                f"`low` must not exceed `high`. Received: {low} and {high}. Swap them."
            )

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `Filter.mask`."""
        del y
        confidence = self._answer(x).max(axis=1)
        return (confidence >= self.low) & (confidence <= self.high)


class NearDuplicates:
    """Drops samples that lie next to a training sample: copies bring nothing, and may leak it.

    Args:
        x: Training samples, float32 in [0, 1], shape ``(n, height, width, channels)``.
        factor: The least distance, as a share of the median distance between a training sample
            and its nearest neighbour in the training data.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> real, other = np.random.default_rng(0).random((2, 20, 8, 8, 1), np.float32)
        >>> ga.NearDuplicates(real).mask(np.stack([real[0], other[0]]), np.array([0, 0])).tolist()
        [False, True]
    """

    name = "near_duplicates"

    def __init__(self, x: np.ndarray, *, factor: float = 0.25) -> None:
        if len(x) < 2 or not factor > 0:
            raise InvalidInputError(
                f"Near-duplicates need two training samples and a `factor` above 0. Received: "
                f"{len(x)} and {factor}. Pass the training split."
            )
        self._flat = _flattened(x)
        # Without an argument, none is its own neighbour.
        distances, _ = NearestNeighbors(n_neighbors=1).fit(self._flat).kneighbors()
        self.threshold = factor * float(np.median(distances))

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `Filter.mask`."""
        del y
        return pairwise_distances_argmin_min(_flattened(x), self._flat)[1] > self.threshold


def content_uniforms(seed: int, x: np.ndarray) -> np.ndarray:
    """Gives each sample a uniform number that depends on the seed and its values alone.

    So a random decision about a sample does not depend on its neighbours in a chunk.

    Args:
        seed: Seed of the decisions.
        x: Samples, shape ``(n, ...)``.

    Returns:
        float64, shape ``(n,)``, in [0, 1).
    """
    key = int(seed).to_bytes(8, "little", signed=True)
    digests = b"".join(
        hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=8, key=key).digest()
        for row in x
    )
    return (np.frombuffer(digests, "<u8") >> np.uint64(11)) * 2.0**-53


def _flattened(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float64).reshape(len(x), -1)


def _share(value: float, name: str) -> float:
    if not 0 <= value <= 1:
        raise InvalidInputError(
            f"`{name}` must be in [0, 1]. Received: {value!r}. Pass a probability."
        )
    return float(value)
