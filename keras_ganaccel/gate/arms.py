"""Arms: what a student may be trained on, and the samples that this comes down to."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.transfer import transfer_set
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.gate.pools import Pool, without_held_out
from keras_ganaccel.generated.filters import Filter
from keras_ganaccel.pipelines import without_autotuner
from keras_ganaccel.seeds import derive_seed

logger = logging.getLogger(__name__)

REAL_ONLY = "real_only"
SCHEDULES = ("constant", "generated_first")


@dataclass(frozen=True)
class Recipe:
    """How every arm's student is trained.

    Args:
        steps: Optimizer steps.
        batch_size: Samples per step over all replicas.
        optimizer: Name of a Keras optimizer.
        learning_rate: Its first learning rate.
        schedule: ``"cosine"`` or ``"constant"``.
        temperature: Temperature of the distillation.
        alpha: Weight of the labels.
        loss: ``"hinton"`` or ``"logits"``.
        label_smoothing: Label smoothing of the labels' term.
        augmentation: Augmentation of the real samples, see `transfer_set`.
        transfer_size: Augmented real samples; None: as `transfer_set` has it, and no more than
            the steps take.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.Recipe(steps=200, augmentation=("shift",)).loss
        'hinton'
    """

    steps: int = 1000
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    temperature: float = 2.0
    alpha: float = 0.2
    loss: str = "hinton"
    label_smoothing: float = 0.0
    augmentation: tuple[str, ...] = ("shift", "cutout", "mixup")
    transfer_size: int | None = None


@dataclass(frozen=True, eq=False)
class Arm:
    """One way to train the student: real samples and, perhaps, a pool.

    Args:
        name: Its name in the ledger.
        pool: A pool, or a function ``(x, y, seed) -> Pool`` that fits its source on the training
            part of each pair.
        generated_fraction: Share of the pool's samples in the stream, in [0, 1).
        schedule: ``"constant"``, or ``"generated_first"``: from twice the share down to none.
        filter: A function from the pair's teacher to a filter with ``mask(x, y)``. So a pool that
            comes unfiltered is judged by a teacher that has not seen the held-out labels.
        learnt_from_labels: Whether the source of a given (not fitted) pool has seen all labels,
            the held-out ones of each pair too; see `without_held_out`.
        generated_weight: Sample weight of the pool's samples.
        doubted: Keep this share of the pool, in (0, 1]: what a student that was distilled on real
            samples sees otherwise than its teacher; see `most_doubted`. None keeps all.
        seconds: What making the pool has cost, with its generator's training.
        source: What the ledger calls the source of the pool's samples; None for real data only.

    Raises:
        InvalidInputError: A value out of range.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> def smote(x, y, seed):
        ...     labels = np.arange(100) % 10
        ...     return ga.Pool(ga.Smote.fit(x, y, seed=seed).sample(labels, 0), labels)
        >>> ga.Arm("smote", smote, generated_fraction=0.5).schedule
        'constant'
    """

    name: str
    pool: Pool | Callable[[np.ndarray, np.ndarray, int], Pool] | None = None
    generated_fraction: float = 0.0
    schedule: str = "constant"
    filter: Callable[[Any], Filter] | None = None
    learnt_from_labels: bool = True
    generated_weight: float = 1.0
    doubted: float | None = None
    seconds: float = 0.0
    source: str | None = None

    def __post_init__(self) -> None:
        if self.doubted is not None and not 0.0 < self.doubted <= 1.0:
            raise InvalidInputError(
                f"`doubted` must be in (0, 1]. Received: {self.doubted}. Pass None to keep all."
            )
        if not 0.0 <= self.generated_fraction < 1.0:
            raise InvalidInputError(
                f"`generated_fraction` must be in [0, 1). Received: {self.generated_fraction}. "
                "Pass 0 to train on real data only."
            )
        if self.schedule not in SCHEDULES:
            raise InvalidInputError(
                f"Unknown `schedule`. Received: {self.schedule!r}. "
                f"{nearest(self.schedule, SCHEDULES)}"
            )
        if (self.pool is None) != (self.generated_fraction == 0.0):
            raise InvalidInputError(
                f"The arm {self.name!r} needs both a pool and a fraction, or neither. "
                f"Received: generated_fraction={self.generated_fraction} "
                f"{'without' if self.pool is None else 'with'} a pool. Give both."
            )

    def digest(self) -> str:
        """Identifies the arm in a state file: name, settings and, if given, the pool's content."""
        pool = self.pool.digest() if isinstance(self.pool, Pool) else repr(self.pool is None)
        settings = (self.name, self.generated_fraction, self.schedule, self.generated_weight)
        doubted = () if self.doubted is None else (self.doubted,)
        text = repr((*settings, self.learnt_from_labels, self.filter is None, pool, *doubted))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Samples:
    """What a student is trained on: arrays, and the rows of them in the order of the steps.

    Args:
        arrays: ``(x, {"label", "teacher_logits"}, sample_weight)``.
        rows: int64 ``(steps, batch)``.
        augmentation: Augmentation of the real samples; a pool is treated alike.
    """

    arrays: tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]
    rows: np.ndarray
    augmentation: tuple[str, ...] = ()

    def batches(self, rows: np.ndarray | None = None) -> tf.data.Dataset:
        """Streams ``(x, {"label", "teacher_logits"}, sample_weight)``, a batch per step.

        Args:
            rows: Other rows than its own, int64 ``(steps, batch)``, such as one worker's.
        """
        with tf.device("CPU:0"):
            tensors = tf.nest.map_structure(tf.convert_to_tensor, self.arrays)
        batches = tf.data.Dataset.from_tensor_slices(self.rows if rows is None else rows).map(
            lambda chosen: tf.nest.map_structure(lambda all: tf.gather(all, chosen), tensors)
        )
        return without_autotuner(batches)


def real_samples(
    teacher: Any, x: np.ndarray, y: np.ndarray, num_classes: int, recipe: Recipe, seed: int
) -> Samples:
    """Augments and labels the real samples once, for all arms.

    Args:
        teacher: The teacher that answers, see `transfer_set`.
        x: Real samples, float32 ``(n, height, width, channels)`` in [0, 1].
        y: Their labels; -1 for none.
        num_classes: The number of classes.
        recipe: How the students are trained.
        seed: Seed of choice, augmentation and order.

    Returns:
        The samples of the arm without a pool.
    """
    taken = recipe.steps * recipe.batch_size
    images, targets = transfer_set(
        teacher,
        x,
        y,
        num_classes=num_classes,
        size=recipe.transfer_size,
        augmentation=recipe.augmentation,
        seed=derive_seed(seed, "transfer"),
        most=taken,
    )
    rows = _endless_rows(len(images), taken, derive_seed(seed, "real"))
    weights = np.ones(len(images), np.float32)
    rows = rows.reshape(recipe.steps, recipe.batch_size)
    return Samples((images, targets, weights), rows, recipe.augmentation)


def mixed_samples(real: Samples, arm: Arm, pool: Pool, teacher: Any, seed: int) -> Samples:
    """Puts a pool's samples among the real ones.

    Arms differ by the pool alone: real samples come in the order that they have without it, and
    its own are augmented and labelled as those are. (Left as they are they would make an easier
    lesson, and even worthless ones would seem to help a student that trains briefly.)

    Args:
        real: As `real_samples` returns them.
        arm: The arm whose fraction and schedule count.
        pool: Its samples, filtered.
        teacher: The teacher that labels them.
        seed: Seed of the pool's order.

    Returns:
        The samples of the arm.
    """
    images, targets, weights = real.arrays
    generated = generated_places(arm.generated_fraction, arm.schedule, real.rows.size)
    count = int(generated.sum())
    x, extra = transfer_set(
        teacher,
        pool.x,
        pool.y,
        num_classes=targets["label"].shape[1],
        augmentation=real.augmentation,
        seed=derive_seed(seed, "transfer"),
        most=count,
    )
    drawn = _endless_rows(len(x), count, derive_seed(seed, "pool"))
    rows = np.empty(real.rows.size, np.int64)
    rows[generated] = len(images) + drawn
    rows[~generated] = real.rows.ravel()[: real.rows.size - count]
    merged = {key: np.concatenate([targets[key], extra[key]]) for key in targets}
    weight = np.full(len(x), arm.generated_weight, np.float32)
    arrays = (np.concatenate([images, x]), merged, np.concatenate([weights, weight]))
    return Samples(arrays, rows.reshape(real.rows.shape), real.augmentation)


def arm_pool(
    arm: Arm,
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
    held_out: np.ndarray | None = None,
) -> Pool:
    """The pool of an arm beside some real samples, fitted if need be, before its filter.

    Args:
        arm: One with a pool.
        x: The real samples, float32 ``(n, height, width, channels)`` in [0, 1].
        y: Their labels.
        seed: Seed of a pool that is fitted.
        held_out: Images whose like must not be in a pool that has learnt from them.

    Returns:
        The pool.

    Raises:
        InvalidInputError: The arm has no pool.
    """
    if arm.pool is None:
        raise InvalidInputError(f"The arm {arm.name!r} has no pool. Received: none. Give it one.")
    if not isinstance(arm.pool, Pool):
        return arm.pool(x, y, seed)
    if held_out is None or not arm.learnt_from_labels:
        return arm.pool
    return _kept(arm.pool, without_held_out(arm.pool, x, held_out), arm)


def filtered(arm: Arm, pool: Pool, teacher: Any) -> Pool:
    """What the arm's filter leaves of a pool.

    A pool that is refused whole is returned as it is: it is the worst of pools, and the comparison
    shall show it.

    Args:
        arm: The arm whose filter counts.
        pool: The samples.
        teacher: The teacher that the filter asks.

    Returns:
        The pool that is left.
    """
    if arm.filter is None:
        return pool
    return _kept(pool, arm.filter(teacher).mask(pool.x, pool.y), arm)


def _kept(pool: Pool, mask: np.ndarray, arm: Arm) -> Pool:
    mask = np.asarray(mask, bool)
    if not mask.any():
        logger.warning("No sample of the arm %s passes; its pool is used whole.", arm.name)
        return pool
    return Pool(pool.x[mask], pool.y[mask])


def generated_places(fraction: float, schedule: str, count: int) -> np.ndarray:
    """Which samples of a stream are generated ones, evenly spread.

    Args:
        fraction: Their share, in [0, 1).
        schedule: One of `SCHEDULES`.
        count: Length of the stream.

    Returns:
        bool ``(count,)``.

    Example:
        >>> generated_places(0.5, "constant", 4).tolist()
        [False, True, False, True]
    """
    shares = np.full(count, fraction)
    if schedule == "generated_first":
        shares = np.minimum(2.0 * fraction * (1.0 - np.arange(count) / count), 1.0)
    # Rounding keeps sums of shares such as 0.1 from falling short of a whole number.
    reached = np.floor(np.round(np.cumsum(shares), 9))
    return np.diff(reached, prepend=0.0) > 0.0


def _endless_rows(rows: int, count: int, seed: int) -> np.ndarray:
    """`count` row numbers: every row once, in random order, then once again, and so on."""
    random = np.random.default_rng(seed)
    passes: Sequence[np.ndarray] = [random.permutation(rows) for _ in range(-(-count // rows))]
    return np.concatenate([np.empty(0, np.int64), *passes])[:count].astype(np.int64)
