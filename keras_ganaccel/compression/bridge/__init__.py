"""The bridge between Keras 3 and tf_keras, which TensorFlow Model Optimization works on."""

from __future__ import annotations

from keras_ganaccel.compression.bridge.convert import (
    certificate_of,
    from_tf_keras,
    to_tf_keras,
    translated_layers,
    uncarried_layers,
)
from keras_ganaccel.compression.bridge.equivalence import Certificate, LayerProof
from keras_ganaccel.compression.bridge.registry import (
    CONSTANT,
    UncarriedLayerError,
    register_translator,
)
from keras_ganaccel.compression.bridge.special import register_special
from keras_ganaccel.compression.bridge.standard import register_standard

__all__ = [
    "CONSTANT",
    "Certificate",
    "LayerProof",
    "UncarriedLayerError",
    "certificate_of",
    "from_tf_keras",
    "register_translator",
    "to_tf_keras",
    "translated_layers",
    "uncarried_layers",
]

register_standard()
register_special()
