"""Copies of models and layers that compute what their originals do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from keras_ganaccel.errors import InvalidInputError, reason_of


def clone(model: keras.Model) -> keras.Model:
    """Returns a copy of a Keras 3 model: same structure and state, no shared variables.

    Args:
        model: A built Functional or Sequential model.

    Example:
        >>> import keras, numpy as np
        >>> scaled = keras.layers.Normalization()
        >>> scaled.adapt(np.array([[1.0], [3.0]]))
        >>> copy = clone(keras.Sequential([keras.Input((1,)), scaled]))
        >>> copy(np.array([[5.0]])).numpy().tolist()
        [[3.0]]
    """
    try:
        copy = keras.models.clone_model(model)
    except Exception:  # whatever Keras and layers of the user raise
        copy = _clone_by_hand(model)
    copy_state(model, copy)
    return copy


def check_reloadable(model: keras.Model) -> None:
    """Refuses a model that could be saved, but not loaded again without running code of its file.

    Args:
        model: A built Functional or Sequential model.

    Raises:
        InvalidInputError: A layer cannot be made anew from its configuration; it is named.
    """
    for layer in sublayers(model):
        # An error inside of a layer is told of that layer.
        if layer is model or isinstance(layer, keras.Model):
            continue
        try:
            saved = keras.saving.serialize_keras_object(layer)
            keras.saving.deserialize_keras_object(saved, safe_mode=True)
        except Exception as error:  # the user's own code
            raise InvalidInputError(
                "The model must be made of layers that can be saved and loaded again. Received: "
                f"{layer.name!r} ({type(layer).__name__}), {_why(layer, error)}. Use functions of "
                "keras.activations, and layers with a `get_config` that are registered by "
                "keras.saving.register_keras_serializable."
            ) from None


def _why(layer: keras.layers.Layer, error: Exception) -> str:
    functions = (getattr(layer, name, None) for name in ("function", "activation"))
    if any(getattr(function, "__name__", "") == "<lambda>" for function in functions):
        return "which holds a lambda"
    return reason_of(error, 110)


def _clone_by_hand(model: keras.Model) -> keras.Model:
    """A copy whose layers call the same functions, which Keras itself would make anew from code."""
    try:
        return keras.models.clone_model(model, clone_function=_layer_by_hand, recursive=True)
    except Exception as error:
        check_reloadable(model)
        raise InvalidInputError(
            f"No copy of the model can be made. Received: {model.name!r} "
            f"({reason_of(error, 150)}). Give its layers a `get_config` that returns the "
            "arguments of their constructors."
        ) from error


def _layer_by_hand(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, keras.layers.Lambda):
        config = {"mask": layer.mask, "arguments": layer.arguments, "name": layer.name}
        return keras.layers.Lambda(layer.function, output_shape=layer._output_shape, **config)
    function = getattr(layer, "activation", None)
    if getattr(function, "__name__", "") != "<lambda>":
        return type(layer).from_config(layer.get_config())
    copy = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    copy.activation = function
    return copy


def copy_state(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Gives a copy of a layer or model what the original has learnt, and freezes the same of it.

    Args:
        source: The original.
        target: A copy of it with the same variables in the same order.
    """
    give_weights(target, source.get_weights())
    for mine, other in zip(source.weights, target.weights, strict=True):
        other.trainable = mine.trainable


def give_weights(layer: keras.layers.Layer, weights: Sequence[np.ndarray]) -> None:
    """Gives a layer or model weights, and lets it compute with them.

    A `Normalization` that was adapted computes with constants that it has made of its weights;
    Keras' own `set_weights` leaves these as they were.

    Args:
        layer: A built layer or model.
        weights: As `get_weights` returns them.
    """
    layer.set_weights(weights)
    for inner in sublayers(layer):
        if isinstance(inner, keras.layers.Normalization):
            inner.finalize_state()


def sublayers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yields a layer and everything inside it that is a layer, such as a wrapper's content."""
    yield from layer._flatten_layers(include_self=True, recursive=True)
