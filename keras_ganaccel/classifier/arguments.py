"""What a distiller is given, checked before anything is trained: models, options, metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.classifier.outputs import input_shape
from keras_ganaccel.errors import InvalidInputError, nearest, reason_of

LOSSES = ("hinton", "logits")
# These compare columns, and give any number for labels that are class numbers.
_OF_ROWS = (
    keras.metrics.CategoricalAccuracy,
    keras.metrics.CategoricalCrossentropy,
    keras.metrics.TopKCategoricalAccuracy,
)


def check_models(student: Any, teacher: Any) -> None:
    """Refuses a student that is no Keras model, and a Keras teacher of other samples."""
    if not isinstance(student, keras.Model):
        raise InvalidInputError(
            f"The student must be a Keras model. Received: a {type(student).__name__}. "
            "Build one, such as by build_classifier."
        )
    if isinstance(teacher, keras.Model):
        shapes = input_shape(student), input_shape(teacher)
        if None not in shapes and not tf.TensorShape(shapes[0]).is_compatible_with(shapes[1]):
            raise InvalidInputError(
                f"Teacher and student must take the same samples. Received: {shapes[1]} and "
                f"{shapes[0]}. Put what resizes them into the teacher."
            )


def check_options(temperature: Any, alpha: Any, loss: str, label_smoothing: Any) -> None:
    """Refuses options out of their range."""
    for name, value in (
        ("temperature", temperature), ("alpha", alpha), ("label_smoothing", label_smoothing),
    ):  # fmt: skip
        if not isinstance(value, Real):
            raise InvalidInputError(
                f"`{name}` must be a number. Received: {value!r}. Leave it out for the default."
            )
    if not temperature > 0:
        raise InvalidInputError(
            f"`temperature` must be above 0. Received: {temperature}. 1 leaves outputs as they are."
        )
    if not 0 <= alpha <= 1:
        raise InvalidInputError(
            f"`alpha` must be in [0, 1]. Received: {alpha}. Pass 0 to learn from the teacher only."
        )
    if not 0 <= label_smoothing < 1:
        raise InvalidInputError(
            f"`label_smoothing` must be in [0, 1). Received: {label_smoothing}. Pass 0 for none."
        )
    if loss not in LOSSES:
        raise InvalidInputError(f"Unknown `loss`. Received: {loss!r}. {nearest(loss, LOSSES)}")


def check_metrics(metrics: Sequence[Any], labels: Sequence[int], units: int) -> None:
    """Refuses metrics of one-hot rows where labels are class numbers.

    Args:
        metrics: Those of `compile`.
        labels: The shape of a batch of labels.
        units: Columns of the student's outputs.
    """
    numbers = len(labels) == 1 or labels[-1] == 1
    for metric in metrics:
        if isinstance(metric, _OF_ROWS) and numbers and units > 1:
            raise unfit_metrics(f"{metric.name} takes one-hot rows", labels, units)


def unfit_metrics(why: str | Exception, labels: Sequence[int], units: int) -> InvalidInputError:
    """Says that a metric cannot be computed from labels of a shape and outputs of so many units."""
    reason = re.sub(r"^\{\{.*?\}\}\s*", "", why if isinstance(why, str) else reason_of(why, 120))
    return InvalidInputError(
        f"The metrics of compile() do not fit. Received: {reason}, for labels of shape "
        f"{('n', *labels[1:])} and outputs of {('n', units)}. Give the metric that takes these, "
        "such as a sparse one for class numbers, or one-hot labels."
    )


def beside_accuracy(metrics: Any) -> Any:
    """The metrics without the one that a distiller always has, right for every kind of output."""
    if isinstance(metrics, (list, tuple)):
        return [each for each in metrics if not _is_accuracy(each)] or None
    return None if _is_accuracy(metrics) else metrics


def _is_accuracy(metric: Any) -> bool:
    return isinstance(metric, str) and metric.lower() == "accuracy"
