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
    SLACK,
    batched,
    logits_function,
    logits_of,
    output_kind,
)
from keras_ganaccel.classifier.outputs import num_classes as count_classes
from keras_ganaccel.errors import GanAccelError, InvalidInputError, reason_of


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


def ask(teacher: Any, x: np.ndarray, num_classes: int | None = None) -> np.ndarray:
    """Asks a teacher for the probabilities of an array of images.

    Args:
        teacher: See `check_teacher`. An estimator in scikit-learn's manner (one of its own, or
            with `n_features_in_`) gets flattened images; a callable returns probabilities.
        x: float32 ``(n, height, width, channels)`` in [0, 1].
        num_classes: Columns of the answer: classes that an estimator has not seen get zeros. None
            takes its answer as it is.

    Returns:
        float32 ``(n, classes)``.

    Raises:
        InvalidInputError: It cannot teach, its classes do not fit, or its answers are no
            probabilities.
    """
    return answer_function(teacher, num_classes)(x)


def answer_function(
    teacher: Any, num_classes: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Makes the function behind `ask`: a Keras teacher is traced once for all arrays."""
    check_teacher(teacher)
    if isinstance(teacher, keras.Model):
        if num_classes is not None:
            _check_columns(teacher, num_classes)
        forward = logits_function(teacher)
        return lambda x: tf.nn.softmax(batched(forward, x)).numpy()
    answer = _python_answer(teacher, num_classes)

    def told(x: np.ndarray) -> np.ndarray:
        try:
            return answer(x)
        except GanAccelError:
            raise
        except Exception as error:
            raise InvalidInputError(
                f"The teacher could not answer. Received: {type(error).__name__} "
                f"({reason_of(error)}) from {type(teacher).__name__}. "
                "Call it on a batch by yourself first."
            ) from error

    return told


def _python_answer(teacher: Any, num_classes: int | None) -> Callable[[np.ndarray], np.ndarray]:
    """The function behind `ask` for what is no Keras model."""
    if not isinstance(teacher, Classifier):
        return lambda x: checked_probabilities(teacher(x), num_classes)
    columns = _columns(getattr(teacher, "classes_", None), num_classes)
    flat = _takes_rows(teacher)

    def answer(x: np.ndarray) -> np.ndarray:
        answers = teacher.predict_proba(x.reshape(len(x), -1) if flat else x)
        answers = _spread(np.asarray(answers, np.float32), columns, num_classes)
        return checked_probabilities(answers, num_classes)

    return answer


def count_columns(teacher: Any) -> int | None:
    """The number of classes that a teacher is known to tell apart; None if only asking tells."""
    if isinstance(teacher, keras.Model):
        return count_classes(teacher, output_kind(teacher))
    if isinstance(teacher, WeightedMembers):
        known = [count_columns(member) for member in teacher.members]
        return max((columns for columns in known if columns is not None), default=None)
    if isinstance(getattr(teacher, "num_classes", None), int):
        return teacher.num_classes
    classes = getattr(teacher, "classes_", None)
    if classes is None:
        return None
    numbers = _class_numbers(classes)
    return len(classes) if numbers is None else max(len(classes), int(numbers.max()) + 1)


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
        kind = _check_columns(teacher, num_classes)
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

    answer = answer_function(teacher, num_classes)

    def call_back(x: tf.Tensor) -> tf.Tensor:
        answers = tf.ensure_shape(tf.numpy_function(answer, [x], tf.float32), (None, num_classes))
        return tf.math.log(tf.clip_by_value(answers, EPSILON, 1.0))

    return call_back


def _check_columns(teacher: keras.Model, num_classes: int) -> str:
    """Refuses a Keras teacher of another number of classes; returns what kind of output it has."""
    kind = output_kind(teacher)
    columns = count_classes(teacher, kind)
    if columns != num_classes:
        raise InvalidInputError(
            f"Teacher and student must have the same classes. Received: {columns} and "
            f"{num_classes}. Train the teacher on the same data."
        )
    return kind


def _takes_rows(classifier: Classifier) -> bool:
    is_sklearn = type(classifier).__module__.partition(".")[0] == "sklearn"
    return is_sklearn or hasattr(classifier, "n_features_in_")


def _class_numbers(classes: Any) -> np.ndarray | None:
    """The classes of an estimator as integers from 0; None if they are something else."""
    classes = np.asarray(classes)
    if classes.dtype.kind not in "biuf" or (classes != classes.astype(np.int64)).any():
        return None
    numbers = classes.astype(np.int64)
    return None if numbers.min() < 0 else numbers


def _columns(classes: Any, num_classes: int | None) -> np.ndarray | None:
    """Where each column of an estimator's answer belongs; None leaves them in their places.

    Class numbers in 0..num_classes-1 are columns. Any other names stand in sorted order, as the
    data's do, and so there must be one for every class.
    """
    if classes is None or num_classes is None:
        return None
    numbers = _class_numbers(classes)
    if numbers is not None and numbers.max() < num_classes:
        return numbers
    if len(classes) == num_classes:
        return None
    raise InvalidInputError(
        f"Teacher and student must have the same classes. Received: a teacher of {len(classes)} "
        f"classes named {', '.join(map(str, classes[:3]))}..., a student of {num_classes}. Train "
        f"the teacher on labels 0..{num_classes - 1}."
    )


def _spread(answers: np.ndarray, columns: np.ndarray | None, num_classes: int | None) -> np.ndarray:
    if columns is None or num_classes is None or answers.shape[1:] != columns.shape:
        return answers
    whole = np.zeros((len(answers), num_classes), np.float32)
    whole[:, columns] = answers
    return whole


def checked_probabilities(answers: Any, num_classes: int | None) -> np.ndarray:
    """Refuses answers that are no probabilities of the classes."""
    answers = np.asarray(answers, np.float32)
    if answers.ndim != 2 or (num_classes is not None and answers.shape[1] != num_classes):
        raise InvalidInputError(
            "A teacher must answer with one probability per class. Received: shape "
            f"{answers.shape}, not (n, {num_classes or 'classes'}). Return a row per sample."
        )
    sums = answers.sum(axis=1)
    # NaN fails as well.
    if not ((answers >= -SLACK).all() and (np.abs(sums - 1) <= SLACK).all()):
        raise InvalidInputError(
            "A teacher must answer with probabilities, 0 or more and 1 in sum. Received: "
            f"{answers.min():.3g} as the least, sums of {sums.min():.3g} to {sums.max():.3g}. "
            "Put a softmax behind it."
        )
    return answers
