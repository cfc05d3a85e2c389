"""The user's own Keras model as the student: checked before it is trusted, loaded, wrapped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from keras_ganaccel.errors import InvalidInputError, reason_of
from keras_ganaccel.export.keras_file import check_model_file

if TYPE_CHECKING:
    import keras

__all__ = ["check_model_file", "load_model", "with_unit_input"]


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


def with_unit_input(
    model: keras.Model, input_range: tuple[float, float] | None, image_shape: tuple[int, ...]
) -> keras.Model:
    """Puts the mapping from [0, 1] in front of a model made for another range.

    Args:
        model: The user's model.
        input_range: What it takes; None is [0, 1], and then the model itself is returned.
        image_shape: ``(height, width, channels)``.

    Returns:
        A model that shares the layers of `model`, so that training the one trains the other.
    """
    if input_range is None or tuple(input_range) == (0.0, 1.0):
        return model
    import keras

    low, high = input_range
    image = keras.Input(image_shape, name="image")
    scaled = keras.layers.Rescaling(high - low, low, name="to_input_range")(image)
    return keras.Model(image, model(scaled), name="unit_input")
