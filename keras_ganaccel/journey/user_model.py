"""The user's own Keras model as the student: checked before it is trusted, loaded, wrapped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from keras_ganaccel.errors import InvalidInputError, reason_of
from keras_ganaccel.keras_file import check_model_file

if TYPE_CHECKING:
    import keras

    from keras_ganaccel.config import RunConfig

__all__ = ["check_model_file", "check_student", "load_model", "with_unit_input"]


def load_model(path: str | os.PathLike[str], *, allow_unsafe: bool = False) -> keras.Model:
    """Loads a `.keras` file, in Keras' safe mode unless told otherwise.

    Raises:
        InvalidInputError: As `check_model_file`, or the file cannot be turned into a model.
    """
    check_model_file(path, allow_unsafe=allow_unsafe)
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
    except Exception as error:
        raise InvalidInputError(
            f"The model file cannot be loaded ({reason_of(error)}). Received: {str(path)!r}. "
            "Register custom layers, or save the model anew."
        ) from None


def check_student(model: keras.Model, config: RunConfig) -> None:
    """Refuses what a run could begin with, but not end: after it has trained a teacher.

    Args:
        model: The user's classifier, which fits the data.
        config: The resolved configuration of the run.

    Raises:
        InvalidInputError: It cannot be saved and loaded again, takes whole numbers or any size,
            has nothing to train, or weights that are no numbers.
        UnsupportedLayerError: The run's compression cannot fine-tune it.
    """
    import keras

    from keras_ganaccel.clones import check_reloadable, clone
    from keras_ganaccel.compression.compress import check_technique
    from keras_ganaccel.initial_weights import check_finite_weights

    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise InvalidInputError(
            "The model must take floats, which generated and augmented samples are. Received: "
            f"an input of {dtype}. Build it from keras.Input(..., dtype='float32')."
        )
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape:
        raise InvalidInputError(
            f"The model must be built for one size, which its int8 file has. Received: an input of "
            f"{shape}. Build it from keras.Input with the height and width of the samples."
        )
    if not model.trainable_variables:
        raise InvalidInputError(
            f"The model must have something to train. Received: {model.name!r}, whose layers are "
            "all frozen. Set `trainable=True`, of its last layer at least."
        )
    if not config.model.reinitialize:
        check_finite_weights(model)
    if not config.model.allow_unsafe:
        check_reloadable(model)
    check_technique(clone(model), config.compression.technique)


def with_unit_input(
    model: keras.Model, input_range: tuple[float, float] | None, sample_shape: tuple[int, ...]
) -> keras.Model:
    """Puts the mapping from [0, 1] in front of a model made for another range.

    Args:
        model: The user's model.
        input_range: What it takes; None is [0, 1], and then the model itself is returned.
        sample_shape: The shape of an encoded sample.

    Returns:
        A model that shares the layers of `model`, so that training the one trains the other.
    """
    if input_range is None or tuple(input_range) == (0.0, 1.0):
        return model
    import keras

    low, high = input_range
    image = keras.Input(sample_shape, name="image")
    scaled = keras.layers.Rescaling(high - low, low, name="to_input_range")(image)
    return keras.Model(image, model(scaled), name="unit_input")
