"""What the members of an ensemble are worth, told by rows that they did not learn from.

Where rows are vectors, members cost seconds: each is fitted once per fold, answers the rows of
the fold that it did not see, and all its fits vote together. So every row bears witness, and no
fit is thrown away (Breiman 1996, "Stacked regressions"; AutoGluon's bagging, arXiv 2003.06505).
Where samples are larger and many, one part is held out instead.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit

from keras_ganaccel.classifier.outputs import EPSILON

# Up to so many rows there are five folds, beyond it three, which cost as much as two fits of all.
_FEW_ROWS = 4_000
# Fewer samples of images than this are not held out: they are worth more in the training.
_LEAST_PART_OF = 2_000
_PART, _LEAST_PART, _MOST_PART = 0.05, 200, 2_000
# Rows that would have spoken for equal weights: with few rows, chance cannot silence a member.
_PRIOR_ROWS = 20.0
_ROUNDS = 1_000


@dataclass(frozen=True, eq=False)
class Plan:
    """Which rows each fit of a member learns from, and which it is judged by.

    Args:
        splits: Pairs of row numbers, ascending; no row is judged twice.
        bagged: Whether the members are what was fitted on the splits; otherwise those that are
            cheap to fit learn from all rows afterwards.
    """

    splits: tuple[tuple[np.ndarray, np.ndarray], ...]
    bagged: bool

    @property
    def judged(self) -> np.ndarray:
        """The numbers of the rows that bear witness, in the order of the splits."""
        return np.concatenate([held for _, held in self.splits])


@dataclass(frozen=True)
class Evidence:
    """What is known of one kind of member, from rows that it did not learn from.

    Args:
        name: The member.
        weight: Its share of the ensemble's answers, in [0, 1]; 0 for one that was left out.
        accuracy: On those rows.
        log_loss: On those rows.
        rows: How many there were.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("tables:wine")
        >>> teacher = ga.build_teacher(data.spec, *data.arrays("train"), members=("logistic",))
        >>> [evidence] = teacher.evidence
        >>> evidence.name, evidence.weight, evidence.accuracy > 0.9
        ('logistic', 1.0, True)
    """

    name: str
    weight: float
    accuracy: float
    log_loss: float
    rows: int


def plan_for(
    x: np.ndarray, y: np.ndarray, seed: int, groups: np.ndarray | None = None
) -> Plan | None:
    """Chooses how the members of a teacher are judged.

    Args:
        x: Samples ``(n, ...)``. Vectors ``(n, width)`` are cheap to learn from.
        y: Integer labels ``(n,)``.
        seed: Seed of the folds.
        groups: Integers ``(n,)``; the rows of a group stay together.

    Returns:
        Folds for vectors, one part of many larger samples, None where neither can be afforded: a
        member must see two classes.
    """
    most = int(np.unique(y, return_counts=True)[1].max())
    if x.ndim != 2:
        counts = np.unique(y, return_counts=True)[1]
        part = max(int(np.clip(_PART * len(y), _LEAST_PART, _MOST_PART)), len(counts))
        if len(y) < _LEAST_PART_OF or counts.min() < 2 or groups is not None:
            return None
        one = StratifiedShuffleSplit(1, test_size=part, random_state=seed)
        return Plan(tuple((np.sort(a), np.sort(b)) for a, b in one.split(y, y)), bagged=False)
    folds = min(5 if len(y) <= _FEW_ROWS else 3, most)
    if groups is not None:
        folds = min(folds, len(np.unique(groups)))
    if folds < 2:
        return None
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Of classes with fewer rows than folds: some folds go without them.
        warnings.simplefilter("ignore", UserWarning)
        splits = tuple(splitter.split(y, y, groups))
    if any(len(np.unique(y[learned])) < 2 or not len(held) for learned, held in splits):
        return None
    return Plan(splits, bagged=True)


def weights_of(chances: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The shares of a mixture that make held-out labels likeliest.

    By expectation-maximisation, which is bound to reach the best mixture, as its log-likelihood is
    concave in the shares; a few rows' worth of belief in equal shares keeps a member from being
    silenced, or trusted, by chance.

    Args:
        chances: Probabilities that the members gave ``(members, n, classes)``.
        y: Integer labels ``(n,)``.

    Returns:
        float64 ``(members,)``, positive, 1 in sum.

    Example:
        >>> good, bad = np.tile([0.9, 0.1], (500, 1)), np.tile([0.4, 0.6], (500, 1))
        >>> weights_of(np.stack([good, bad]), np.zeros(500, int)).round(2)
        array([0.97, 0.03])
    """
    right = np.maximum(chances[:, np.arange(len(y)), y].astype(np.float64), EPSILON)
    members = len(right)
    weights = np.full(members, 1.0 / members)
    for _ in range(_ROUNDS):
        shares = weights[:, None] * right
        claimed = (shares / shares.sum(axis=0)).sum(axis=1)
        following = (claimed + _PRIOR_ROWS / members) / (len(y) + _PRIOR_ROWS)
        moved = np.abs(following - weights).max()
        weights = following
        if moved < 1e-6:
            break
    return weights / weights.sum()


def evidence_of(name: str, weight: float, chances: np.ndarray, y: np.ndarray) -> Evidence:
    """Measures one member's answers to rows that it did not learn from."""
    right = np.maximum(chances[np.arange(len(y)), y].astype(np.float64), EPSILON)
    return Evidence(
        name=name,
        weight=float(weight),
        accuracy=float(accuracy_score(y, chances.argmax(axis=1))),
        log_loss=float(-np.log(right).mean()),
        rows=len(y),
    )
