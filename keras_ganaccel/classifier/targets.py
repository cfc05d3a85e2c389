"""The labels that a classifier learns from, in every form that they come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.outputs import SLACK
from keras_ganaccel.data.finite import check_finite
from keras_ganaccel.distribution import require
from keras_ganaccel.errors import InvalidInputError


def one_hot_targets(y: Any, num_classes: int) -> tf.Tensor:
    """Brings labels into one form, for use inside a step.

    Args:
        y: Class numbers ``(batch,)`` or ``(batch, 1)``, of integers or whole floats, or one-hot or
            soft rows ``(batch, num_classes)`` of any number type; -1, or a row of zeros, for none.
        num_classes: The number of classes.

    Returns:
        float32 ``(batch, num_classes)``; a row of zeros where there is no label.

    Raises:
        InvalidInputError: Labels of another form, or out of their range.
    """
    labels = tf.convert_to_tensor(y)
    if not (labels.dtype.is_integer or labels.dtype.is_floating or labels.dtype.is_bool):
        raise _not_numbers(labels.dtype.name)
    if labels.dtype.is_bool:
        labels = tf.cast(labels, tf.int32)
    width = _width(labels)
    if width is None:
        count = tf.shape(labels)[0]
        return tf.cond(
            tf.equal(tf.size(labels), count),
            lambda: _from_numbers(labels, num_classes),
            lambda: _from_rows(tf.reshape(labels, (count, num_classes)), num_classes),
        )
    if width == 1:
        return _from_numbers(labels, num_classes)
    if width != num_classes:
        raise _wrong_width(tuple(labels.shape), num_classes)
    return _from_rows(labels, num_classes)


def as_given(labels: tf.Tensor, y: Any) -> tf.Tensor:
    """Turns one-hot labels back into the form that they came in, as metrics expect them.

    Args:
        labels: float32 ``(batch, num_classes)``, as `one_hot_targets` made them, mixed or not.
        y: What they were made of.

    Returns:
        Class numbers of the shape and dtype of `y`, or the rows themselves.
    """
    y = tf.convert_to_tensor(y)
    if _width(y) == 1:
        numbers = tf.cast(tf.argmax(labels, axis=-1), tf.int32 if y.dtype.is_bool else y.dtype)
        return tf.reshape(numbers, tf.shape(y))
    return labels


def check_labels(y: Any, num_classes: int) -> np.ndarray:
    """Refuses labels of an array that `one_hot_targets` would refuse, before anything is trained.

    Args:
        y: Labels as in `one_hot_targets`.
        num_classes: The number of classes.

    Returns:
        The labels as an array.

    Raises:
        InvalidInputError: Labels of another form, or out of their range.
    """
    labels = _array(y, "`y`")
    if labels.dtype.kind not in "biuf":
        raise _not_numbers(labels.dtype.name)
    if not len(labels):
        return labels
    width = 1 if labels.ndim == 1 else labels.shape[-1]
    if labels.ndim > 2 or width not in (1, num_classes):
        raise _wrong_width(labels.shape, num_classes)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise InvalidInputError(
            f"Labels must be numbers. Received: {int((~np.isfinite(labels)).sum())} of them that "
            "are not finite. Use -1 for a label that is missing."
        )
    if width == 1:
        low, high = labels.min(), labels.max()
        if low < -1 or high >= num_classes or not np.array_equal(labels, np.round(labels)):
            raise InvalidInputError(_out_of_range(num_classes, f"{low}..{high}"))
    elif labels.min() < 0 or labels.sum(axis=-1).max() > 1 + SLACK:
        raise InvalidInputError(
            _no_distribution(f"{labels.min()} as the least, {labels.sum(axis=-1).max()} in a row")
        )
    return labels


def class_numbers(y: Any, num_classes: int) -> np.ndarray:
    """Brings labels of an array into one form, where one class per sample is needed.

    Args:
        y: Class numbers ``(n,)`` or ``(n, 1)``, or one-hot rows ``(n, num_classes)``.
        num_classes: The number of classes.

    Returns:
        int32 ``(n,)``, -1 where there is no label.

    Raises:
        InvalidInputError: Labels of another form, soft ones, or out of their range.

    Example:
        >>> class_numbers([[0, 1], [1, 0], [0, 0]], 2)
        array([ 1,  0, -1], dtype=int32)
    """
    labels = check_labels(y, num_classes)
    if labels.ndim < 2 or labels.shape[1] == 1:
        return labels.reshape(-1).astype(np.int32)
    if not np.isin(labels, (0, 1)).all():
        raise InvalidInputError(
            "A sample must have one class. Received: soft labels. Pass class numbers, or rows of "
            "one 1 and zeros."
        )
    return np.where(labels.any(axis=1), labels.argmax(axis=1), -1).astype(np.int32)


def check_training_arrays(
    data: Sequence[Any], num_classes: int, sample_shape: Sequence[int | None] | None
) -> tuple[Any, ...]:
    """Checks ``(x, y)`` or ``(x, y, sample_weight)`` before a training on them.

    Args:
        data: Arrays, or what NumPy makes arrays of; labels also as the mapping of `Distiller`.
        num_classes: The number of classes.
        sample_shape: What the model takes, without the batch; None if that is unknown.

    Returns:
        The same as NumPy arrays.

    Raises:
        InvalidInputError: Nothing to learn from, lengths or shapes that do not fit, values that are
            no numbers, or labels out of range.
    """
    if len(data) not in (2, 3):
        raise InvalidInputError(
            f"`data` must be (x, y) or (x, y, sample_weight). Received: {len(data)} items. "
            "Give samples and labels."
        )
    x = _array(data[0], "`x`")
    check_samples(x, sample_shape)
    y = data[1]
    if isinstance(y, Mapping):
        y = {key: _array(value, f"`{key}`") for key, value in y.items()}
        check_labels(y["label"], num_classes)
    else:
        y = check_labels(y, num_classes)
    arrays = (x, y, *(_array(item, "`sample_weight`") for item in data[2:]))
    lengths = {len(array) for array in tf.nest.flatten(arrays)}
    if len(lengths) != 1:
        raise InvalidInputError(
            "Samples, labels and weights must be of one length. Received: "
            f"{', '.join(str(len(array)) for array in tf.nest.flatten(arrays))}. "
            "Give one label per sample."
        )
    return arrays


def check_samples(x: np.ndarray, sample_shape: Sequence[int | None] | None) -> None:
    """Refuses samples that a classifier cannot learn from.

    Args:
        x: ``(n, ...)``.
        sample_shape: As in `check_training_arrays`.

    Raises:
        InvalidInputError: None at all, another shape, or values that are no finite numbers.
    """
    if x.ndim == 0 or not len(x):
        raise InvalidInputError("There are no samples. Received: an empty `x`. Give at least one.")
    if x.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"Samples must be numbers. Received: an array of {x.dtype.name}. Make `x` float32."
        )
    if sample_shape is not None and not _fits(x.shape[1:], sample_shape):
        raise InvalidInputError(
            f"The samples do not fit the model. Received: samples of shape {x.shape[1:]} for a "
            f"model of {tuple(sample_shape)}. Reshape them."
        )
    check_finite(x)


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        there in (None, here) for here, there in zip(shape, wanted, strict=True)
    )


def _array(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError):
        raise InvalidInputError(
            f"{name} must be an array. Received: a {type(value).__name__} of uneven rows. "
            "Give every row the same shape."
        ) from None


def _width(labels: tf.Tensor) -> int | None:
    """Columns of labels; None where the graph does not know."""
    rank = labels.shape.rank
    if rank is None:
        return None
    if rank > 2:
        raise _wrong_width(tuple(labels.shape), None)
    return 1 if rank < 2 else labels.shape[-1]


def _from_numbers(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    numbers = tf.reshape(labels, (-1,))
    whole = tf.cast(numbers, tf.int64)
    inside = (whole >= -1) & (whole < num_classes)
    if numbers.dtype.is_floating:
        inside &= tf.equal(tf.cast(whole, numbers.dtype), numbers)
    whole = require(whole, tf.reduce_all(inside), _out_of_range(num_classes, "others in a batch"))
    return tf.one_hot(whole, num_classes)


def _from_rows(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    rows = tf.cast(labels, tf.float32)
    right = tf.reduce_all(rows >= 0) & tf.reduce_all(tf.reduce_sum(rows, -1) <= 1 + SLACK)
    rows = require(rows, right, _no_distribution("others in a batch"))
    return tf.ensure_shape(rows, (None, num_classes))


def _not_numbers(received: str) -> InvalidInputError:
    return InvalidInputError(
        f"Labels must be numbers. Received: {received}. Number the classes from 0."
    )


def _wrong_width(shape: Sequence[int | None], num_classes: int | None) -> InvalidInputError:
    wanted = "(n,)" if num_classes is None else f"(n,), (n, 1) or (n, {num_classes})"
    return InvalidInputError(
        f"Labels must be of shape {wanted}. Received: {tuple(shape)}. "
        "Give a class number, or a one-hot row, per sample."
    )


def _out_of_range(num_classes: int, received: str) -> str:
    return (
        f"Labels must be whole numbers in 0..{num_classes - 1}, or -1 for none. "
        f"Received: {received}. Number the classes from 0."
    )


def _no_distribution(received: str) -> str:
    return (
        "One-hot or soft labels must be 0 or more and add up to 1 in a row. "
        f"Received: {received}. Multi-label targets are not supported."
    )
