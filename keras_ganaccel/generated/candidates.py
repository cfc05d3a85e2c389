"""Candidates: what may be trained on beside the real samples, and which of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score, pairwise_distances_argmin_min

from keras_ganaccel.classifier.members import ask
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.generated.coverage import Disagreement
from keras_ganaccel.generated.rows import CHUNK, StoredRows, joined_rows, selected

logger = logging.getLogger(__name__)

# Samples that tell how far a student differs from its teacher.
_CALIBRATION = 2000


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples beside the real ones.

    Args:
        x: float32 ``(n, height, width, channels)`` in [0, 1], as an array; `Pool.stored` reads
            them from disk instead.
        y: The classes that they were made for, integers ``(n,)``; -1 for none.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> pool = ga.Pool(np.zeros((4, 8, 8, 1), np.float32), np.array([0, 0, 1, 1]))
        >>> len(pool.x), pool.digest() == pool.digest()
        (4, True)
    """

    x: Any
    y: np.ndarray

    @classmethod
    def stored(cls, folder: str | Path) -> Pool:
        """A pool that `write_pool` finished; its samples stay on disk until they are asked for."""
        samples = StoredRows(folder)
        return cls(samples, samples.labels)

    def chosen(self, mask: np.ndarray) -> Pool:
        """The samples of a mask, bool ``(n,)``."""
        return Pool(selected(self.x, mask), self.y[mask])

    def mask_by(self, judge: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """What a function ``(x, y) -> bool`` says of each sample, asked about some at a time."""
        if isinstance(self.x, np.ndarray):
            return np.asarray(judge(self.x, self.y), bool)
        parts = [slice(start, start + CHUNK) for start in range(0, len(self.y), CHUNK)]
        return np.concatenate([np.asarray(judge(self.x[part], self.y[part])) for part in parts])

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or len(self.x) == 0:
            raise InvalidInputError(
                "A pool needs as many labels as samples, at least one. "
                f"Received: {len(self.x)} samples and {len(self.y)} labels. Mark none by -1."
            )

    def digest(self) -> str:
        """A short checksum of the content."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for start in range(0, len(self.y), CHUNK):
            digest.update(np.ascontiguousarray(self.x[start : start + CHUNK]).tobytes())
        digest.update(np.ascontiguousarray(self.y).tobytes())
        return digest.hexdigest()[:16]


def most_doubted(pool: Pool, teacher: Any, student: Any, keep: float, seed: int) -> Pool:
    """Leaves the samples on which a student and its teacher differ, the more the likelier.

    A sample near the labels tells a student what it knows already. What is left carries no class:
    the samples that were made for one and show another are the most instructive, and the teacher
    names them.

    Args:
        pool: The samples.
        teacher: The teacher that the student learns from.
        student: One that has learnt from the real samples; see `Disagreement`.
        keep: The share to leave, in (0, 1].
        seed: Seed of the choice.

    Returns:
        About that share of the pool, without its classes.
    """
    # At random: a regular choice may fall on one class.
    few = np.random.default_rng(seed).permutation(len(pool.x))[:_CALIBRATION]
    doubts = Disagreement(student, teacher, pool.x[few], keep=keep, seed=seed)
    kept = pool.mask_by(doubts.mask)
    if not kept.any():
        logger.warning("The student doubts no sample of the pool, which is used whole.")
        kept[:] = True
    return unasked(pool.chosen(kept))


def unasked(pool: Pool) -> Pool:
    """The pool without the classes that were asked for: its labels are the teacher's alone."""
    return Pool(pool.x, np.full(len(pool.x), -1))


def joined(*pools: Pool) -> Pool:
    """The samples of several pools as one."""
    x, order = joined_rows([each.x for each in pools])
    return Pool(x, np.concatenate([each.y for each in pools])[order])


def class_agreement(pool: Pool, teacher: Any, most: int = 500) -> float | None:
    """How far a teacher sees the classes in a pool that its samples were made for.

    Args:
        pool: Samples, before any filter.
        teacher: The teacher that is asked.
        most: Samples to ask about, evenly spaced.

    Returns:
        Cohen's kappa: 1 for full agreement, about 0 for what chance gives, whatever the classes'
        shares; None for a pool without labels.
    """
    labelled = np.flatnonzero(np.asarray(pool.y) >= 0)
    if len(labelled) == 0:
        return None
    rows = labelled[np.linspace(0, len(labelled) - 1, min(most, len(labelled))).astype(int)]
    probabilities = ask(teacher, np.asarray(pool.x[rows], np.float32))
    asked, seen = np.asarray(pool.y)[rows], probabilities.argmax(axis=1)
    if len(np.union1d(asked, seen)) == 1:
        return 1.0  # kappa is undefined where there is nothing to confuse
    return float(cohen_kappa_score(asked, seen))


def without_held_out(pool: Pool, training: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Which of a pool's samples are nearer to a training sample than to any held-out one.

    A generator that was trained on all labels has seen the ones that a pair holds out, and may
    have memorised them; its samples near them would carry their labels over. Training it anew for
    each pair would be exact and costs too much. Leaving out whatever lies nearest to a held-out
    sample errs on the safe side: the pool then says nothing just where the pair is measured.

    Args:
        pool: The samples.
        training: Images of the training part.
        held_out: Images that are held out.

    Returns:
        bool ``(len(pool.x),)``: True to keep.
    """
    return pool.mask_by(lambda x, y: _nearest(x, training) <= _nearest(x, held_out))


def _nearest(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The distance of each sample to the nearest one of others."""
    flat, rest = (np.reshape(images, (len(images), -1)) for images in (x, others))
    return pairwise_distances_argmin_min(flat, rest)[1]
