"""Which channels of a model must be removed together.

Every channel of every tensor gets a number. Layers that make new channels (convolutions, dense
layers) number them afresh; all others pass the numbers on, and where two tensors are added their
channels are tied. What is unknown is protected: its channels are never removed.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_ganaccel.compression.graph import Graph, Step, Tensor
from keras_ganaccel.compression.kernels import has_frozen_weights

L = keras.layers
PRODUCERS = (L.Conv1D, L.Conv2D, L.Dense)
_PER_CHANNEL = (
    L.BatchNormalization, L.ReLU, L.LeakyReLU, L.ELU, L.Activation, L.Dropout, L.SpatialDropout2D,
    L.GaussianNoise, L.GaussianDropout, L.Identity, L.MaxPooling1D, L.MaxPooling2D,
    L.AveragePooling1D, L.AveragePooling2D, L.GlobalAveragePooling1D, L.GlobalAveragePooling2D,
    L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.ZeroPadding1D, L.ZeroPadding2D, L.Cropping1D,
    L.Cropping2D, L.UpSampling1D, L.UpSampling2D, L.Resizing, L.CenterCrop,
)  # fmt: skip
_ELEMENTWISE = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
_ELEMENTWISE_OPS = ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "TrueDivide")
_PER_CHANNEL_OPS = ("Relu", "Relu6", "Sigmoid", "Silu", "Tanh", "Clip", "HardSigmoid", "HardSilu")
# Their outputs depend on all channels together.
_MIXING_ACTIVATIONS = ("softmax", "log_softmax", "glu", "sparsemax")


class Channels:
    """The numbered channels of a model.

    Args:
        graph: A flattened model.
    """

    def __init__(self, graph: Graph) -> None:
        self._parents: list[int] = []
        self._protected: list[bool] = []
        self.of_tensor: dict[int, np.ndarray] = {}
        self._groups: dict[int, np.ndarray] = {}
        self._outputs_of: dict[str, np.ndarray] = {}
        self._inputs_of: dict[str, np.ndarray] = {}
        for _, tensor in graph.inputs:
            self.of_tensor[tensor.key] = self._new(tensor.shape[-1] or 0, protected=True)
        for step in graph.steps:
            self._visit(step)
        for tensor in keras.tree.flatten(graph.outputs):
            self._protect(self.of_tensor[tensor.key])

    def groups(self, tensor: Tensor) -> np.ndarray:
        """The group of each channel of a tensor's last axis; tied channels have the same one."""
        if tensor.key not in self._groups:
            found = [self._find(member) for member in self.of_tensor[tensor.key]]
            self._groups[tensor.key] = np.array(found, np.int64)
        return self._groups[tensor.key]

    def removable(self, group: int) -> bool:
        """Whether the channels of a group may be removed."""
        return not self._protected[self._find(group)]

    def _visit(self, step: Step) -> None:
        operation, inputs = step.operation, step.inputs
        if is_producer(step):
            outputs = self._produced(step, inputs[0])
        elif isinstance(operation, L.DepthwiseConv2D):
            repeats = operation.depth_multiplier
            outputs = np.repeat(self.of_tensor[inputs[0].key], repeats)
        elif isinstance(operation, L.Flatten):
            outputs = self._flattened(step)
        elif isinstance(operation, L.Reshape) and _keeps_channels(step):
            outputs = self.of_tensor[inputs[0].key]
        elif isinstance(operation, L.Concatenate) and _last_axis(step):
            outputs = np.concatenate([self.of_tensor[tensor.key] for tensor in inputs])
        elif _is_elementwise(step):
            outputs = self._merged(inputs)
        elif _is_per_channel(step):
            outputs = self.of_tensor[inputs[0].key]
        else:
            outputs = self._unknown(step)
        for tensor in step.outputs:
            self.of_tensor[tensor.key] = outputs
        if step.is_layer and has_frozen_weights(operation):
            # A frozen layer keeps its weights whole.
            for tensor in (*inputs, *step.outputs):
                self._protect(self.of_tensor[tensor.key])

    def _produced(self, step: Step, source: Tensor) -> np.ndarray:
        """New channels; a layer that is called again gives the same ones and reads the same."""
        activation = getattr(step.operation.activation, "__name__", "")
        if step.name in self._outputs_of:
            self._tie(self._inputs_of[step.name], self.of_tensor[source.key])
            return self._outputs_of[step.name]
        size = step.outputs[0].shape[-1] or 0
        outputs = self._new(size, protected=activation in _MIXING_ACTIVATIONS)
        self._outputs_of[step.name] = outputs
        self._inputs_of[step.name] = self.of_tensor[source.key]
        return outputs

    def _flattened(self, step: Step) -> np.ndarray:
        source = step.inputs[0]
        repeats = 1
        for size in source.shape[1:-1]:
            if size is None:
                return self._unknown(step)
            repeats *= size
        return np.tile(self.of_tensor[source.key], repeats)

    def _merged(self, inputs: tuple[Tensor, ...]) -> np.ndarray:
        """Ties channels position by position; one channel that is spread over all is protected."""
        ids = [self.of_tensor[tensor.key] for tensor in inputs]
        width = max(len(each) for each in ids)
        full = [each for each in ids if len(each) == width]
        for each in ids:
            if len(each) != width:
                self._protect(each)
        for other in full[1:]:
            self._tie(full[0], other)
        return full[0]

    def _unknown(self, step: Step) -> np.ndarray:
        for tensor in step.inputs:
            self._protect(self.of_tensor[tensor.key])
        shape = step.outputs[0].shape
        return self._new((shape[-1] or 0) if len(shape) > 1 else 0, protected=True)

    def _new(self, count: int, protected: bool = False) -> np.ndarray:
        first = len(self._parents)
        self._parents += range(first, first + count)
        self._protected += [protected] * count
        return np.arange(first, first + count)

    def _find(self, member: int) -> int:
        while self._parents[member] != member:
            self._parents[member] = self._parents[self._parents[member]]
            member = self._parents[member]
        return int(member)

    def _tie(self, left: np.ndarray, right: np.ndarray) -> None:
        for a, b in zip(left, right, strict=True):
            first, second = self._find(a), self._find(b)
            self._parents[second] = first
            self._protected[first] = self._protected[first] or self._protected[second]

    def _protect(self, members: np.ndarray) -> None:
        for member in members:
            self._protected[self._find(member)] = True


def is_producer(step: Step) -> bool:
    """Whether a step is a convolution (not a grouped one) or dense layer."""
    return isinstance(step.operation, PRODUCERS) and getattr(step.operation, "groups", 1) == 1


def first_calls(graph: Graph) -> list[Step]:
    """The first call of each layer and operation, in the order of the graph."""
    first: dict[str, Step] = {}
    for step in graph.steps:
        first.setdefault(step.name, step)
    return list(first.values())


def _is_elementwise(step: Step) -> bool:
    kind = type(step.operation).__name__
    known = isinstance(step.operation, _ELEMENTWISE) or (
        not step.is_layer and kind in _ELEMENTWISE_OPS
    )
    return known and len({len(tensor.shape) for tensor in step.inputs}) == 1 and _no_arrays(step)


def _is_per_channel(step: Step) -> bool:
    operation: Any = step.operation
    if not step.is_layer:
        return type(operation).__name__ in _PER_CHANNEL_OPS
    if isinstance(operation, L.Activation):
        return operation.activation.__name__ not in _MIXING_ACTIVATIONS
    if isinstance(operation, L.BatchNormalization):
        return operation.axis in (-1, len(step.outputs[0].shape) - 1)
    return isinstance(operation, _PER_CHANNEL)


def _no_arrays(step: Step) -> bool:
    """Whether all constants among the arguments are single numbers."""
    leaves = keras.tree.flatten((step.args, dict(step.kwargs)))
    return all(isinstance(x, Tensor) or np.ndim(x) == 0 for x in leaves)


def _last_axis(step: Step) -> bool:
    return step.operation.axis in (-1, len(step.outputs[0].shape) - 1)


def _keeps_channels(step: Step) -> bool:
    """Whether a reshape only adds or removes axes of size one, as before a 1x1 convolution."""
    before, after = step.inputs[0].shape[1:], step.outputs[0].shape[1:]
    return [s for s in before if s != 1] == [s for s in after if s != 1] == [before[-1]]
