"""Names in a configuration that only Keras knows: checked before a run folder is made."""

from __future__ import annotations

import keras

from keras_ganaccel.classifier.build import architectures
from keras_ganaccel.classifier.shallow import KINDS
from keras_ganaccel.config import RunConfig
from keras_ganaccel.distribution.strategies import check_strategy
from keras_ganaccel.errors import InvalidInputError, nearest


def check_names(config: RunConfig) -> None:
    """Refuses strategies, architectures, teachers and optimizers that do not exist.

    Args:
        config: The resolved configuration.

    Raises:
        InvalidInputError: A name is unknown, or no member of the teacher is a Keras model, so
            that there would be no ``teacher.tflite``.
    """
    check_strategy(config.strategy)
    models = architectures()
    _check("student.architecture", (config.student.architecture,), models)
    _check("teacher.members", config.teacher.members, (*KINDS, *models))
    _check("gate.teacher_members", config.gate.teacher_members, (*KINDS, *models))
    if set(config.teacher.members) <= set(KINDS):
        raise InvalidInputError(
            "`teacher.members` must name a Keras model, which becomes teacher.tflite. Received: "
            f"{list(config.teacher.members)}. Add 'convnet'."
        )
    try:
        keras.optimizers.get(config.student.optimizer)
    except ValueError:
        raise InvalidInputError(
            f"`student.optimizer` must be the name of a Keras optimizer. Received: "
            f"{config.student.optimizer!r}. Choose for example 'adam' or 'sgd'."
        ) from None


def _check(name: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for each in given:
        if each.lower() not in {one.lower() for one in known}:
            raise InvalidInputError(
                f"Unknown value of `{name}`. Received: {each!r}. {nearest(each, known)}"
            )
    if not given:
        raise InvalidInputError(f"`{name}` must not be empty. Received: []. Name one at least.")
