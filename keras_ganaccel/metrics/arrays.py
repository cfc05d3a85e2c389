"""The one validator of feature arrays, and the loop that makes a metric a per-class metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from keras_ganaccel.errors import InvalidInputError

Score = TypeVar("Score")


def feature_array(name: str, features: ArrayLike, *, least: int = 1) -> np.ndarray:
    """Turns features into the one form that the metrics compute with.

    Args:
        name: What the argument is called, for the error message.
        features: Shape ``(n, ...)``, any real dtype; trailing axes are flattened.
        least: The fewest rows that will do.

    Returns:
        float64 features, shape ``(n, d)``, all finite.

    Raises:
        InvalidInputError: Too few rows, no columns, or a value that is not finite.
    """
    array = np.asarray(features, np.float64)
    if array.ndim < 2 or len(array) < least or array[0].size == 0:
        raise InvalidInputError(
            f"`{name}` must have shape (n, d) with n >= {least}. Received: shape {array.shape}. "
            "Give more samples, one row each."
        )
    if not np.isfinite(array).all():
        raise InvalidInputError(
            f"`{name}` must be finite. Received: NaN or infinite values. "
            "Check the model that made the features."
        )
    return array.reshape(len(array), -1)


def feature_pair(
    real: ArrayLike, generated: ArrayLike, *, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Validates real and generated features together.

    Args:
        real: Features of real samples, shape ``(m, d)``.
        generated: Features of generated samples, shape ``(n, d)``.
        least: The fewest rows that will do, for each.

    Returns:
        Both as float64 arrays of two axes.

    Raises:
        InvalidInputError: One of them does not fit, or they differ in width.
    """
    real = feature_array("real", real, least=least)
    generated = feature_array("generated", generated, least=least)
    if real.shape[1] != generated.shape[1]:
        raise InvalidInputError(
            f"`real` and `generated` must have equally many features. Received: {real.shape[1]} "
            f"and {generated.shape[1]}. Use one extractor for both."
        )
    return real, generated


def per_class(
    score: Callable[[np.ndarray, np.ndarray], Score],
    real: ArrayLike,
    real_labels: ArrayLike,
    generated: ArrayLike,
    generated_labels: ArrayLike,
) -> dict[int, Score]:
    """Computes a metric within each class that has real samples.

    Args:
        score: The metric, such as `kid`, `frechet_distance` or `prdc`; wrap it in
            `functools.partial` to give it options.
        real: Features of real samples, shape ``(m, d)``.
        real_labels: Their classes, shape ``(m,)``; -1 (unlabelled) is left out.
        generated: Features of generated samples, shape ``(n, d)``.
        generated_labels: The classes that were asked for, shape ``(n,)``.

    Returns:
        The metric's result for every class, in ascending order of the classes.

    Raises:
        InvalidInputError: Labels and rows differ in number, or a class has too few samples for
            the metric.

    Example:
        >>> from keras_ganaccel.metrics.kid import kid
        >>> x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
        >>> sorted(per_class(kid, x, y, x, y))
        [0, 1]
    """
    real, generated = feature_pair(real, generated)
    real_labels, generated_labels = np.asarray(real_labels), np.asarray(generated_labels)
    for labels, rows in ((real_labels, real), (generated_labels, generated)):
        if labels.shape != (len(rows),):
            raise InvalidInputError(
                f"Labels must have shape ({len(rows)},). Received: {labels.shape}. "
                "Give one label per sample."
            )
    classes = np.unique(real_labels[real_labels >= 0])
    return {
        int(label): score(real[real_labels == label], generated[generated_labels == label])
        for label in classes
    }
