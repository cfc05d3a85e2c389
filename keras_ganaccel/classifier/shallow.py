"""Teachers without gradients: a support vector machine and extremely randomised trees.

On a few dozen labels they are as good as a convolutional network, and err elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from keras_ganaccel.classifier.kernel_machine import MOST_EXACT_ROWS, KernelMachine

# Larger images are averaged down before these teachers see them.
_LARGEST_SIDE = 32
# Their training rows are multiplied by shifts while that stays affordable.
_MOST_ROWS = {"svm": MOST_EXACT_ROWS, "extra_trees": 20_000}
# Trees see no more rows than this each; where there are more, they are fewer and not as deep.
_ROWS_OF_A_TREE = 5_000
# From so many rows on the margins are calibrated on one held-out part instead of three folds.
_MANY_ROWS = 4_000
_HELD_OUT, _CALIBRATED_ON = 2_000, 16_000


class ShallowTeacher:
    """A scikit-learn classifier of images, taught with every image shifted by one pixel too.

    Args:
        kind: ``"svm"`` (RBF kernel, on standardised pixels) or ``"extra_trees"``. Both suit the
            number of samples: see `KernelMachine`, and beyond 20,000 samples a tree sees 5,000.
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

    def fit(self, x: np.ndarray, y: np.ndarray) -> ShallowTeacher:
        """Learns from images in [0, 1] and integer labels; at least two classes."""
        x, y = averaged_down(x), np.asarray(y)
        if self.kind == "svm":
            self.sharpness = self._calibrated(x, y)
        self.estimator = self._fitted(x, y)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Returns float32 ``(n, num_classes)`` probabilities for images in [0, 1]."""
        x = averaged_down(x)
        if self.kind == "svm":
            known = softmax(self.sharpness * _margins(self.estimator, _rows(x)), axis=1)
        else:
            known = self.estimator.predict_proba(_rows(x))
        probabilities = np.zeros((len(x), self.num_classes), np.float32)
        probabilities[:, self.estimator.classes_.astype(int)] = known
        return probabilities

    def _fitted(self, x: np.ndarray, y: np.ndarray) -> Any:
        if self.shifts and 5 * len(x) <= _MOST_ROWS[self.kind]:
            x, y = np.concatenate(list(_shifted(x))), np.tile(y, 5)
        return self._estimator(len(x)).fit(_rows(x), y)

    def _estimator(self, rows: int) -> Any:
        if self.kind == "svm":
            return KernelMachine(self.seed)
        if rows <= _MOST_ROWS[self.kind]:
            return ExtraTreesClassifier(300, random_state=self.seed, n_jobs=1)
        return ExtraTreesClassifier(
            100,
            bootstrap=True,
            max_samples=_ROWS_OF_A_TREE,
            min_samples_leaf=2,
            random_state=self.seed,
            n_jobs=1,
        )

    def _calibrated(self, x: np.ndarray, y: np.ndarray) -> float:
        """The factor of the margins with the least log-loss on rows that were held out.

        One number, from folds over the rows before they are shifted: sound and cheap, and it
        works with two samples a class, where a sigmoid per class does not.
        """
        folds = min(3, int(np.unique(y, return_counts=True)[1].min()))
        if folds < 2:
            return self.sharpness
        factors = np.geomspace(0.1, 30.0, 60)
        losses = np.zeros(len(factors))
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
            margins = _margins(machine, _rows(x[held_out]))
            columns = np.searchsorted(machine.classes_, y[held_out])
            for index, factor in enumerate(factors):
                right = softmax(factor * margins, axis=1)[np.arange(len(columns)), columns]
                losses[index] -= np.log(np.maximum(right, 1e-12)).sum()
        return float(factors[losses.argmin()])


def _shifted(x: np.ndarray) -> list[np.ndarray]:
    """The images, and the same moved by one pixel up, down, left and right."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    places = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return [padded[:, top : top + height, left : left + width] for top, left in places]


def averaged_down(x: np.ndarray) -> np.ndarray:
    """Averages images ``(n, height, width, channels)`` over blocks until no side exceeds 32."""
    block = -(-max(x.shape[1:3]) // _LARGEST_SIDE)
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
