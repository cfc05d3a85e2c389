"""Which classes to draw, how many, and when to give up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_ganaccel.errors import InvalidInputError, RunFailedError

# Candidates are asked for in multiples of this, so that sources see few different sizes.
_GRAIN = 64


def class_targets(
    size: int, num_classes: int, weights: Sequence[float] | None = None
) -> np.ndarray:
    """Shares out a pool over the classes.

    Args:
        size: Samples in all.
        num_classes: The number of classes.
        weights: Relative share of each class; equal shares by default.

    Returns:
        int64, shape ``(num_classes,)``, of sum `size` (largest remainders).

    Example:
        >>> class_targets(10, 3).tolist()
        [4, 3, 3]
    """
    shares = np.ones(num_classes) if weights is None else np.asarray(weights, np.float64)
    if shares.shape != (num_classes,) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        raise InvalidInputError(
            f"`class_weights` must be {num_classes} numbers of 0 or more. Received: {weights!r}. "
            "Pass None for equal shares."
        )
    exact = size * shares / shares.sum()
    targets = np.floor(exact).astype(np.int64)
    rest = np.argsort(-(exact - targets), kind="stable")[: size - targets.sum()]
    targets[rest] += 1
    return targets


def spread_labels(targets: np.ndarray, seed: int) -> np.ndarray:
    """Orders labels so that every stretch holds the classes in their shares.

    Args:
        targets: Samples per class, int64, shape ``(num_classes,)``.
        seed: Seed of the order.

    Returns:
        int64, shape ``(targets.sum(),)``. The j-th sample of a class lies at a random place in
        the j-th of as many equal stretches as the class has samples.
    """
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(targets)), targets)
    numbers = np.concatenate([np.arange(target) for target in targets])
    places = (numbers + generator.random(len(labels))) / np.repeat(targets, targets)
    return labels[np.argsort(places, kind="stable")]


class Quota:
    """Asks for candidates until every class has its number of accepted ones, or gives up.

    Args:
        wanted: Accepted samples to reach per class, int64, shape ``(num_classes,)``.
        chunk: Candidates to ask for at most at a time.
        max_attempts: A class that needs more candidates than this per accepted sample counts as
            hopeless, once 64 times as many have been tried.
    """

    def __init__(self, wanted: np.ndarray, *, chunk: int, max_attempts: int) -> None:
        self._wanted, self._chunk, self._max_attempts = wanted, chunk, max_attempts
        self._tried = np.zeros_like(wanted)
        self._accepted = np.zeros_like(wanted)

    @property
    def done(self) -> bool:
        """Whether every class has what it needs."""
        return bool((self._accepted >= self._wanted).all())

    def next_labels(self) -> np.ndarray:
        """The classes of the next candidates, int64; what is missing over what was accepted."""
        missing = np.maximum(self._wanted - self._accepted, 0)
        rate = (self._accepted + 1) / (self._tried + 1)
        needed = missing / np.minimum(rate, 1.0)
        total = min(self._chunk, _GRAIN * int(np.ceil(needed.sum() / _GRAIN)))
        draws = class_targets(total, len(needed), needed.tolist())
        # No class with something missing goes without a candidate, or it might wait for ever.
        draws = np.where(missing > 0, np.maximum(draws, 1), 0)
        return spread_labels(draws, seed=0)

    def record(self, labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Takes note of what the filters kept.

        Args:
            labels: The candidates' classes.
            kept: What passed the filters, bool, shape ``(n,)``.

        Returns:
            Rows to take, in order: those that passed and that their class still needs.

        Raises:
            RunFailedError: The filters accept hardly anything of a class.
        """
        rank = np.zeros(len(labels), np.int64)
        for label in np.unique(labels):
            own = labels == label
            rank[own] = np.cumsum(kept[own]) - 1
        taken = np.flatnonzero(kept & (self._accepted[labels] + rank < self._wanted[labels]))
        self._tried += np.bincount(labels, minlength=len(self._tried))
        self._accepted += np.bincount(labels[kept], minlength=len(self._accepted))
        self._give_up()
        return taken

    def _give_up(self) -> None:
        limit = self._max_attempts * np.maximum(self._accepted, _GRAIN)
        hopeless = np.flatnonzero((self._accepted < self._wanted) & (self._tried >= limit))
        if len(hopeless):
            label = int(hopeless[0])
            raise RunFailedError(
                f"The filters accept too few samples of class {label}. Received: "
                f"{self._accepted[label]} of {self._tried[label]} tried. Train the generator "
                "longer, or use milder filters."
            )
