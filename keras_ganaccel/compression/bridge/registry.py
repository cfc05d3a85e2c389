"""Which function translates which Keras 3 layer, and which layers are refused for what reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tf_keras

from keras_ganaccel.errors import InvalidInputError, UnsupportedLayerError

CONSTANT = ""  # as a weight attribute's new name: it becomes a constant of the layer

Translate = Callable[[keras.layers.Layer], "tf_keras.layers.Layer"]


@dataclass(frozen=True)
class Translator:
    """How one layer class is carried over.

    Args:
        translate: Makes the unbuilt tf_keras layer from the Keras 3 one.
        attributes: Names of weight attributes that differ: Keras 3 name to tf_keras name.
        random: Whether the layer draws random numbers while training, or a function of the layer
            that tells.
        note: What is worth knowing about the translation, for the coverage table.
    """

    translate: Translate
    attributes: Mapping[str, str]
    random: bool | Callable[[Any], bool] = False
    note: str = ""

    def draws(self, layer: keras.layers.Layer) -> bool:
        """Whether this layer, with its settings, draws random numbers while training."""
        return self.random(layer) if callable(self.random) else self.random


_TRANSLATORS: dict[type, Translator] = {}
_REFUSALS: dict[str, str] = {}


def register_translator(
    layer_class: type,
    translate: Translate,
    *,
    attributes: Mapping[str, str] | None = None,
    random: bool | Callable[[Any], bool] = False,
    note: str = "",
) -> None:
    """Teaches the bridge to carry a layer class over to tf_keras.

    The translation is proved like the built-in ones: outputs are compared on identical inputs
    before `to_tf_keras` returns.

    Args:
        layer_class: The Keras 3 layer class. It is matched exactly, not its subclasses.
        translate: Takes the Keras 3 layer and returns an unbuilt tf_keras layer. The name need not
            be set: the bridge gives both the same one.
        attributes: Weight attributes whose names differ, from the Keras 3 to the tf_keras name.
            All others are copied between attributes of the same name; `CONSTANT` marks those that
            `translate` turns into constants.
        random: Whether the layer draws random numbers while training, so that only its inference
            can be compared.
        note: One line for the coverage table.

    Raises:
        InvalidInputError: `layer_class` is not a Keras 3 layer class, or `translate` no function.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras, tf_keras
        >>> class Double(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> class LegacyDouble(tf_keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> ga.register_translator(Double, lambda layer: LegacyDouble())
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
        raise InvalidInputError(
            f"`layer_class` must be a Keras 3 layer class. Received: {layer_class!r}. "
            "Pass the class itself, not an instance or its name."
        )
    if not callable(translate):
        raise InvalidInputError(
            f"`translate` must be a function from a Keras 3 layer to a tf_keras one. "
            f"Received: {translate!r}. Pass a function."
        )
    _TRANSLATORS[layer_class] = Translator(translate, dict(attributes or {}), random, note)


def refuse(name: str, reason: str) -> None:
    """Records why the layer class of this name is not carried over."""
    _REFUSALS[name] = reason


class UncarriedLayerError(UnsupportedLayerError):
    """A layer that the bridge does not carry over.

    Args:
        name: The layer's name in the flattened graph.
        kind: Its class.
        reason: Why not.
        advice: What to do about it.
    """

    def __init__(self, name: str, kind: str, reason: str, advice: str) -> None:
        super().__init__(
            f"The layer {name!r} ({kind}) cannot be carried over to tf_keras: {reason}. {advice}"
        )
        self.name, self.kind, self.reason = name, kind, reason


def is_refused(layer_class: type) -> bool:
    """Whether a class of Keras' own is refused for a reason; what users write never is."""
    return layer_class.__name__ in _REFUSALS and layer_class.__module__.startswith("keras.")


def find_translator(layer: keras.layers.Layer, name: str) -> Translator:
    """Returns the registered translator of a layer.

    Args:
        layer: The Keras 3 layer.
        name: Its name in the flattened graph, for the error.

    Raises:
        UncarriedLayerError: There is none; the message has the name and the reason.
    """
    found = _TRANSLATORS.get(type(layer))
    if found is not None:
        return found
    kind = type(layer).__name__
    reason = _REFUSALS.get(kind, "tf_keras has no layer of this class")
    advice = "Replace it, or register a translator with `bridge.register_translator`."
    raise UncarriedLayerError(name, kind, reason, advice)


def unsupported(layer: Any, reason: str) -> UncarriedLayerError:
    """The error for a layer whose class is translated but whose settings cannot be."""
    advice = "Change that setting, or register a translator."
    return UncarriedLayerError(layer.name, type(layer).__name__, reason, advice)


def translators() -> Mapping[type, Translator]:
    """All registered translators, by Keras 3 class."""
    return dict(_TRANSLATORS)


def refusals() -> Mapping[str, str]:
    """The reasons of all refusals, by class name."""
    return dict(_REFUSALS)
