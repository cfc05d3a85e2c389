"""Rewrites a Keras 3 model into the form that integer hardware computes, and back.

Batch norm is folded into the layer before it (Jacob et al., arXiv 1712.05877), activations are
fused, separable convolutions split, and what is left of scaling and normalization becomes a 1x1
depthwise convolution, so that every step is one int8 operation. Nested models are opened up. The
result computes the same in inference mode; its layer names depend on its structure alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_ganaccel.clones import clone, copy_state
from keras_ganaccel.compression.fusion import (
    AFFINE,
    FUSED_ACTIVATIONS,
    Fusion,
    find_fusions,
)
from keras_ganaccel.compression.graph import Graph, Step, flatten, replay
from keras_ganaccel.compression.kernels import has_frozen_weights, trained_ids


@dataclass
class Origin:
    """Where a layer of a prepared model comes from.

    Args:
        source: The layer of the original, by its name in the flattened graph.
        norm: The batch norm that was folded into it, likewise.
        scale: What folding multiplied each output channel with.
    """

    source: str
    norm: str | None = None
    scale: np.ndarray | None = None


@dataclass
class Prepared:
    """A rewritten model.

    Args:
        model: The Keras 3 model, with canonical layer names.
        origins: Where its layers with weights come from, by their names.
        homes: For each step of the original, by name, the layer of the rewritten model that
            computes its output.
    """

    model: keras.Model
    origins: dict[str, Origin] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)


def prepare(model: keras.Model) -> Prepared:
    """Rewrites a model for quantization.

    Args:
        model: A built Keras 3 model in float32. It is not changed.

    Returns:
        The rewritten model and where its layers come from.
    """
    return _Preparation(flatten(model)).run()


def restore(prepared: Prepared, model: keras.Model) -> keras.Model:
    """Brings the weights of a prepared model back into the original structure.

    Args:
        prepared: What `prepare` returned, its weights trained further.
        model: The model that it was made from. It is not changed.

    Returns:
        A copy of `model` that computes what ``prepared.model`` does, in inference mode. Zero
        weights of the one are zero in the other, and what is frozen is the same bit for bit.
    """
    copy = clone(model)
    layers = flatten(copy).layers()
    for layer in prepared.model.layers:
        origin = prepared.origins.get(layer.name)
        if origin is not None and layer.trainable and layer.weights:
            norm = layers[origin.norm] if origin.norm else None
            _restore_layer(layer, layers[origin.source], norm, origin.scale)
    return copy


# Below this factor a folded channel is as good as switched off, and dividing by it is no use.
_SWITCHED_OFF = 1e-6


class _Preparation:
    """One run of `prepare`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.fusions = {id(fusion.leader): fusion for fusion in find_fusions(graph)}
        self.absorbed = {
            id(step): fusion for fusion in self.fusions.values() for step in fusion.absorbed
        }
        self.origins: dict[str, Origin] = {}
        self.homes: dict[str, str] = {}
        self.placed: dict[str, Any] = {}
        self.count = 0

    def run(self) -> Prepared:
        inputs = {
            tensor.key: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
            for name, tensor in self.graph.inputs
        }
        entered = {key: self._enter(value) for key, value in inputs.items()}
        outputs = replay(self.graph, entered, self._call)
        structure = keras.tree.map_structure(lambda t: inputs[t.key], self.graph.input_structure)
        model = keras.Model(structure, outputs, name=self.graph.name)
        return Prepared(model, self.origins, self.homes)

    def _enter(self, value: Any) -> Any:
        """Gives the input a layer of its own, whose output is quantized."""
        return keras.layers.Identity(name=self._name("input"))(value)

    def _call(self, step: Step, args: tuple, kwargs: dict) -> Any:
        if id(step) in self.absorbed:
            leader = self.absorbed[id(step)].leader
            self.homes[step.name] = self.homes[leader.name]
            return args[0]
        fusion = self.fusions.get(id(step))
        if fusion is None:
            return self._copied(step, args, kwargs)
        if isinstance(step.operation, AFFINE):
            return self._scaled(fusion, args, kwargs)
        if isinstance(step.operation, keras.layers.SeparableConv2D):
            return self._separated(fusion, args[0])
        return self._weighted(fusion, args[0])

    def _copied(self, step: Step, args: tuple, kwargs: dict) -> Any:
        """Puts in a layer or operation as it is."""
        if not step.is_layer:
            serialized = keras.saving.serialize_keras_object(step.operation)
            operation = keras.saving.deserialize_keras_object(serialized)
            operation.name = self._name(type(operation).__name__)
            self.homes[step.name] = operation.name
            return operation(*args, **kwargs)
        if step.name in self.placed:
            return self.placed[step.name](*args, **kwargs)
        copy = self._like(step.operation)
        outputs = copy(*args, **kwargs)
        copy_state(step.operation, copy)
        self.placed[step.name] = copy
        self.homes[step.name] = copy.name
        self.origins[copy.name] = Origin(step.name)
        return outputs

    def _weighted(self, fusion: Fusion, x: Any) -> Any:
        """Puts in a convolution or dense layer with batch norm and activation folded in."""
        source = fusion.leader.operation
        activation = fusion.activation or source.activation
        fused = activation in FUSED_ACTIVATIONS
        layer = self._like(
            source,
            activation=activation if fused else keras.activations.linear,
            use_bias=source.use_bias or fusion.norm is not None,
        )
        outputs = layer(x)
        scale = None
        kernel = np.asarray(source.kernel.value)
        bias = np.asarray(source.bias.value) if source.use_bias else 0.0
        if fusion.norm is not None:
            scale, shift = affine_parameters(fusion.norm.operation)
            kernel, bias = kernel * spread_scale(scale, source), bias * scale + shift
        layer.kernel.assign(kernel)
        if layer.use_bias:
            layer.bias.assign(np.broadcast_to(bias, layer.bias.shape))
        _freeze(layer, source, fusion.norm.operation if fusion.norm else None, scale)
        self._record(fusion, layer.name, scale)
        return outputs if fused else self._activated(fusion.leader, activation, outputs)

    def _separated(self, fusion: Fusion, x: Any) -> Any:
        """Splits a separable convolution, so that what is between the halves can be quantized."""
        source = fusion.leader.operation
        depthwise = keras.layers.DepthwiseConv2D(
            source.kernel_size,
            strides=source.strides,
            padding=source.padding,
            depth_multiplier=source.depth_multiplier,
            dilation_rate=source.dilation_rate,
            use_bias=False,
            name=self._name("depthwise_conv2d"),
            trainable=source.trainable,
        )
        x = depthwise(x)
        depthwise.kernel.assign(source.depthwise_kernel.value)
        depthwise.kernel.trainable = source.depthwise_kernel.trainable
        self.origins[depthwise.name] = Origin(fusion.leader.name)
        pointwise = keras.layers.Conv2D(
            source.filters,
            1,
            activation=source.activation,
            use_bias=source.use_bias,
            trainable=source.trainable,
        )
        pointwise.build(x.shape)
        pointwise.kernel.assign(source.pointwise_kernel.value)
        pointwise.kernel.trainable = source.pointwise_kernel.trainable
        if source.use_bias:
            pointwise.bias.assign(source.bias.value)
            pointwise.bias.trainable = source.bias.trainable
        leader = fusion.leader
        half = Step(pointwise, leader.name, leader.args, leader.kwargs, leader.outputs)
        return self._weighted(Fusion(half, fusion.norm, fusion.activation, fusion.absorbed), x)

    def _scaled(self, fusion: Fusion, args: tuple, kwargs: dict) -> Any:
        """Turns what scales and shifts channels into a 1x1 depthwise convolution."""
        x, source = args[0], fusion.leader.operation
        size = x.shape[1:]
        scale, shift = affine_parameters(source)
        flat = len(size) < 3
        open_size = None in (size if flat else size[-1:])
        if len(size) > 3 or open_size or scale.ndim > 1 or not _scales_channels(source, x):
            return self._copied_and_activated(fusion, args, kwargs)
        if not keras.backend.is_float_dtype(x.dtype):
            x = keras.ops.cast(x, "float32")
        if flat:
            image = (1,) * (3 - len(size)) + tuple(size)
            x = keras.layers.Reshape(image, name=self._name("reshape"))(x)
        layer = keras.layers.DepthwiseConv2D(
            1,
            activation=fusion.activation,
            name=self._name("depthwise_conv2d"),
            trainable=_is_affine_norm(source) and not has_frozen_weights(source),
        )
        outputs = layer(x)
        layer.kernel.assign(np.broadcast_to(scale, size[-1:]).reshape(layer.kernel.shape))
        layer.bias.assign(np.broadcast_to(shift, size[-1:]))
        self._record(fusion, layer.name, None)
        if flat:
            outputs = keras.layers.Reshape(size, name=self._name("reshape"))(outputs)
        return outputs

    def _copied_and_activated(self, fusion: Fusion, args: tuple, kwargs: dict) -> Any:
        outputs = self._copied(fusion.leader, args, kwargs)
        if fusion.activation is None:
            return outputs
        return self._activated(fusion.leader, fusion.activation, outputs)

    def _activated(self, step: Step, activation: Any, x: Any) -> Any:
        """Puts the activation of a step into a layer of its own, which then makes its output."""
        if activation is keras.activations.linear:
            return x
        layer = keras.layers.Activation(activation, name=self._name("activation"))
        self.homes[step.name] = layer.name
        return layer(x)

    def _record(self, fusion: Fusion, name: str, scale: np.ndarray | None) -> None:
        norm = fusion.norm.name if fusion.norm is not None else None
        self.origins[name] = Origin(fusion.leader.name, norm, scale)
        self.homes[fusion.leader.name] = name

    def _like(self, layer: keras.layers.Layer, **changes: Any) -> keras.layers.Layer:
        """A new layer with the configuration of another one, but for its name and `changes`."""
        config = layer.get_config()
        copy = type(layer).from_config({**config, "name": self._name(type(layer).__name__)})
        for key, value in changes.items():
            setattr(copy, key, value)
        return copy

    def _name(self, kind: str) -> str:
        self.count += 1
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[A-Z][a-z])", "_", kind).lower()
        return f"{snake}_{self.count:03d}"


def affine_parameters(layer: keras.layers.Layer) -> tuple[np.ndarray, np.ndarray]:
    """The factor and the summand of a layer that scales and shifts, in inference mode.

    Args:
        layer: A built `BatchNormalization`, `Normalization` or `Rescaling`.

    Returns:
        Two float32 arrays: per channel, or single numbers.
    """
    if isinstance(layer, keras.layers.Rescaling):
        return np.asarray(layer.scale, np.float32), np.asarray(layer.offset, np.float32)
    if isinstance(layer, keras.layers.Normalization):
        mean, variance = (np.squeeze(np.asarray(x)) for x in (layer.mean, layer.variance))
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        return (deviation, mean) if layer.invert else (1.0 / deviation, -mean / deviation)
    mean = np.asarray(layer.moving_mean.value)
    scale = 1.0 / np.sqrt(np.asarray(layer.moving_variance.value) + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma.value)
    shift = -mean * scale
    return scale, shift + np.asarray(layer.beta.value) if layer.center else shift


def spread_scale(scale: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    """Shapes factors of output channels so that they multiply the layer's kernel.

    Args:
        scale: One factor per output channel.
        layer: A built convolution or dense layer.

    Returns:
        The factors in a shape that broadcasts against the kernel.
    """
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return scale.reshape(layer.kernel.shape[-2:])
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return scale[:, None]
    return scale


def _freeze(
    layer: keras.layers.Layer,
    source: keras.layers.Layer,
    norm: keras.layers.Layer | None,
    scale: np.ndarray | None,
) -> None:
    """Freezes of a folded layer what could not be brought back without moving what is frozen."""
    moving = trained_ids(source)
    kernel = id(source.kernel) in moving
    bias = source.use_bias and id(source.bias) in moving
    if norm is not None and scale is not None:
        moving = moving | trained_ids(norm)
        center = norm.center and id(norm.beta) in moving
        bias = center or bias or (norm.trainable and not norm.center)
        if np.any(np.abs(scale) < _SWITCHED_OFF):
            kernel = kernel and norm.scale and id(norm.gamma) in moving
            bias = center or (bias and kernel)
    layer.trainable = bool(kernel or bias)
    layer.kernel.trainable = kernel
    if layer.use_bias:
        layer.bias.trainable = bias


def _scales_channels(layer: keras.layers.Layer, x: Any) -> bool:
    """Whether the factors of a layer lie along its input's last axis, or are single numbers."""
    last = len(x.shape) - 1
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer.axis in (-1, last)
    if isinstance(layer, keras.layers.Normalization):
        return set(layer._keep_axis) <= {last}
    return True


def _is_affine_norm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and layer.scale and layer.center


def _restore_layer(
    layer: keras.layers.Layer,
    source: keras.layers.Layer,
    norm: keras.layers.Layer | None,
    scale: np.ndarray | None,
) -> None:
    """Undoes what `prepare` did to one layer."""
    if isinstance(source, AFFINE):
        if _is_affine_norm(source):
            _restore_norm(layer, source)
        return
    if norm is None and type(layer) is type(source):
        source.set_weights(layer.get_weights())
        return
    if isinstance(source, keras.layers.SeparableConv2D):
        half = isinstance(layer, keras.layers.DepthwiseConv2D)
        target = source.depthwise_kernel if half else source.pointwise_kernel
    else:
        target = source.kernel
    if norm is not None and scale is not None:
        _restore_folded(layer, source, target, norm, scale)
        return
    target.assign(layer.kernel.value)
    if layer.use_bias and source.use_bias:
        source.bias.assign(layer.bias.value)


def _restore_folded(
    layer: keras.layers.Layer,
    source: keras.layers.Layer,
    target: keras.Variable,
    norm: keras.layers.Layer,
    scale: np.ndarray,
) -> None:
    """Takes a batch norm's factors out of what was trained with them, where it may move."""
    mean = np.asarray(norm.moving_mean.value)
    if layer.kernel.trainable:
        off = np.abs(scale) < _SWITCHED_OFF
        if off.any():
            # Such a channel starts anew with a factor of one.
            scale = np.where(off, np.float32(1.0), scale)
            deviation = np.sqrt(np.asarray(norm.moving_variance.value) + norm.epsilon)
            norm.gamma.assign(np.where(off, deviation, np.asarray(norm.gamma.value)))
        target.assign(np.asarray(layer.kernel.value) / spread_scale(scale, layer))
    if not layer.bias.trainable:
        return
    bias = np.asarray(layer.bias.value)
    own = np.asarray(source.bias.value) if source.use_bias else 0.0
    if norm.center and id(norm.beta) in trained_ids(norm):
        norm.beta.assign(bias - (own - mean) * scale)
    elif source.use_bias and id(source.bias) in trained_ids(source):
        beta = np.asarray(norm.beta.value) if norm.center else 0.0
        source.bias.assign((bias - beta) / scale + mean)
    else:
        norm.moving_mean.assign(own - bias / scale)


def _restore_norm(layer: keras.layers.Layer, norm: keras.layers.Layer) -> None:
    scale = np.asarray(layer.kernel.value).reshape(-1)
    deviation = np.sqrt(np.asarray(norm.moving_variance.value) + norm.epsilon)
    norm.gamma.assign(scale * deviation)
    norm.beta.assign(np.asarray(layer.bias.value) + np.asarray(norm.moving_mean.value) * scale)
