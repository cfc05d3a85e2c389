"""A support vector machine that suits the number of its samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

#: With more rows the exact machine, whose cost grows with their square, gives way to another.
MOST_EXACT_ROWS = 10_000
# Products of two numbers that the exact kernel may cost before its rows are shortened.
_MOST_WORK = 5e9
_COMPONENTS = 256
_LANDMARKS = 1500
# Rows that scaling, components and landmarks are found on, and that are looked at at a time.
_FITTED_ON = 6_000
_CHUNK = 2_048


class KernelMachine:
    """A classifier with an RBF kernel on standardised rows.

    Up to 10,000 rows it is scikit-learn's `SVC`, on the rows' first 256 principal components where
    there is much to compute. Beyond, it is ridge regression of the classes on 1,500 Nystroem
    features of the same kernel: its time grows with the rows instead of their square, and it never
    holds more than those features.

    Args:
        seed: Seed of the choice of rows, components and landmarks.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, rows: np.ndarray, y: np.ndarray) -> KernelMachine:
        """Learns from float32 ``(n, features)`` and integer labels ``(n,)``."""
        exact = len(rows) <= MOST_EXACT_ROWS
        shortened = rows.shape[1] > _COMPONENTS and len(rows) ** 2 * rows.shape[1] > _MOST_WORK
        some = rows
        if len(rows) > _FITTED_ON:
            chosen = np.random.default_rng(self.seed).choice(len(rows), _FITTED_ON, replace=False)
            some = rows[np.sort(chosen)]
        gamma: Any = "scale"
        steps: list[Any] = [StandardScaler()]
        if shortened:
            # As `scale` has it before the rows are shortened, which hardly moves their distances.
            gamma = 1.0 / (rows.shape[1] * StandardScaler().fit_transform(some).var())
            steps.append(
                PCA(_COMPONENTS, svd_solver="randomized", iterated_power=2, random_state=self.seed)
            )
        if exact:
            self._classifier: Any = SVC(C=10.0, gamma=gamma)
        else:
            if gamma == "scale":
                gamma = 1.0 / rows.shape[1]
            steps.append(Nystroem(gamma=gamma, n_components=_LANDMARKS, random_state=self.seed))
            self._classifier = RidgeClassifier(solver="cholesky", copy_X=False)
        self._features = make_pipeline(*steps).fit(some)
        self._classifier.fit(self._transformed(rows), y)
        self.classes_: np.ndarray = self._classifier.classes_
        return self

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        """Margins of the classes, ``(n, classes)``; ``(n,)``, of the second, if there are two."""
        chunks = range(0, max(len(rows), 1), _CHUNK)
        return np.concatenate(
            [
                self._classifier.decision_function(
                    self._features.transform(rows[start : start + _CHUNK])
                )
                for start in chunks
            ]
        )

    def _transformed(self, rows: np.ndarray) -> np.ndarray:
        first = self._features.transform(rows[:_CHUNK])
        features = np.empty((len(rows), first.shape[1]), np.float32)
        features[: len(first)] = first
        for start in range(_CHUNK, len(rows), _CHUNK):
            features[start : start + _CHUNK] = self._features.transform(
                rows[start : start + _CHUNK]
            )
        return features
