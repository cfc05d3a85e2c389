"""Labels: whatever names the classes becomes the integers 0..k-1, or is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_ganaccel.errors import InvalidInputError

UNLABELLED = -1
"""The label of a row whose class is not known, as in scikit-learn."""


def encode_labels(labels: Any, name: str = "y") -> tuple[np.ndarray, tuple[str, ...]]:
    """Maps class labels to 0..k-1 in sorted order.

    One-hot rows (zeros and exactly one 1) are taken as the class of their 1; a column ``(n, 1)``
    is flattened. Anything else with two axes is multi-label and refused, as are fractions.

    Args:
        labels: Shape ``(n,)``, ``(n, 1)`` or one-hot ``(n, k)``: integers, whole floats, booleans
            or strings. An integer -1 marks an unlabelled row.
        name: What messages call the labels.

    Returns:
        int64 labels ``(n,)``, -1 where unlabelled, and the name of each class.

    Raises:
        InvalidInputError: If these cannot be the labels of at least two classes.

    Example:
        >>> codes, names = encode_labels(["dog", "cat", "dog"])
        >>> codes.tolist(), names
        ([1, 0, 1], ('cat', 'dog'))
    """
    values = _one_axis(label_array(labels, name), name)
    if values.dtype.kind in "US":
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8", "replace")
        known = np.ones(len(values), bool)
    else:
        values = _whole_numbers(values, name)
        known = values != UNLABELLED
    classes, inverse = np.unique(values[known], return_inverse=True)
    if len(classes) < 2:
        raise InvalidInputError(
            f"`{name}` must hold at least 2 classes. Received: {[str(c) for c in classes]}"
            f"{'' if known.all() else ' and -1, which marks unlabelled rows'}. "
            "Give samples of every class to tell apart."
        )
    codes = np.full(len(values), UNLABELLED, np.int64)
    codes[known] = inverse
    return codes, tuple(str(value) for value in classes)


def label_array(labels: Any, name: str = "y") -> np.ndarray:
    """Makes an array of labels, of numbers or strings.

    Args:
        labels: A sequence with one entry per sample.
        name: What messages call the labels.

    Returns:
        An array with at least one axis.

    Raises:
        InvalidInputError: If the entries are neither numbers nor strings, or not alike.
    """
    try:
        values = np.asarray(labels)
        if values.dtype == object:
            if all(isinstance(value, str) for value in values.ravel()):
                return values.astype(str)
            values = np.array(values.tolist())
    except ValueError:
        raise InvalidInputError(
            f"`{name}` must hold one label per sample. Received: rows of different lengths. "
            "Multi-label targets are not supported."
        ) from None
    if values.dtype.kind not in "biufUS" or not values.ndim:
        raise InvalidInputError(
            f"`{name}` must hold integers or strings. Received: dtype {values.dtype}, shape "
            f"{values.shape}. "
            "Give one class label per sample."
        )
    return values


def _one_axis(values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim == 1:
        return values
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf":
        binary = bool(np.isin(values, (0, 1)).all())
        if binary and len(values) and bool((values.sum(axis=1) == 1).all()):
            return values.argmax(axis=1)
    raise InvalidInputError(
        f"`{name}` must hold one class label per sample, shape (n,). Received: shape "
        f"{values.shape}. Multi-label and regression targets are not supported."
    )


def _whole_numbers(values: np.ndarray, name: str) -> np.ndarray:
    """Booleans stay, so that their classes are called False and True."""
    if values.dtype.kind != "f":
        return values
    wrong = ~np.isfinite(values) | (values != np.round(values))
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidInputError(
            f"`{name}` must hold class labels. Received: {float(values[row])!r} in row {row}. "
            "Regression targets are not supported; give one whole number or string per class."
        )
    return values.astype(np.int64)
