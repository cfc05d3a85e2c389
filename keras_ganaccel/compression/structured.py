"""Structured pruning: channels are removed for good, so that the model becomes faster."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.clones import give_weights
from keras_ganaccel.compression.bridge import from_tf_keras, to_tf_keras
from keras_ganaccel.compression.channels import Channels, first_calls, is_producer
from keras_ganaccel.compression.finetune import FineTuner, Progress, quick_statistics
from keras_ganaccel.compression.graph import Graph, Step, flatten, replay
from keras_ganaccel.compression.kernels import trained_variables
from keras_ganaccel.compression.selection import choose_channels, macs
from keras_ganaccel.errors import InvalidInputError

_IMPORTANCE_BATCHES = 16
_ROUNDS = 2


def structured_prune(
    model: keras.Model,
    tuner: FineTuner,
    *,
    macs_fraction: float = 0.5,
    channel_multiple: int = 8,
    steps: int = 600,
    learning_rate: float = 1e-3,
    samples: Any = None,
    on_progress: Progress | None = None,
) -> keras.Model:
    """Removes the channels that matter least and fine-tunes what is left.

    What matters is measured by the first-order Taylor expansion of the loss (Molchanov et al.,
    arXiv 1906.10771). Channels that are tied by additions, concatenations, depthwise convolutions
    or a flattening are removed together, in two rounds with a fine-tuning after each.

    Args:
        model: A built Keras 3 model in float32. It is not changed.
        tuner: Data and loss.
        macs_fraction: Share of the multiplications to keep, in (0, 1].
        channel_multiple: Widths stay multiples of it, and of twice it while they are more than
            that, which kernels like.
        steps: Optimiser steps over all rounds.
        learning_rate: Adam's first one in each round.
        samples: Real samples for the proof that the bridge carries the model over.
        on_progress: Called with the steps done and their total.

    Returns:
        A narrower Keras 3 model; nested models are opened up, layer names stay.

    Raises:
        InvalidInputError: `macs_fraction` is out of range, or so much cannot be removed.
    """
    if not 0.0 < macs_fraction <= 1.0:
        raise InvalidInputError(
            f"`macs_fraction` must be in (0, 1]. Received: {macs_fraction}. "
            "0.5 keeps half of the multiplications."
        )
    total = macs(flatten(model))
    rounds = min(_ROUNDS, max(steps, 1))
    for done in range(rounds):
        goal = total * macs_fraction ** ((done + 1) / rounds)
        model = narrowed(model, goal, tuner, channel_multiple)
        share = steps // rounds + (steps % rounds if done == rounds - 1 else 0)
        if share == 0:
            continue
        twin = to_tf_keras(model, samples=samples)
        before = done * (steps // rounds)
        with quick_statistics(twin):
            tuner.run(
                twin,
                variables=trained_variables(model, twin),
                steps=share,
                learning_rate=learning_rate,
                on_progress=_later(on_progress, before, steps),
            )
        model = from_tf_keras(twin, model)
    return model


def narrowed(
    model: keras.Model, goal: float, tuner: FineTuner, channel_multiple: int
) -> keras.Model:
    """Removes channels until a model has at most `goal` multiplications per sample.

    Args:
        model: A built Keras 3 model.
        goal: The multiplications to reach.
        tuner: Data and loss, to tell which channels matter.
        channel_multiple: See `structured_prune`.

    Returns:
        The narrower model, not trained further.

    Raises:
        InvalidInputError: So much cannot be removed.
    """
    graph = flatten(model)
    channels = Channels(graph)
    importance = channel_importance(model, graph, channels, tuner)
    removed = choose_channels(graph, channels, importance, goal, channel_multiple)
    return _rebuilt(graph, channels, removed)


def channel_importance(
    model: keras.Model, graph: Graph, channels: Channels, tuner: FineTuner
) -> dict[int, float]:
    """Estimates how much the loss changes without each channel group.

    Args:
        model: A built Keras 3 model.
        graph: Its flattened graph.
        channels: Its channels.
        tuner: Data and loss.

    Returns:
        The mean squared first-order change of the loss, by group.
    """
    producers = [step for step in first_calls(graph) if is_producer(step)]
    variables = [step.operation.kernel.value for step in producers]

    @tf.function(autograph=False)
    def changes(x: tf.Tensor, label: tf.Tensor, teacher: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(variables)
            outputs = model(x, training=False)
            loss = tf.reduce_mean(tuner.loss(outputs, label, teacher))
        gradients = tape.gradient(loss, variables)
        return [
            tf.square(tf.reduce_sum(g * v, axis=tuple(range(len(v.shape) - 1))))
            for g, v in zip(gradients, variables, strict=True)
        ]

    found: dict[int, float] = {}
    for batch in tuner.stream.take(_IMPORTANCE_BATCHES):
        for step, change in zip(producers, changes(*batch), strict=True):
            for group, value in zip(channels.groups(step.outputs[0]), change.numpy(), strict=True):
                found[int(group)] = found.get(int(group), 0.0) + float(value)
    return {group: value / _IMPORTANCE_BATCHES for group, value in found.items()}


def _rebuilt(graph: Graph, channels: Channels, removed: set[int]) -> keras.Model:
    """Replays the graph without the removed channels."""
    inputs = {
        tensor.key: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
        for name, tensor in graph.inputs
    }
    placed: dict[str, Any] = {}

    gone = np.array(sorted(removed), np.int64)

    def kept(tensor: Any) -> np.ndarray:
        return np.flatnonzero(~np.isin(channels.groups(tensor), gone))

    def call(step: Step, args: tuple, kwargs: dict) -> Any:
        if not step.is_layer:
            serialized = keras.saving.serialize_keras_object(step.operation)
            return keras.saving.deserialize_keras_object(serialized)(*args, **kwargs)
        if step.name in placed:
            return placed[step.name](*args, **kwargs)
        layer = _resized(step, kept(step.outputs[0]) if step.outputs else np.array([]))
        outputs = layer(*args, **kwargs)
        give_weights(layer, _sliced(step, kept))
        placed[step.name] = layer
        return outputs

    outputs = replay(graph, inputs, call)
    structure = keras.tree.map_structure(lambda t: inputs[t.key], graph.input_structure)
    return keras.Model(structure, outputs, name=graph.name)


def _resized(step: Step, kept: np.ndarray) -> keras.layers.Layer:
    layer = step.operation
    config = {**layer.get_config(), "name": step.name}
    if isinstance(layer, keras.layers.Dense):
        config["units"] = len(kept)
    elif is_producer(step):
        config["filters"] = len(kept)
    elif isinstance(layer, keras.layers.Reshape) and len(kept) != step.outputs[0].shape[-1]:
        config["target_shape"] = (*step.outputs[0].shape[1:-1], len(kept))
    return type(layer).from_config(config)


def _sliced(step: Step, kept: Any) -> list[np.ndarray]:
    """The weights of a layer without those of the removed channels."""
    layer, weights = step.operation, step.operation.get_weights()
    if is_producer(step):
        into, out = kept(step.inputs[0]), kept(step.outputs[0])
        return [
            np.take(np.take(w, into, axis=-2), out, axis=-1) if w.ndim > 1 else w[out]
            for w in weights
        ]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        into, out = kept(step.inputs[0]), kept(step.outputs[0])
        return [np.take(w, into, axis=-2) if w.ndim > 1 else w[out] for w in weights]
    if isinstance(layer, keras.layers.BatchNormalization):
        out = kept(step.outputs[0])
        return [w[out] for w in weights]
    return weights


def _later(on_progress: Progress | None, before: int, total: int) -> Progress | None:
    if on_progress is None:
        return None
    return lambda done, _: on_progress(before + done, total)
