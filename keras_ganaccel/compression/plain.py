"""Copies of Keras 3 models as compression and export take them: plain precision and activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.clones import copy_state, sublayers

_PLAIN = ("float32", "int32", "int64", "uint8", "bool", "string")
# Those of `tf.nn` that Keras has under the same name.
_OF_TENSORFLOW = {
    id(getattr(tf.nn, name)): name
    for name in (
        "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh", "softmax",
        "log_softmax", "softplus", "softsign",
    )
}  # fmt: skip


def in_float32(model: keras.Model) -> keras.Model:
    """Returns the model, or its float32 copy if any layer computes in another precision.

    Args:
        model: A built Keras 3 model. It is not changed.

    Returns:
        `model` itself, or a rebuilt copy with the same weights.
    """

    def changes(layer: keras.layers.Layer) -> dict[str, Any]:
        return {} if layer.dtype_policy.name in _PLAIN else {"dtype": "float32"}

    return _changed(model, changes)


def with_keras_activations(model: keras.Model) -> keras.Model:
    """Returns the model, or a copy that activates with `keras.activations` instead of `tf.nn`.

    Keras saves the functions of `tf.nn` under names that it does not know when it loads them, so
    that such layers could not be copied.

    Args:
        model: A built Keras 3 model. It is not changed.

    Returns:
        `model` itself, or a rebuilt copy with the same weights that computes the same.

    Example:
        >>> import keras, tensorflow as tf
        >>> layers = [keras.Input((4,)), keras.layers.Dense(2, activation=tf.nn.softmax)]
        >>> with_keras_activations(keras.Sequential(layers)).layers[0].activation.__module__
        'keras.src.activations.activations'
    """

    def changes(layer: keras.layers.Layer) -> dict[str, Any]:
        name = _OF_TENSORFLOW.get(id(getattr(layer, "activation", None)))
        return {} if name is None else {"activation": name}

    return _changed(model, changes)


def _changed(
    model: keras.Model, changes: Callable[[keras.layers.Layer], Mapping[str, Any]]
) -> keras.Model:
    """The model itself, or its copy with other values in the configurations of some layers."""
    layers = [layer for layer in sublayers(model) if not isinstance(layer, keras.Model)]
    if not any(map(changes, layers)):
        return model

    def rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), **changes(layer)})

    clone = keras.models.clone_model(model, clone_function=rebuilt, recursive=True)
    copy_state(model, clone)
    return clone
