"""Real samples as a transfer set: augmented once, and labelled by the teacher once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.augment import augment, check_policies
from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.outputs import probability_logits
from keras_ganaccel.errors import InvalidInputError

_MIXING = ("mixup", "cutmix")
_MOST_SAMPLES = 20_000
_MOST_BYTES = 256 * 2**20
_CHUNK = 1024


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
    """Augments real samples and asks the teacher about the very images that come out.

    Asking about augmented images beats reusing the answers for the originals, most of all where
    images are mixed ("a good teacher is patient and consistent", Beyer et al., arXiv
    2106.05237); asking once leaves a training step that costs the student alone. A third of the
    samples is moved and mixed, a third only moved (shift, flip, cutout), a third only mixed: a
    small student that saw no image in its place would spend itself on places.

    Args:
        teacher: The teacher that answers; see `members.ask`.
        x: float32 ``(n, height, width, channels)`` in [0, 1].
        y: Integer labels ``(n,)``; -1 marks samples without one.
        num_classes: The number of classes.
        size: Samples to make; None makes 20,000, or as many as fit in 256 MiB (without
            augmentation: each sample once).
        augmentation: Policies out of shift, flip, cutout, mixup, cutmix.
        seed: Seed of the samples' choice and augmentation.
        most: Upper bound of the size, such as the samples that a training takes.

    Returns:
        What `train_classifier` takes as data: images ``(size, height, width, channels)`` and
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
    if len(x) == 0:
        raise InvalidInputError("A transfer set needs samples. Received: none. Give at least one.")
    policies = check_policies(augmentation)
    if size is None:
        many = min(_MOST_SAMPLES, _MOST_BYTES // x[0].nbytes) if policies else 0
        size = max(len(x), many)
    size = size if most is None else min(size, most)
    moving = tuple(policy for policy in policies if policy not in _MIXING)
    mixing = tuple(policy for policy in policies if policy in _MIXING)
    ways = (policies, moving, mixing)
    # Every sample equally often, up to one.
    rows = np.random.default_rng(seed).permuted(np.arange(size) % len(x))
    one_hot = np.eye(num_classes, dtype=np.float32)
    one_hot = np.concatenate([one_hot, np.zeros_like(one_hot[:1])])
    images = np.empty((size, *x.shape[1:]), np.float32)
    labels = np.empty((size, num_classes), np.float32)
    edges = np.linspace(0, size, 1 + len(ways) * -(-size // _CHUNK)).astype(int)
    for index, (start, stop) in enumerate(itertools.pairwise(edges)):
        chosen = rows[start:stop]
        images[start:stop], labels[start:stop] = _augmented(
            x[chosen].astype(np.float32, copy=False),
            one_hot[np.asarray(y)[chosen]],
            ways[index % len(ways)],
            (seed, index),
        )
    logits = probability_logits(ask(teacher, images))
    return images, {"label": labels, "teacher_logits": logits}


def _augmented(
    images: np.ndarray, labels: np.ndarray, policies: Sequence[str], seed: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    mixed, targets = augment(
        tf.constant(images), [tf.constant(labels)], policies, tf.constant(seed)
    )
    return mixed.numpy(), targets[0].numpy()
