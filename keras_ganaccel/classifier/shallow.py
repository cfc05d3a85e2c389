"""Teachers without gradients: a kernel machine, trees of two kinds, and logistic regression.

On a few dozen labels they are as good as a network, and err elsewhere; on tables trees are better.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from threadpoolctl import threadpool_limits

from keras_ganaccel.classifier.kernel_machine import MOST_EXACT_ROWS, KernelMachine

KINDS = ("svm", "extra_trees", "boosted_trees", "logistic")

# Larger images are averaged down before these teachers see them.
_LARGEST_SIDE = 32
# Their training rows are multiplied by shifts while that stays affordable.
_MOST_ROWS = {"svm": MOST_EXACT_ROWS, "extra_trees": 20_000, "boosted_trees": 0, "logistic": 0}
# Trees see no more rows than this each; where there are more, they are fewer and not as deep.
_ROWS_OF_A_TREE = 5_000
# From so many rows on the margins are calibrated on one held-out part instead of three folds.
_MANY_ROWS = 4_000
_HELD_OUT, _CALIBRATED_ON = 2_000, 16_000
# Trees of vectors: several such teachers vote, so each has fewer; leaves of many rows are larger.
_TREES, _TREES_OF_VECTORS = 300, 100
_FEW_VECTORS = 2_000
_ROWS_OF_A_LEAF = 3
# Boosting takes a tree per class and round over half of the features; a cell costs some 10 ns.
_MOST_ROUNDS, _LEAST_ROUNDS = 300, 30
_MOST_TREES = 1_500
_MOST_CELLS = 6e8
_PATIENCE = 15
# What the margins of a kernel machine may be multiplied by.
_FACTORS = np.geomspace(0.1, 30.0, 60)


class ShallowTeacher:
    """A scikit-learn classifier of vectors, or of images, each shifted by one pixel too.

    Args:
        kind: ``"svm"`` (RBF kernel, standardised), ``"extra_trees"``, ``"boosted_trees"``
            (histogram gradient boosting) or ``"logistic"``. All suit the number of samples: see
            `KernelMachine`; beyond 20,000 images a tree sees 5,000, and boosting takes fewer
            rounds where rows, features or classes are many.
        num_classes: Columns of its answer, including classes that it has not seen.
        seed: Seed of the trees and of the folds.
        shifts: Whether to add the shifted images.
    """

    def __init__(self, kind: str, num_classes: int, seed: int = 0, shifts: bool = True) -> None:
        self.kind = kind
        self.num_classes = num_classes
        self.seed = seed
        self.shifts = shifts
        self.sharpness = 1.0
        self.rounds: int | None = None

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        held_out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> ShallowTeacher:
        """Learns from samples and integer labels; at least two classes.

        Args:
            x: float32 ``(n, width)``, or images ``(n, height, width, channels)`` in [0, 1].
            y: Integer labels ``(n,)``.
            held_out: Further samples and labels, which tell how sharp the answers of a kernel
                machine are to be, and when boosting is to stop; else folds of its own do.
        """
        x, y = averaged_down(x), np.asarray(y)
        if held_out is not None:
            held_x, held_y = averaged_down(held_out[0]), np.asarray(held_out[1])
            known = np.isin(held_y, y)
            held_out = (held_x[known], held_y[known]) if known.any() else None
        if self.kind == "svm" and held_out is None:
            self.sharpness = self._calibrated(x, y)
        self.estimator = self._fitted(x, y, held_out)
        if self.kind == "svm" and held_out is not None:
            self.sharpness = float(_FACTORS[self._losses(self.estimator, *held_out).argmin()])
        if self.kind == "boosted_trees":
            self.rounds = int(self.estimator.n_iter_)
        return self

    def refit(self, x: np.ndarray, y: np.ndarray) -> ShallowTeacher:
        """Learns from other samples, as sharp and for as many rounds as it was found to need."""
        self.estimator = self._fitted(averaged_down(x), np.asarray(y))
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Returns float32 ``(n, num_classes)`` probabilities for samples as `fit` takes them."""
        x = averaged_down(x)
        if self.kind == "svm":
            known = softmax(self.sharpness * _margins(self.estimator, _rows(x)), axis=1)
        else:
            with threadpool_limits(1):
                known = self.estimator.predict_proba(_rows(x))
        probabilities = np.zeros((len(x), self.num_classes), np.float32)
        probabilities[:, self.estimator.classes_.astype(int)] = known
        return probabilities

    def _fitted(
        self,
        x: np.ndarray,
        y: np.ndarray,
        held_out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Any:
        if self.shifts and x.ndim == 4 and 5 * len(x) <= _MOST_ROWS[self.kind]:
            x, y = np.concatenate(list(_shifted(x))), np.tile(y, 5)
        # Short loops: beside other work, threads that wait for each other are slower than one.
        with threadpool_limits(1):
            if self.kind == "boosted_trees" and held_out is not None:
                machine = self._boosted_trees(x, y, stops=True)
                held_x, held_y = held_out
                return machine.fit(_rows(x), y, X_val=_rows(held_x), y_val=held_y)
            return self._estimator(x, y).fit(_rows(x), y)

    def _estimator(self, x: np.ndarray, y: np.ndarray) -> Any:
        if self.kind == "svm":
            return KernelMachine(self.seed)
        if self.kind == "boosted_trees":
            return self._boosted_trees(x, y, stops=False)
        if self.kind == "logistic":
            return LogisticRegression(max_iter=300)
        if x.ndim == 2:
            leaf = 1 if len(x) <= _FEW_VECTORS else _ROWS_OF_A_LEAF
            return ExtraTreesClassifier(
                _TREES_OF_VECTORS, min_samples_leaf=leaf, random_state=self.seed, n_jobs=1
            )
        if len(x) <= _MOST_ROWS[self.kind]:
            return ExtraTreesClassifier(_TREES, random_state=self.seed, n_jobs=1)
        return ExtraTreesClassifier(
            _TREES_OF_VECTORS,
            bootstrap=True,
            max_samples=_ROWS_OF_A_TREE,
            min_samples_leaf=2,
            random_state=self.seed,
            n_jobs=1,
        )

    def _boosted_trees(self, x: np.ndarray, y: np.ndarray, stops: bool) -> Any:
        classes = len(np.unique(y))
        trees_a_round = 1 if classes == 2 else classes
        trees = min(_MOST_TREES, _MOST_CELLS / (0.5 * _rows(x[:1]).size * len(x)))
        most = int(np.clip(trees // trees_a_round, _LEAST_ROUNDS, _MOST_ROUNDS))
        rounds = self.rounds or (most if stops else min(most, 100))
        return HistGradientBoostingClassifier(
            max_iter=rounds,
            # So that few rounds get as far as many.
            learning_rate=float(np.clip(10.0 / most, 0.08, 0.25)),
            max_leaf_nodes=15 if len(x) <= _FEW_VECTORS else 31,
            min_samples_leaf=10 if len(x) <= _FEW_VECTORS else 20,
            l2_regularization=1.0,
            max_features=0.5,
            early_stopping=stops,
            n_iter_no_change=_PATIENCE,
            random_state=self.seed,
        )

    def _calibrated(self, x: np.ndarray, y: np.ndarray) -> float:
        """The factor of the margins with the least log-loss on rows that were held out.

        One number, from folds over the rows before they are shifted: sound and cheap, and it
        works with two samples a class, where a sigmoid per class does not.
        """
        folds = min(3, int(np.unique(y, return_counts=True)[1].min()))
        if folds < 2:
            return self.sharpness
        losses = np.zeros(len(_FACTORS))
        if len(x) < _MANY_ROWS:
            splitter: Any = StratifiedKFold(folds, shuffle=True, random_state=self.seed)
        else:
            splitter = StratifiedShuffleSplit(
                1,
                train_size=min(len(x) - _HELD_OUT, _CALIBRATED_ON),
                test_size=_HELD_OUT,
                random_state=self.seed,
            )
        for train, held_out in splitter.split(x, y):
            machine = self._fitted(x[train], y[train])
            losses += self._losses(machine, x[held_out], y[held_out])
        return float(_FACTORS[losses.argmin()])

    def _losses(self, machine: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The sum of the log-losses that each factor of the margins leads to."""
        margins = _margins(machine, _rows(x))
        columns = np.searchsorted(machine.classes_, y)
        rows = np.arange(len(y))
        right = [softmax(factor * margins, axis=1)[rows, columns] for factor in _FACTORS]
        return -np.log(np.maximum(right, 1e-12)).sum(axis=1)


def _shifted(x: np.ndarray) -> list[np.ndarray]:
    """The images, and the same moved by one pixel up, down, left and right."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    places = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return [padded[:, top : top + height, left : left + width] for top, left in places]


def averaged_down(x: np.ndarray) -> np.ndarray:
    """Averages images ``(n, height, width, channels)`` over blocks until no side exceeds 32.

    Samples of any other rank are returned as they are.
    """
    x = np.asarray(x)
    block = -(-max(x.shape[1:3]) // _LARGEST_SIDE) if x.ndim == 4 else 1
    if block == 1:
        return x
    height, width = (side // block for side in x.shape[1:3])
    x = x[:, : height * block, : width * block]
    return x.reshape(len(x), height, block, width, block, -1).mean(axis=(2, 4))


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _margins(machine: Any, rows: np.ndarray) -> np.ndarray:
    margins = machine.decision_function(rows)
    return np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins
