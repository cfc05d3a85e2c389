"""The proof that a translated model computes the same as the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.compression.bridge.hosted import HostedLayer
from keras_ganaccel.compression.bridge.registry import find_translator
from keras_ganaccel.compression.bridge.weights import weight_pairs
from keras_ganaccel.compression.graph import Graph, Step, replay
from keras_ganaccel.errors import EquivalenceError

LAYER_TOLERANCE = 1e-5
MODEL_TOLERANCE = 1e-4


@dataclass(frozen=True)
class LayerProof:
    """What was measured on one layer.

    Args:
        name: The layer's name in the flattened graph.
        kind: Its Keras 3 class.
        inference_error: Largest difference of its outputs, relative to their largest value.
        training_error: The same in training mode, the updated statistics included; None for layers
            that draw random numbers there.
    """

    name: str
    kind: str
    inference_error: float
    training_error: float | None


@dataclass(frozen=True)
class Certificate:
    """The evidence that a tf_keras model equals the Keras 3 model it was made from.

    Args:
        layers: One entry per layer call, in the order of the graph.
        model_error: Largest difference of the models' outputs, relative to their largest value.
        samples: How many random and given samples were compared.
    """

    layers: tuple[LayerProof, ...]
    model_error: float
    samples: int

    @property
    def worst(self) -> LayerProof | None:
        """The layer with the largest difference in either mode; None for a model without layers."""
        return max(
            self.layers,
            key=lambda proof: max(proof.inference_error, proof.training_error or 0.0),
            default=None,
        )


def certify(
    model: keras.Model,
    graph: Graph,
    translated: Any,
    counterparts: Mapping[str, Any],
    batches: Sequence[list[np.ndarray]],
) -> Certificate:
    """Compares the two models layer by layer and end to end.

    Every layer is fed identical inputs. The Keras 3 side runs statelessly, so that neither
    statistics nor random seeds move; what training mode changes on the tf_keras side is put back.

    Args:
        model: The Keras 3 model.
        graph: Its flattened graph.
        translated: The tf_keras model.
        counterparts: Its layers and how they take the arguments, by the steps' names.
        batches: Input batches, each a list with one array per model input.

    Returns:
        The certificate.

    Raises:
        EquivalenceError: A layer differs by more than 1e-5, or the outputs by more than 1e-4.
    """
    proofs: dict[tuple[str, int], LayerProof] = {}
    model_error = 0.0
    for batch in batches:
        tensors = [tf.constant(array) for array in batch]
        inputs = {t.key: x for (_, t), x in zip(graph.inputs, tensors, strict=True)}

        def compare(step: Step, args: tuple, kwargs: dict) -> Any:
            outputs, proof = _compare_step(step, args, kwargs, counterparts[step.name])
            key = (step.name, step.outputs[0].key)
            proofs[key] = _worse(proofs.get(key), proof)
            return outputs

        expected = replay(graph, inputs, compare)
        received = translated(_structured(graph, tensors), training=False)
        direct = _call_statelessly(model, (_structured(graph, tensors),), {"training": False})[0]
        for reference in (expected, direct):
            model_error = max(model_error, _difference(reference, received))
    if not model_error <= MODEL_TOLERANCE:
        raise EquivalenceError(
            f"The tf_keras model does not compute what {model.name!r} does. Received: a relative "
            f"difference of {model_error:.1e}, allowed is {MODEL_TOLERANCE:.0e}. Check the "
            "translators that you registered."
        )
    return Certificate(tuple(proofs.values()), model_error, sum(len(batch[0]) for batch in batches))


def _compare_step(
    step: Step, args: tuple, kwargs: dict, counterpart: Any
) -> tuple[Any, LayerProof]:
    """Runs one layer on both sides; returns the Keras 3 outputs and what was measured."""
    layer, call = counterpart
    kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    outputs, _ = _call_statelessly(step.operation, args, kwargs, training=False)
    inference = _difference(outputs, call(layer, args, kwargs, False))
    training: float | None = None
    if not step.is_layer:
        training = inference
    elif not _draws(step, layer):
        training = _training_difference(step, args, kwargs, layer, call)
    for mode, error in (("inference", inference), ("training", training)):
        if error is not None and not error <= LAYER_TOLERANCE:
            raise EquivalenceError(
                f"The layer {step.name!r} ({type(step.operation).__name__}) computes something "
                f"else in tf_keras. Received: a relative difference of {error:.1e} in {mode} "
                f"mode, allowed is {LAYER_TOLERANCE:.0e}. Correct its translator."
            )
    return outputs, LayerProof(step.name, type(step.operation).__name__, inference, training)


def _draws(step: Step, layer: Any) -> bool:
    """Whether a layer draws random numbers while training, so that the two cannot be compared."""
    if isinstance(layer, HostedLayer):
        return layer.draws
    return find_translator(step.operation, step.name).draws(step.operation)


def _training_difference(step: Step, args: tuple, kwargs: dict, layer: Any, call: Any) -> float:
    """Compares outputs and updated statistics in training mode, and puts the statistics back."""
    outputs, updated = _call_statelessly(step.operation, args, kwargs, training=True)
    pairs = weight_pairs(step.operation, layer, step.name)
    before = [other.numpy() for _, other in pairs]
    try:
        error = _difference(outputs, call(layer, args, kwargs, True))
        for mine, other in pairs:
            error = max(error, _difference(updated.get(id(mine), mine.value), other.value()))
    finally:
        for (_, other), value in zip(pairs, before, strict=True):
            other.assign(value)
    return error


def _call_statelessly(
    operation: Any, args: tuple, kwargs: dict, training: bool | None = None
) -> tuple[Any, dict[int, Any]]:
    """Calls a layer, model or operation and leaves all its variables as they are.

    Returns:
        The outputs, and the values that its variables would have got, by the variables' ids.
    """
    if not isinstance(operation, keras.layers.Layer):
        return operation(*args, **kwargs), {}
    if training is not None and operation._call_has_training_arg:
        kwargs = {**kwargs, "training": training}
    outputs, updated = operation.stateless_call(
        [variable.value for variable in operation.trainable_variables],
        [variable.value for variable in operation.non_trainable_variables],
        *args,
        **kwargs,
    )
    variables = operation.non_trainable_variables
    return outputs, {id(v): value for v, value in zip(variables, updated, strict=True)}


def _difference(expected: Any, received: Any) -> float:
    """Largest difference relative to the largest expected value; infinite where shapes differ."""
    worst = 0.0
    pairs = zip(keras.tree.flatten(expected), keras.tree.flatten(received), strict=True)
    for left, right in pairs:
        a, b = np.asarray(left), np.asarray(right)
        if a.shape != b.shape:
            return float("inf")
        a, b = a.astype(np.float64), b.astype(np.float64)
        finite = np.isfinite(a)
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return float("inf")
        if finite.any():
            scale = max(float(np.abs(a[finite]).max()), 1e-6)
            worst = max(worst, float(np.abs(a[finite] - b[finite]).max()) / scale)
    return worst


def _structured(graph: Graph, tensors: Sequence[Any]) -> Any:
    """The input tensors in the structure that the model takes."""
    by_key = {t.key: x for (_, t), x in zip(graph.inputs, tensors, strict=True)}
    return keras.tree.map_structure(lambda t: by_key[t.key], graph.input_structure)


def _worse(before: LayerProof | None, now: LayerProof) -> LayerProof:
    if before is None:
        return now
    training = now.training_error
    if training is not None and before.training_error is not None:
        training = max(training, before.training_error)
    inference = max(before.inference_error, now.inference_error)
    return LayerProof(now.name, now.kind, inference, training)
