"""Samples as a lesson: augmented once, and labelled by the teacher once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.augment import augment
from keras_ganaccel.classifier.members import answer_function
from keras_ganaccel.classifier.outputs import probability_logits
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.policies import check_policies

LOGITS = "teacher_logits"
_MIXING = ("mixup", "cutmix")
_MOST_SAMPLES = 20_000
_MOST_BYTES = 256 * 2**20
_CHUNK, _PLAIN_CHUNK, _CHUNK_BYTES = 1024, 2**14, 2**26


class AugmentedSamples:
    """Samples that are augmented chunk by chunk, each chunk a function of (seed, its number).

    A third of the samples is moved and mixed, a third only moved (shift, flip, cutout), a third
    only mixed: a small student that saw no image in its place would spend itself on places.

    Args:
        x: float32 ``(n, ...)`` in the form that classifiers take: an array, or whatever has a
            length and a shape and can be indexed by row numbers. What sets ``in_order`` is read
            from its first sample to its last, again and again; all others in random order.
        y: Integer labels ``(n,)``, -1 for none, or a row of shares for each sample,
            ``(n, num_classes)``.
        num_classes: The number of classes.
        size: Samples to make; None makes 20,000, or as many as fit in 256 MiB (without
            augmentation: each sample once).
        augmentation: Policies out of shift, flip, cutout, mixup, cutmix.
        seed: Seed of the samples' choice and augmentation.
        most: Upper bound of the size, such as the samples that a training takes.
        weight: Sample weights ``(n,)``; mixed as the labels are. None is 1 for each.

    Attributes:
        size: Samples that are made.
        chunks: Chunks that they are made in.

    Raises:
        InvalidInputError: No samples, or an unknown policy.
    """

    def __init__(
        self,
        x: Any,
        y: np.ndarray,
        *,
        num_classes: int,
        size: int | None = None,
        augmentation: Sequence[str] = ("shift", "cutout", "mixup"),
        seed: int = 0,
        most: int | None = None,
        weight: np.ndarray | None = None,
    ) -> None:
        if len(x) == 0:
            raise InvalidInputError(
                "A transfer set needs samples. Received: none. Give at least one."
            )
        policies = check_policies(augmentation)
        self.shape = tuple(int(side) for side in x.shape[1:])
        nbytes = 4 * int(np.prod(self.shape))
        if size is None:
            many = min(_MOST_SAMPLES, _MOST_BYTES // nbytes) if policies else 0
            size = max(len(x), many)
        self.size = size if most is None else min(size, most)
        self.num_classes = num_classes
        self._x, self._seed = x, seed
        self._labels = _label_rows(np.asarray(y), num_classes)
        self._weight = np.ones(len(x), np.float32) if weight is None else np.asarray(weight)
        moving = tuple(policy for policy in policies if policy not in _MIXING)
        mixing = tuple(policy for policy in policies if policy in _MIXING)
        self._ways = (policies, moving, mixing)
        # Every sample equally often, up to one.
        self._rows = np.arange(self.size) % len(x)
        if not getattr(x, "in_order", False):
            self._rows = np.random.default_rng(seed).permuted(self._rows)
        # Samples that stay as they are need no parts; a forest is asked about many at once.
        most_at_once = _CHUNK if policies else _PLAIN_CHUNK
        chunk = int(np.clip(_CHUNK_BYTES // nbytes, 1, most_at_once))
        self.chunks = (len(self._ways) if policies else 1) * -(-self.size // chunk)
        self._edges = np.linspace(0, self.size, 1 + self.chunks).astype(int)

    def start(self, index: int) -> int:
        """The number of the first sample of a chunk."""
        return int(self._edges[index])

    def chunk(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Makes a chunk.

        Returns:
            Samples ``(m, ...)``, labels ``(m, num_classes)`` and weights ``(m,)``, float32. A label
            that is missing is a row of zeros.
        """
        rows = self._rows[self._edges[index] : self._edges[index + 1]]
        labels, weight = self._labels[rows], self._weight[rows].astype(np.float32)
        x = np.asarray(self._x[rows], np.float32)
        policies = self._ways[index % len(self._ways)]
        if not policies:
            return x, labels, weight
        mixed, targets = augment(
            tf.constant(x),
            [tf.constant(labels), tf.constant(weight)],
            policies,
            tf.constant((self._seed, index)),
        )
        return mixed.numpy(), targets[0].numpy(), targets[1].numpy()


def answered(
    samples: AugmentedSamples, teacher: Any, first: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """Makes samples and asks the teacher about each of them.

    Args:
        samples: What is made.
        teacher: The teacher that answers; see `members.ask`.
        first: The number of the first sample.

    Yields:
        Their columns, some samples at a time: ``"x"``, ``"label"``, ``"teacher_logits"`` and
        ``"weight"``, float32.
    """
    answer = answer_function(teacher, samples.num_classes)
    for index in range(samples.chunks):
        skipped = max(first - samples.start(index), 0)
        if samples.start(index) + skipped >= samples.start(index + 1):
            continue
        x, labels, weight = (column[skipped:] for column in samples.chunk(index))
        logits = probability_logits(answer(x))
        yield {"x": x, "label": labels, LOGITS: logits, "weight": weight}


def _label_rows(y: np.ndarray, num_classes: int) -> np.ndarray:
    if y.ndim == 2:
        return y.astype(np.float32)
    one_hot = np.eye(num_classes, dtype=np.float32)
    return np.concatenate([one_hot, np.zeros_like(one_hot[:1])])[y.astype(np.int64)]


def transfer_set(
    teacher: Any,
    x: np.ndarray,
    y: np.ndarray,
    *,
    num_classes: int,
    size: int | None = None,
    augmentation: Sequence[str] = ("shift", "cutout", "mixup"),
    seed: int = 0,
    most: int | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Augments samples and asks the teacher about the very ones that come out, as arrays.

    Asking about augmented images beats reusing the answers for the originals, most of all where
    images are mixed ("a good teacher is patient and consistent", Beyer et al., arXiv
    2106.05237); asking once leaves a training step that costs the student alone. `TransferSet`
    does the same for sets that do not fit in memory, and mixes generated samples in.

    Args:
        teacher: The teacher that answers; see `members.ask`.
        x: float32 ``(n, ...)`` in [0, 1].
        y: Integer labels ``(n,)``; -1 marks samples without one.
        num_classes: The number of classes.
        size: Samples to make; None makes 20,000, or as many as fit in 256 MiB (without
            augmentation: each sample once).
        augmentation: Policies out of shift, flip, cutout, mixup, cutmix.
        seed: Seed of the samples' choice and augmentation.
        most: Upper bound of the size, such as the samples that a training takes.

    Returns:
        What `train_classifier` takes as data: samples ``(size, ...)`` and
        ``{"label": (size, num_classes), "teacher_logits": (size, num_classes)}``, float32. A label
        that is missing is a row of zeros.

    Raises:
        InvalidInputError: No samples, or an unknown policy.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> torn = lambda x: np.full((len(x), 2), 0.5)
        >>> x, y = np.zeros((4, 8, 8, 1), np.float32), np.array([0, 1, 1, -1])
        >>> images, targets = ga.transfer_set(torn, x, y, num_classes=2, size=6)
        >>> images.shape, {name: value.shape for name, value in targets.items()}
        ((6, 8, 8, 1), {'label': (6, 2), 'teacher_logits': (6, 2)})
    """
    made = AugmentedSamples(
        x,
        y,
        num_classes=num_classes,
        size=size,
        augmentation=augmentation,
        seed=seed,
        most=most,
    )
    blocks = list(answered(made, teacher))
    x, labels, logits = (
        np.concatenate([block[name] for block in blocks]) for name in ("x", "label", LOGITS)
    )
    return x, {"label": labels, LOGITS: logits}
