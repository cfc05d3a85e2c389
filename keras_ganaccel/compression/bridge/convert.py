"""Keras 3 models to tf_keras and the weights back."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tf_keras

from keras_ganaccel.clones import clone
from keras_ganaccel.compression.bridge.equivalence import Certificate, certify
from keras_ganaccel.compression.bridge.hosted import HostedLayer, carried_over
from keras_ganaccel.compression.bridge.operations import tensors_among, translate_operation
from keras_ganaccel.compression.bridge.registry import UncarriedLayerError
from keras_ganaccel.compression.bridge.weights import copy_weights, weight_pairs
from keras_ganaccel.compression.graph import Graph, Step, Tensor, flatten, replay
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import EquivalenceError, InvalidInputError
from keras_ganaccel.seeds import derive_seed

logger = logging.getLogger(__name__)
_OPEN_SIZE = {4: 32, 5: 16}
_PROOF_SAMPLES = 8


def to_tf_keras(
    model: keras.Model,
    *,
    samples: Any = None,
    seed: int = 0,
) -> Any:
    """Rebuilds a Keras 3 model as a tf_keras one and proves that the two compute the same.

    The graph is replayed in topological order with one translator per layer class; nested models
    are opened up, shared layers stay shared, operation nodes such as ``x + y`` are translated too,
    and weights are copied by attribute. `model` is only read: its weights, moving statistics and
    random seeds stay as they are.

    Args:
        model: A built Functional or Sequential model that computes in float32; it may be nested
            and have several inputs and outputs.
        samples: Real inputs to prove the equality on besides random ones, such as images of shape
            ``(n, height, width, channels)``; for several inputs a list of arrays.
        seed: Seed of the random inputs.

    Returns:
        A functional `tf_keras.Model` with the same layer names, `certificate` (a `Certificate`)
        attached.

    Raises:
        UncarriedLayerError: A layer cannot be carried over; it is named with the reason.
        UnsupportedLayerError: The model is subclassed or not built.
        EquivalenceError: The two models differ.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="logits")])
        >>> twin = ga.to_tf_keras(model)
        >>> twin.certificate.model_error < 1e-4
        True
    """
    graph = flatten(model)
    layers: dict[str, Any] = {}
    translated = _build(graph, layers)
    for name, layer in graph.layers().items():
        copy_weights(layer, layers[name], name)
    counterparts = {step.name: (layers[step.name], _caller(step)) for step in graph.steps}
    batches = _batches(model, graph, samples, seed)
    certificate = certify(model, graph, translated, counterparts, batches)
    logger.debug("%s equals its tf_keras twin: %.1e", model.name, certificate.model_error)
    translated.certificate = certificate
    return translated


def translated_layers(model: keras.Model) -> Any:
    """Rebuilds a Keras 3 model with tf_keras layers, without its weights and unproved.

    It is enough to tell how each layer would be handled; `to_tf_keras` is what is trained.

    Args:
        model: A built Functional or Sequential model.

    Returns:
        A functional `tf_keras.Model` with the same layer names.

    Raises:
        UncarriedLayerError: A layer cannot be carried over.
    """
    return _build(flatten(model), {})


def uncarried_layers(model: keras.Model) -> dict[str, UncarriedLayerError]:
    """Finds the layers and operations that the bridge does not carry over.

    Args:
        model: A built Functional or Sequential model.

    Returns:
        For each its name in the flattened graph with the reason; empty if all are carried.

    Example:
        >>> import keras
        >>> image = keras.Input((4,))
        >>> doubled = keras.layers.Lambda(lambda x: 2 * x, name="doubled")(image)
        >>> list(uncarried_layers(keras.Model(image, keras.layers.Dense(2)(doubled))))
        ['doubled']
    """
    found: dict[str, UncarriedLayerError] = {}
    for step in flatten(model).steps:
        try:
            _translated(step)
        except UncarriedLayerError as error:
            found.setdefault(step.name, error)
    return found


def from_tf_keras(tf_keras_model: Any, model: keras.Model, *, seed: int = 0) -> keras.Model:
    """Brings the weights of a tf_keras model back into a copy of the Keras 3 model it came from.

    Args:
        tf_keras_model: What `to_tf_keras` returned, trained further. Wrappers of TF-MOT must have
            been stripped.
        model: The Keras 3 model it was made from. It is not changed.
        seed: Seed of the random inputs of the proof.

    Returns:
        A clone of `model` with the new weights, proved equal to `tf_keras_model`.

    Raises:
        InvalidInputError: The two models do not belong together.
        EquivalenceError: The two models differ after the copy.
    """
    copy = clone(model)
    graph = flatten(copy)
    layers = {layer.name: layer for layer in tf_keras_model.layers}
    missing = sorted({step.name for step in graph.steps} - set(layers))
    if missing:
        raise InvalidInputError(
            f"The tf_keras model was not made from {model.name!r}. Received: a model without the "
            f"layer {missing[0]!r}. Strip all wrappers, or pass the model it came from."
        )
    for name, layer in graph.layers().items():
        for mine, other in weight_pairs(layer, layers[name], name):
            mine.assign(other.numpy())
    counterparts = {step.name: (layers[step.name], _caller(step)) for step in graph.steps}
    certify(copy, graph, tf_keras_model, counterparts, _batches(copy, graph, None, seed))
    return copy


def certificate_of(tf_keras_model: Any) -> Certificate:
    """Returns the certificate that `to_tf_keras` attached.

    Raises:
        EquivalenceError: The model has none.
    """
    certificate = getattr(tf_keras_model, "certificate", None)
    if certificate is None:
        raise EquivalenceError(
            f"The model {tf_keras_model.name!r} has no certificate. Received: a model that the "
            "bridge did not make. Call to_tf_keras."
        )
    return certificate


def _build(graph: Graph, layers: dict[str, Any]) -> Any:
    """Replays the graph with tf_keras layers, which it puts into `layers`."""
    inputs = {
        tensor.key: tf_keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
        for name, tensor in graph.inputs
    }

    def call(step: Step, args: tuple, kwargs: dict) -> Any:
        if step.name not in layers:
            layers[step.name] = _translated(step)
        return _caller(step)(layers[step.name], args, kwargs, kwargs.get("training"))

    outputs = replay(graph, inputs, call)
    structure = keras.tree.map_structure(lambda t: inputs[t.key], graph.input_structure)
    return tf_keras.Model(structure, outputs, name=graph.name)


def _translated(step: Step) -> Any:
    """The unbuilt tf_keras layer for a step, under the step's name."""
    if not step.is_layer:
        return translate_operation(step)
    layer = carried_over(step.operation, step.name)
    layer._name = step.name
    layer.trainable = step.operation.trainable
    return layer


def _caller(step: Step) -> Callable[[Any, tuple, dict, bool | None], Any]:
    """How the counterpart of a step is called with the step's arguments."""
    takes_training = getattr(step.operation, "_call_has_training_arg", False)

    def call(layer: Any, args: tuple, kwargs: dict, training: bool | None) -> Any:
        if not step.is_layer:
            return layer(tensors_among(step, args, kwargs))
        kwargs = {k: v for k, v in kwargs.items() if v is not None and k != "training"}
        # tf_keras wants the first argument by place; a hosted layer takes all others by name.
        names = list(inspect.signature(step.operation.call).parameters)
        if not args:
            args = (kwargs.pop(names[0]),)
        if isinstance(layer, HostedLayer):
            args, kwargs = args[:1], {**dict(zip(names[1:], args[1:], strict=False)), **kwargs}
        if takes_training and training is not None:
            kwargs["training"] = training
        return layer(*args, **kwargs)

    return call


def _batches(model: keras.Model, graph: Graph, samples: Any, seed: int) -> list[list[np.ndarray]]:
    """A batch of random inputs, and one of the given ones."""
    generator = np.random.default_rng(derive_seed(seed, "bridge"))
    batches = [[_random_input(tensor, generator) for _, tensor in graph.inputs]]
    if samples is not None:
        arrays = ModelInputs.of(model).arrays(samples)
        batches.append([array[:_PROOF_SAMPLES] for array in arrays])
    return batches


def _random_input(tensor: Tensor, generator: np.random.Generator) -> np.ndarray:
    """Random values for an input; integers stay 0 or 1, which every look-up table has."""
    batch, *rest = tensor.shape
    shape = (batch or 4, *(size or _OPEN_SIZE.get(len(tensor.shape), 8) for size in rest))
    if tensor.dtype.startswith(("int", "uint", "bool")):
        return generator.integers(0, 2, shape).astype(tensor.dtype)
    return generator.uniform(-1.0, 1.0, shape).astype(tensor.dtype)
