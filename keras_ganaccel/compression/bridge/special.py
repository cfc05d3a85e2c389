"""Translators of layers that need more than their configuration, and the refusals."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tf_keras

from keras_ganaccel.compression.bridge.configs import by_config, require_float32
from keras_ganaccel.compression.bridge.registry import (
    CONSTANT,
    find_translator,
    refuse,
    register_translator,
    unsupported,
)

_RECURRENT = ("SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_CELLS = ("SimpleRNNCell", "LSTMCell", "GRUCell")
_TABLES = "look-up tables belong in front of the model; a TFLite file cannot hold them"
_REFUSED = {
    "AugMix": "an augmentation belongs into the data pipeline",
    "CutMix": "an augmentation belongs into the data pipeline",
    "FlaxLayer": "it computes with JAX",
    "HashedCrossing": _TABLES,
    "Hashing": _TABLES,
    "IntegerLookup": _TABLES,
    "JaxLayer": "it computes with JAX",
    "Lambda": "no copy can be made of the Python code in it; write a layer class",
    "Layer": "it is the base class",
    "Pipeline": "it hides its layers; call them one by one",
    "StringLookup": _TABLES,
    "TFSMLayer": "it holds a SavedModel whose layers cannot be seen",
    "TextVectorization": _TABLES,
    "TorchModuleWrapper": "it computes with PyTorch",
    "Wrapper": "it is a base class",
}


def register_special() -> None:
    """Registers every layer of this module, and the reasons of the refusals."""
    register_translator(
        keras.layers.Normalization,
        _normalization,
        attributes=dict.fromkeys(("adapt_mean", "adapt_variance", "count"), CONSTANT),
        note="mean and variance become constants",
    )
    register_translator(keras.layers.Discretization, _discretization)
    register_translator(
        keras.layers.MultiHeadAttention,
        by_config(tf_keras.layers.MultiHeadAttention),
        random=lambda layer: bool(layer.get_config()["dropout"]),
        note="with dropout it draws its own random numbers while training",
    )
    register_translator(keras.layers.TimeDistributed, _time_distributed)
    register_translator(keras.layers.Bidirectional, _bidirectional)
    register_translator(keras.layers.RNN, _rnn)
    register_translator(keras.layers.StackedRNNCells, _stacked)
    for name in (*_RECURRENT, *_CELLS):
        layer_class = getattr(keras.layers, name)
        register_translator(layer_class, _recurrent(getattr(tf_keras.layers, name)))
    for name, reason in _REFUSED.items():
        refuse(name, reason)


def _recurrent(counterpart: type) -> Any:
    """A translator by configuration; dropout inside a cell cannot be switched off for the proof."""
    plain = by_config(counterpart)

    def translate(layer: Any) -> Any:
        if getattr(layer, "dropout", 0) or getattr(layer, "recurrent_dropout", 0):
            raise unsupported(layer, "dropout inside the recurrence is drawn differently")
        translated = plain(layer)
        if hasattr(layer, "zero_output_for_mask"):
            translated.zero_output_for_mask = layer.zero_output_for_mask
        return translated

    return translate


def _inner(layer: Any) -> Any:
    """Translates a layer inside a wrapper, under the same name."""
    translated = find_translator(layer, layer.name).translate(layer)
    translated._name = layer.name
    return translated


def _normalization(layer: Any) -> Any:
    require_float32(layer)
    if layer.invert:
        raise unsupported(layer, "tf_keras inverts with another epsilon")
    shape = layer._mean_and_var_shape
    mean, variance = (np.broadcast_to(np.squeeze(x), shape) for x in (layer.mean, layer.variance))
    return tf_keras.layers.Normalization(axis=layer.axis, mean=mean, variance=variance)


def _discretization(layer: Any) -> Any:
    if layer.bin_boundaries is None:
        raise unsupported(layer, "it has no boundaries yet; adapt it first")
    # An adapted one knows its boundaries and their number, of which a constructor takes one.
    config = {**layer.get_config(), "num_bins": None}
    return by_config(tf_keras.layers.Discretization)(keras.layers.Discretization(**config))


def _time_distributed(layer: Any) -> Any:
    if isinstance(layer.layer, keras.layers.Normalization):
        raise unsupported(layer, "tf_keras makes its constants where they cannot be exported")
    return tf_keras.layers.TimeDistributed(_inner(layer.layer))


def _bidirectional(layer: Any) -> Any:
    return tf_keras.layers.Bidirectional(
        _inner(layer.forward_layer),
        merge_mode=layer.merge_mode,
        backward_layer=_inner(layer.backward_layer),
    )


def _rnn(layer: Any) -> Any:
    return tf_keras.layers.RNN(
        _inner(layer.cell),
        return_sequences=layer.return_sequences,
        return_state=layer.return_state,
        go_backwards=layer.go_backwards,
        stateful=layer.stateful,
        unroll=layer.unroll,
    )


def _stacked(layer: Any) -> Any:
    return tf_keras.layers.StackedRNNCells([_inner(cell) for cell in layer.cells])
