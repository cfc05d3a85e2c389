"""Whatever can teach: Keras models, scikit-learn's, callables, and ensembles of such.

A teacher is asked in two ways: from NumPy for an array's probabilities, and inside a TensorFlow
step for a batch's logits. Keras models answer inside the graph; all others through a call back
into Python, which costs time at every step: label a pool once instead where that matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.outputs import (
    EPSILON,
    batched,
    logits_function,
    logits_of,
    output_kind,
)
from keras_ganaccel.classifier.outputs import num_classes as count_classes
from keras_ganaccel.errors import InvalidInputError


@runtime_checkable
class Classifier(Protocol):
    """Anything with scikit-learn's `predict_proba`."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Returns ``(n, classes)`` probabilities."""
        ...


@runtime_checkable
class WeightedMembers(Protocol):
    """An ensemble: its probabilities are the weighted mean of its members'."""

    members: Sequence[Any]
    weights: np.ndarray


def check_teacher(teacher: Any) -> None:
    """Refuses what cannot teach.

    Raises:
        InvalidInputError: It is no Keras model, has no `predict_proba`, and is not callable.
    """
    if not (isinstance(teacher, (keras.Model, Classifier)) or callable(teacher)):
        raise InvalidInputError(
            f"A teacher must be a Keras model, have `predict_proba`, or be callable. "
            f"Received: {type(teacher).__name__}. Wrap it in a function of the images."
        )


def ask(teacher: Any, x: np.ndarray) -> np.ndarray:
    """Asks a teacher for the probabilities of an array of images.

    Args:
        teacher: See `check_teacher`. Scikit-learn's own estimators get flattened images; a
            callable returns probabilities.
        x: float32 ``(n, height, width, channels)`` in [0, 1].

    Returns:
        float32 ``(n, classes)``.
    """
    return answer_function(teacher)(x)


def answer_function(teacher: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Makes the function behind `ask`: a Keras teacher is traced once for all arrays."""
    check_teacher(teacher)
    if isinstance(teacher, keras.Model):
        forward = logits_function(teacher)
        return lambda x: tf.nn.softmax(batched(forward, x)).numpy()
    if isinstance(teacher, Classifier):
        flat = _takes_rows(teacher)
        return lambda x: np.asarray(
            teacher.predict_proba(x.reshape(len(x), -1) if flat else x), np.float32
        )
    return lambda x: np.asarray(teacher(x), np.float32)


def teacher_function(teacher: Any, num_classes: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes a function that asks a teacher inside a TensorFlow step.

    Args:
        teacher: See `ask`.
        num_classes: Columns of its answer.

    Returns:
        A function from float32 ``(batch, height, width, channels)`` to the teacher's logits,
        float32 ``(batch, num_classes)``.

    Raises:
        InvalidInputError: It cannot teach, or a Keras teacher has another number of classes.
    """
    check_teacher(teacher)
    if isinstance(teacher, keras.Model):
        kind = output_kind(teacher)
        columns = count_classes(teacher, kind)
        if columns != num_classes:
            raise InvalidInputError(
                f"Teacher and student must have the same classes. Received: {columns} and "
                f"{num_classes}. Train the teacher on the same data."
            )
        return lambda x: logits_of(teacher(x, training=False), kind)
    if isinstance(teacher, WeightedMembers):
        functions = [teacher_function(member, num_classes) for member in teacher.members]
        weights = [float(weight) for weight in teacher.weights]

        def mean(x: tf.Tensor) -> tf.Tensor:
            shares = [
                weight * tf.nn.softmax(function(x))
                for weight, function in zip(weights, functions, strict=True)
            ]
            return tf.math.log(tf.clip_by_value(tf.add_n(shares), EPSILON, 1.0))

        return mean

    def call_back(x: tf.Tensor) -> tf.Tensor:
        answer = tf.numpy_function(lambda images: ask(teacher, images), [x], tf.float32)
        answer = tf.ensure_shape(answer, (None, num_classes))
        return tf.math.log(tf.clip_by_value(answer, EPSILON, 1.0))

    return call_back


def _takes_rows(classifier: Classifier) -> bool:
    return type(classifier).__module__.partition(".")[0] == "sklearn"
