"""Quantization-aware training, with ranges that are calibrated before it starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from keras_ganaccel.compression.bridge import to_tf_keras
from keras_ganaccel.compression.finetune import FineTuner, Progress
from keras_ganaccel.compression.kernels import trained_variables, twin_variables
from keras_ganaccel.compression.prepare import Prepared, prepare, restore
from keras_ganaccel.compression.preserve import Preserved
from keras_ganaccel.compression.quantizers import Rule, quantized, rule_for
from keras_ganaccel.compression.tfmot import rewrapped
from keras_ganaccel.data.inputs import ModelInputs

_CALIBRATION_BATCH = 64


@dataclass
class QuantizedModel:
    """A quantization-aware trained model.

    Args:
        tf_keras_model: Computes with fake-quantized values, as the int8 file will.
        keras_model: The original structure with the trained float32 weights.
        prepared: The rewritten model, with the trained float32 weights.
        rules: How each of its layers is quantized, by name.
    """

    tf_keras_model: Any
    keras_model: keras.Model
    prepared: Prepared
    rules: dict[str, Rule]

    @property
    def fully_quantized(self) -> bool:
        """Whether no layer stays in float32."""
        return not any(rule.reason for rule in self.rules.values())


def quantization_rules(twin: Any) -> dict[str, Rule]:
    """Decides for each layer of a prepared model how it is quantized.

    The converter hands ranges through operations whose inputs and outputs must share one, and where
    two meet it keeps one and clips the other. So every output has a range of its own but where
    nothing can meet: a concatenation of layers that nobody else reads and that could put out any
    range gives them its own, and an addition that only goes into a ReLU is one operation with it.

    Args:
        twin: The tf_keras twin of a prepared model.

    Returns:
        The rules by layer name.
    """
    rules = {layer.name: _own_rule(layer) for layer in twin.layers}
    ranged = {name for name, rule in rules.items() if rule.output}
    for layer in twin.layers:
        if isinstance(layer, tf_keras.layers.Concatenate):
            nodes = [node.inbound_layers for node in layer._inbound_nodes]
            sources = tf.nest.flatten(nodes)
            shared = all(rules[x.name].kernel and _readers(x) == [layer] for x in sources)
            given = {source.name for source in sources} if shared else set()
        elif isinstance(layer, tf_keras.layers.Add) and _is_relu(_readers(layer)):
            given = {layer.name}
        else:
            continue
        ranged -= given
    return {name: replace(rule, output=name in ranged) for name, rule in rules.items()}


def _own_rule(layer: Any) -> Rule:
    """The rule of a layer by itself; whole numbers, such as what is looked up, have no range."""
    rule = rule_for(layer)
    if all(tensor.dtype.is_floating for tensor in _outputs(layer)):
        return rule
    return Rule(reason=rule.reason)


def _readers(layer: Any) -> list[Any]:
    return [node.outbound_layer for node in layer._outbound_nodes]


def quantize(
    model: keras.Model,
    tuner: FineTuner,
    calibration: Any,
    *,
    preserve: Callable[[Prepared], Preserved] | None = None,
    steps: int = 600,
    learning_rate: float = 1e-3,
    on_progress: Progress | None = None,
) -> QuantizedModel:
    """Trains a model that computes as its int8 file will (Jacob et al., arXiv 1712.05877).

    TF-MOT's ranges start at ±6 and move by a thousandth per step, which a short training never
    makes up for; here they start from `calibration`, and are measured on it again at the end.

    Args:
        model: A built Keras 3 model in float32. It is not changed.
        tuner: Data and loss.
        calibration: Training samples in the model's range: an array, or one for each input.
        preserve: Makes from the prepared model what must not change, such as zeros.
        steps: Optimiser steps; 0 only calibrates.
        learning_rate: Adam's first one.
        on_progress: Called with the steps done and their total.

    Returns:
        The trained model in its three forms.
    """
    calibration = ModelInputs.of(model).arrays(calibration)
    prepared = prepare(model)
    twin = to_tf_keras(prepared.model, samples=calibration)
    rules = quantization_rules(twin)
    twins = twin_variables(prepared.model, twin)
    moving = trained_variables(prepared.model, twin)
    ranged = [name for name, rule in rules.items() if rule.output]
    aware = rewrapped(twin, lambda layer: quantized(layer, rules[layer.name]))
    wrappers = [layer for layer in aware.layers if hasattr(layer, "quantize_config")]
    _set_ranges(wrappers, output_ranges(prepared.model, ranged, calibration))
    kept = preserve(prepared) if preserve is not None else Preserved({})
    after_step = kept.constraints(twins)
    if steps:
        tuner.run(
            aware,
            variables=moving,
            steps=steps,
            learning_rate=learning_rate,
            after_step=after_step,
            on_progress=on_progress,
        )
    for variable in prepared.model.variables:
        if id(variable) in twins:
            variable.assign(twins[id(variable)].numpy())
    # The moving averages lag behind the weights: outputs would be cut off where these have moved.
    _set_ranges(wrappers, output_ranges(prepared.model, ranged, calibration))
    return QuantizedModel(aware, restore(prepared, model), prepared, rules)


def output_ranges(
    model: keras.Model, names: Sequence[str], calibration: Sequence[np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Measures the ranges of layers' outputs in float32.

    Args:
        model: A prepared Keras 3 model.
        names: The layers and operations.
        calibration: An array of samples for each input.

    Returns:
        For each layer the mean over batches of the smallest and of the largest value, stretched to
        contain zero; of all its calls, where it is called more than once.
    """
    operations = {operation.name: operation for operation in model.operations}
    outputs = {
        name: [tensor for node in operations[name]._inbound_nodes for tensor in node.outputs]
        for name in names
    }
    probe = keras.Model(model.inputs, outputs)

    def measure(x: list[np.ndarray]) -> list[list[float]]:
        values = probe(x, training=False)
        return [
            [min(float(tf.reduce_min(v)) for v in values[name]),
             max(float(tf.reduce_max(v)) for v in values[name])]
            for name in names
        ]  # fmt: skip

    starts = range(0, len(calibration[0]), _CALIBRATION_BATCH)
    found = [measure([each[i : i + _CALIBRATION_BATCH] for each in calibration]) for i in starts]
    low, high = np.mean(found, axis=0).T
    return {
        name: (min(float(a), 0.0), max(float(b), 0.0))
        for name, a, b in zip(names, low, high, strict=True)
    }


def _outputs(layer: Any) -> list[Any]:
    """The tensors that a layer puts out, of all its calls."""
    nodes = range(len(layer.inbound_nodes))
    return tf.nest.flatten([layer.get_output_at(number) for number in nodes])


def _set_ranges(wrappers: Sequence[Any], ranges: dict[str, tuple[float, float]]) -> None:
    for wrapper in wrappers:
        if wrapper.layer.name in ranges and wrapper._output_quantizers:
            low, high = ranges[wrapper.layer.name]
            wrapper._output_quantizer_vars["min_var"].assign(low)
            wrapper._output_quantizer_vars["max_var"].assign(max(high, low + 1e-6))
    _refresh_kernel_ranges(wrappers)


def _refresh_kernel_ranges(wrappers: Sequence[Any]) -> None:
    """Sets the scales from the kernels as they are; training leaves those of one step before."""
    for wrapper in wrappers:
        for weight, quantizer, variables in wrapper._weight_vars:
            quantizer(weight, True, weights=variables)


def _is_relu(readers: Sequence[Any]) -> bool:
    if len(readers) != 1:
        return False
    if isinstance(readers[0], tf_keras.layers.Activation):
        return readers[0].activation.__name__ in ("relu", "relu6")
    return isinstance(readers[0], tf_keras.layers.ReLU)
