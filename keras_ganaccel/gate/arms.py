"""Arms: what a student may be trained on, and the samples that this comes down to."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ganaccel.classifier.transfer_set import TransferSet, check_mixture
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.generated.candidates import Pool, most_doubted, without_held_out
from keras_ganaccel.generated.filters import Filter

logger = logging.getLogger(__name__)

REAL_ONLY = "real_only"


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
        check_mixture(self.generated_fraction, self.schedule)
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


def with_pool(
    real: TransferSet, arm: Arm, pool: Pool, teacher: Any, taken: int, seed: int
) -> TransferSet:
    """Puts a pool's samples beside the real ones, as an arm has it; see `TransferSet.beside`.

    Args:
        real: The real samples.
        arm: The arm whose fraction, schedule and weight count.
        pool: Its samples, filtered.
        teacher: The teacher that answers.
        taken: Samples that the training takes in all.
        seed: Seed of the pool's choice and augmentation.

    Returns:
        The transfer set of the arm.
    """
    return real.beside(
        teacher,
        pool.x,
        pool.y,
        arm.generated_fraction,
        schedule=arm.schedule,
        weight=arm.generated_weight,
        seed=seed,
        most=max(1, math.ceil(arm.generated_fraction * taken)),
        source=arm.source or arm.name,
    )


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
    return _kept(pool, pool.mask_by(arm.filter(teacher).mask), arm)


def chosen(arm: Arm, pool: Pool, teacher: Any, doubting: Callable[[], Any], seed: int) -> Pool:
    """What the arm's filter and a student's doubts leave of a pool.

    Args:
        arm: The arm whose filter and share count.
        pool: The samples.
        teacher: The teacher that the filter asks and that the student learns from.
        doubting: Gives a student that has learnt from the real samples; called if it is needed.
        seed: Seed of the choice.

    Returns:
        The pool that is left.
    """
    pool = filtered(arm, pool, teacher)
    if arm.doubted is None:
        return pool
    return most_doubted(pool, teacher, doubting(), arm.doubted, seed)


def _kept(pool: Pool, mask: np.ndarray, arm: Arm) -> Pool:
    if not mask.any():
        logger.warning("No sample of the arm %s passes; its pool is used whole.", arm.name)
        return pool
    return pool.chosen(mask)
