"""Pairs the weights of a Keras 3 layer with those of its tf_keras counterpart, by attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.compression.bridge.hosted import HostedLayer
from keras_ganaccel.compression.bridge.registry import CONSTANT, translators
from keras_ganaccel.errors import EquivalenceError

# Where layers keep layers of their own: wrappers, recurrent cells, attention.
_INNER = (
    "layer", "cell", "forward_layer", "backward_layer", "_query_dense", "_key_dense",
    "_value_dense", "_output_dense",
)  # fmt: skip


def weight_pairs(
    layer: keras.layers.Layer, counterpart: Any, name: str
) -> list[tuple[keras.Variable, tf.Variable]]:
    """Finds for every weight of a layer the one it becomes.

    Args:
        layer: The built Keras 3 layer.
        counterpart: The built tf_keras layer.
        name: What to call the layer in an error.

    Returns:
        Pairs of variables of equal shape.

    Raises:
        EquivalenceError: A weight on either side has no partner, or one of another shape.
    """
    if isinstance(counterpart, HostedLayer):
        return counterpart.weight_pairs(layer, name)
    pairs = list(_pairs(layer, counterpart, name))
    constant = set(_constants(layer))
    wanted = {id(v) for v in layer.variables if not _is_seed(v)} - constant
    reached = {id(mine) for mine, _ in pairs}
    theirs = {id(variable) for variable in counterpart.weights}
    if wanted != reached or not theirs <= {id(other) for _, other in pairs}:
        raise EquivalenceError(
            f"The weights of the layer {name!r} do not match those of its translation. "
            f"Received: {[v.name for v in layer.variables]} and "
            f"{[v.name for v in counterpart.weights]}. "
            "Name the attributes that differ with register_translator(attributes=...)."
        )
    return pairs


def copy_weights(layer: keras.layers.Layer, counterpart: Any, name: str) -> None:
    """Gives the tf_keras layer the weights of the Keras 3 layer."""
    for mine, other in weight_pairs(layer, counterpart, name):
        other.assign(tf.cast(mine.value, other.dtype))


def _pairs(layer: Any, counterpart: Any, name: str) -> Iterator[tuple[keras.Variable, Any]]:
    attributes = _attributes(layer)
    for attribute, variable in _own_variables(layer):
        target = attributes.get(attribute, attribute)
        other = getattr(counterpart, target, None) if target != CONSTANT else None
        if isinstance(other, tf.Variable):
            if tuple(other.shape) != tuple(variable.shape):
                raise EquivalenceError(
                    f"The weight {attribute!r} of the layer {name!r} changes its shape. "
                    f"Received: {tuple(variable.shape)} and {tuple(other.shape)}. "
                    "Correct its translator."
                )
            yield variable, other
    for attribute in _INNER:
        inner = getattr(layer, attribute, None)
        if isinstance(inner, keras.layers.Layer):
            yield from _pairs(inner, getattr(counterpart, attribute), f"{name}/{inner.name}")
    for mine, other in zip(
        getattr(layer, "cells", ()), getattr(counterpart, "cells", ()), strict=False
    ):
        yield from _pairs(mine, other, f"{name}/{mine.name}")


def _attributes(layer: Any) -> Mapping[str, str]:
    """The weight attributes that are called otherwise in tf_keras."""
    translator = translators().get(type(layer))
    return translator.attributes if translator is not None else {}


def _constants(layer: Any) -> Iterator[int]:
    """The weights that the translator of the layer has turned into constants."""
    attributes = _attributes(layer)
    for attribute, variable in _own_variables(layer):
        if attributes.get(attribute) == CONSTANT:
            yield id(variable)
    for attribute in _INNER:
        inner = getattr(layer, attribute, None)
        if isinstance(inner, keras.layers.Layer):
            yield from _constants(inner)


def _own_variables(layer: Any) -> Iterator[tuple[str, keras.Variable]]:
    """The variables that are attributes of this very layer, each under its first name."""
    own = {id(variable) for variable in layer._trainable_variables}
    own |= {id(variable) for variable in layer._non_trainable_variables}
    seen: set[int] = set()
    candidates: Mapping[str, Any] = {
        **vars(layer),
        **{key: getattr(layer, key) for key in ("kernel", "embeddings") if hasattr(layer, key)},
    }
    for key, value in candidates.items():
        if isinstance(value, keras.Variable) and id(value) in own and id(value) not in seen:
            seen.add(id(value))
            yield key.removeprefix("_") if hasattr(layer, key.removeprefix("_")) else key, value


def _is_seed(variable: keras.Variable) -> bool:
    """Random layers keep the state of their generator among their variables."""
    return "seed_generator" in variable.path
