"""The rival: what anyone gets from the same rows with one line of scikit-learn.

A student that is not better than it has not earned its training, unless by its size; so every
run measures one. Its cost is bounded: it must never be what a run waits for.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from keras_ganaccel.classifier.shallow import averaged_down
from keras_ganaccel.files import atomic_save

logger = logging.getLogger(__name__)

SVM, BOOSTED_TREES = "svm", "boosted_trees"
# Multiplications of a kernel machine, about a nanosecond each, over training and answering.
_MOST_WORK = 4e9
_COMPONENTS = 64
_LEAST_ROWS = 500
# Boosting takes a tree per class and round, each over every feature.
_MOST_FEATURES_BOOSTED = 128
_MOST_CLASSES_BOOSTED = 30
_MOST_ROWS_BOOSTED = 20_000
_TREES = 300


@dataclass(frozen=True, eq=False)
class Rival:
    """A fitted rival.

    Args:
        name: ``"svm"`` or ``"boosted_trees"``.
        recipe: What it is, as one would write it.
        rows: How many training rows it saw.
        validation_accuracy: Its accuracy on the validation rows, by which it was chosen.
        tried: Every candidate's validation accuracy.
        seconds: Spent on fitting and choosing.
        predict: From samples ``(n, ...)`` in the encoded range to integer classes ``(n,)``.
    """

    name: str
    recipe: str
    rows: int
    validation_accuracy: float
    tried: Mapping[str, float]
    seconds: float
    predict: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    def save(self, path: Path) -> None:
        """Writes it as a pickle, which runs code when it is loaded: read only your own."""
        atomic_save(path, functools.partial(joblib.dump, self))

    @classmethod
    def load(cls, path: Path) -> Rival:
        """Reads what `save` wrote."""
        return joblib.load(path)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A scikit-learn classifier of samples of any shape."""

    name: str
    recipe: str
    rows: int
    estimator: Any

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Answers with integer classes."""
        return np.asarray(self.estimator.predict(_rows(x))).astype(np.int64)


def fit_rival(
    x: np.ndarray,
    y: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    asked: int = 0,
    seed: int = 0,
) -> Rival:
    """Fits a support vector machine and boosted trees, and takes the better one.

    Many rows or features cost the kernel machine their square: it then sees the rows' 64
    principal components, and as many rows as its budget of a few seconds allows. Trees are grown
    on at most 128 features and 30 classes, where their rounds are cheap.

    Args:
        x: Samples, float32 ``(n, height, width, channels)`` or ``(n, features)``.
        y: Integer labels ``(n,)``; rows with -1 are left out.
        validation: Samples and labels to choose by.
        asked: How many further samples it will be asked about.
        seed: Seed of the rows that are drawn, and of the trees.

    Returns:
        The rival that is right on more of the validation rows; the machine where both are.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> x, y = load_digits(return_X_y=True)
        >>> rival = fit_rival(x[:600], y[:600], (x[600:900], y[600:900]))
        >>> rival.validation_accuracy > 0.9
        True
    """
    began = time.monotonic()
    labelled = np.asarray(y) >= 0
    x, y = np.asarray(x)[labelled], np.asarray(y)[labelled].astype(np.int64)
    held_x, held_y = validation
    order = _varied_order(y, seed)
    fitted = [_support_vector_machine(x, y, order, asked + len(held_y), seed)]
    classes, features = len(np.unique(y)), int(np.prod(x.shape[1:]))
    if features <= _MOST_FEATURES_BOOSTED and classes <= _MOST_CLASSES_BOOSTED:
        # Its loops are short: beside other work, threads that wait for each other take five times
        # as long as one alone.
        with threadpool_limits(1):
            fitted.append(_boosted_trees(x, y, order, classes, seed))
    tried = {each.name: float(np.mean(each.predict(held_x) == held_y)) for each in fitted}
    best = max(fitted, key=lambda each: tried[each.name])
    logger.info("The rival is %s, of %s.", best.name, tried)
    return Rival(
        name=best.name,
        recipe=best.recipe,
        rows=best.rows,
        validation_accuracy=tried[best.name],
        tried=tried,
        seconds=time.monotonic() - began,
        predict=best.predict,
    )


def _support_vector_machine(
    x: np.ndarray, y: np.ndarray, order: np.ndarray, asked: int, seed: int
) -> _Fitted:
    features = _rows(x[:1]).shape[1]
    steps, recipe = [StandardScaler()], "StandardScaler, SVC"
    if len(y) > _affordable_rows(features, asked) and features > _COMPONENTS:
        steps.append(PCA(_COMPONENTS, svd_solver="randomized", random_state=seed))
        recipe, features = f"StandardScaler, PCA({_COMPONENTS}), SVC", _COMPONENTS
    taken = order[: _affordable_rows(features, asked)]
    machine = make_pipeline(*steps, SVC()).fit(_rows(x[taken]), y[taken])
    return _Fitted(SVM, recipe, len(taken), machine)


def _boosted_trees(
    x: np.ndarray, y: np.ndarray, order: np.ndarray, classes: int, seed: int
) -> _Fitted:
    rounds = int(np.clip(_TREES // (1 if classes == 2 else classes), 20, 100))
    trees = HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=0.1 if rounds == 100 else 0.25,
        max_leaf_nodes=15,
        max_bins=32,
        early_stopping=False,
        random_state=seed,
    )
    taken = order[:_MOST_ROWS_BOOSTED]
    recipe = f"HistGradientBoostingClassifier, {rounds} rounds"
    return _Fitted(BOOSTED_TREES, recipe, len(taken), trees.fit(_rows(x[taken]), y[taken]))


def _affordable_rows(features: int, asked: int) -> int:
    """The rows n with n * (n + asked) * features multiplications within the budget."""
    budget = _MOST_WORK / features
    return max(_LEAST_ROWS, int((math.sqrt(asked * asked + 4 * budget) - asked) / 2))


def _varied_order(y: np.ndarray, seed: int) -> np.ndarray:
    """All rows at random, but one of each class first: no cut leaves a class out."""
    order = np.random.default_rng(seed).permutation(len(y))
    first = np.sort(np.unique(y[order], return_index=True)[1])
    return np.concatenate([order[first], np.delete(order, first)])


def _rows(x: np.ndarray) -> np.ndarray:
    """One row of numbers per sample; larger images are averaged down to at most 32x32."""
    x = averaged_down(np.asarray(x)) if np.ndim(x) == 4 else np.asarray(x)
    return x.reshape(len(x), -1)
