"""Kernels, parameters and multiply-accumulates, recounted from a TFLite flatbuffer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.flatbuffer import (
    NUMPY_DTYPES,
    constant,
    dtype_name,
    operator_name,
    quantization_of,
    shape_of,
    text,
)

KERNEL_SLOT = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "TRANSPOSE_CONV": 1,
    "CONV_3D": 1,
    "CONV_3D_TRANSPOSE": 1,
    "BATCH_MATMUL": 1,
}
BIAS_SLOT = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 3,
    "CONV_3D": 2,
    "CONV_3D_TRANSPOSE": 3,
}
# Where TFLite keeps the output channels; matrix products have none of their own.
_CHANNEL_AXIS = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": -1,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 0,
    "CONV_3D": -1,
    "CONV_3D_TRANSPOSE": -2,
}
_TRANSPOSED = ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE")
_INDEX_TYPES = ("int32", "int64", "bool", "string")


@dataclass(frozen=True)
class KernelFacts:
    """What the file really holds of one kernel.

    Args:
        name: The tensor's name in the file.
        operator: The operator that uses it, such as ``CONV_2D``.
        shape: Its shape in TFLite's order.
        dtype: The stored type.
        zeros: How many elements are zero; for quantized ones, equal to the zero point.
        distinct: The number of different values: per output channel where the scales are per
            channel, and then of the channel with the most.
        per_channel: Whether the scales are per channel.
        distinct_per_channel: The number of different values in the output channel with the most.
    """

    name: str
    operator: str
    shape: tuple[int, ...]
    dtype: str
    zeros: int
    distinct: int
    per_channel: bool
    distinct_per_channel: int

    @property
    def elements(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def sparsity(self) -> float:
        """The share of zeros, in [0, 1]."""
        return self.zeros / self.elements if self.elements else 0.0

    @property
    def is_depthwise(self) -> bool:
        """Whether it is a depthwise convolution's."""
        return self.operator == "DEPTHWISE_CONV_2D" or self.name.endswith("depthwise_kernel")


def kernel_facts(model: Any) -> tuple[KernelFacts, ...]:
    """Counts zeros and distinct values of every constant kernel, each tensor once."""
    facts = {}
    for key, operator_type, tensor in _kernels(model):
        if key not in facts:
            facts[key] = _facts_of(model, tensor, operator_type)
    return tuple(facts.values())


def parameter_count(model: Any) -> int:
    """Counts the elements of all weights: kernels, biases and other real-valued constants.

    Shapes, axes, paddings and other index arguments are no parameters.
    """
    counted: dict[tuple[int, int], int] = {}
    for number, subgraph in enumerate(model.subgraphs):
        for operator in subgraph.operators or []:
            bias = BIAS_SLOT.get(operator_name(model, operator))
            for slot, index in enumerate(operator.inputs):
                tensor = subgraph.tensors[index] if index >= 0 else None
                if tensor is None or constant(model, tensor) is None:
                    continue
                if dtype_name(tensor) not in _INDEX_TYPES or slot == bias:
                    counted[number, int(index)] = int(np.prod(shape_of(tensor), dtype=np.int64))
    return sum(counted.values())


def multiply_accumulates(model: Any) -> int:
    """Counts the multiply-accumulates of one batch-1 call in convolutions and matrix products.

    The body of a loop counts once, since how often it runs is not in the file.
    """
    total = 0
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or []:
            name = operator_name(model, operator)
            if name not in KERNEL_SLOT:
                continue
            kernel = shape_of(subgraph.tensors[operator.inputs[KERNEL_SLOT[name]]])
            output = shape_of(subgraph.tensors[operator.outputs[0]])
            if name in _TRANSPOSED:
                source = shape_of(subgraph.tensors[operator.inputs[2]])
                total += _size(source[:-1]) * _size(kernel)
            elif name == "DEPTHWISE_CONV_2D":
                total += _size(output) * _size(kernel[1:3])
            elif name == "FULLY_CONNECTED":
                total += _size(output) * kernel[-1]
            elif name == "BATCH_MATMUL":
                left = shape_of(subgraph.tensors[operator.inputs[0]])
                adjoint = getattr(operator.builtinOptions, "adjX", False)
                total += _size(output) * left[-2 if adjoint else -1]
            elif name == "CONV_3D":
                total += _size(output) * _size(kernel[:-1])
            else:
                total += _size(output) * _size(kernel[1:])
    return total


def stored_values(model: Any, tensor: Any) -> np.ndarray:
    """Returns a constant tensor's stored values: in its shape, or flat if stored sparsely.

    Raises:
        InvalidInputError: If its type is none that weights are stored in.
    """
    data = constant(model, tensor)
    assert data is not None
    if tensor.type in (schema.TensorType.INT4, schema.TensorType.UINT4):
        return _unpacked_nibbles(data, tensor)
    dtype = NUMPY_DTYPES.get(tensor.type)
    if dtype is None:
        raise InvalidInputError(
            f"Kernels stored as {dtype_name(tensor)} cannot be counted. "
            f"Received: {text(tensor.name)!r}. Use float32, float16, int16, int8 or int4."
        )
    values = data.view(dtype)
    return values if tensor.sparsity is not None else values.reshape(shape_of(tensor))


def _kernels(model: Any) -> Iterator[tuple[tuple[int, int], str, Any]]:
    """Yields (key, operator, tensor) of each constant kernel, through DEQUANTIZE and DENSIFY."""
    for number, subgraph in enumerate(model.subgraphs):
        operators = subgraph.operators or []
        producer = {int(index): op for op in operators for index in op.outputs}
        for operator in operators:
            name = operator_name(model, operator)
            if name not in KERNEL_SLOT:
                continue
            index = int(operator.inputs[KERNEL_SLOT[name]])
            while index in producer and operator_name(model, producer[index]) in (
                "DEQUANTIZE",
                "DENSIFY",
            ):
                index = int(producer[index].inputs[0])
            if constant(model, subgraph.tensors[index]) is not None:
                yield (number, index), name, subgraph.tensors[index]


def _facts_of(model: Any, tensor: Any, operator: str) -> KernelFacts:
    values = stored_values(model, tensor)
    shape = shape_of(tensor)
    quantization = quantization_of(tensor)
    zero: np.ndarray | int = 0
    channels = [values.ravel()]
    per_channel = quantization is not None and len(quantization[0]) > 1
    if quantization is not None:
        zero = quantization[1][0]
        if per_channel and tensor.sparsity is None:
            _, zero_points, axis = quantization
            by_channel = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
            zero = np.broadcast_to(zero_points, (len(by_channel),))[:, None]
            channels = list(by_channel)
            values = by_channel
    nonzero = int(np.count_nonzero(values != zero))
    distinct = most_distinct(channels)
    in_channels = distinct
    if not per_channel and operator in _CHANNEL_AXIS and tensor.sparsity is None:
        in_channels = most_distinct(np.moveaxis(values, _CHANNEL_AXIS[operator], 0))
    return KernelFacts(
        name=text(tensor.name),
        operator=operator,
        shape=shape,
        dtype=dtype_name(tensor),
        zeros=_size(shape) - nonzero,
        distinct=distinct,
        per_channel=per_channel,
        distinct_per_channel=in_channels,
    )


def most_distinct(channels: Iterable[np.ndarray]) -> int:
    """Returns the number of different values in the array that has the most."""
    return max((len(np.unique(channel)) for channel in channels), default=0)


def _unpacked_nibbles(data: np.ndarray, tensor: Any) -> np.ndarray:
    """Unpacks two 4-bit values a byte, the low half first."""
    halves = np.stack([data & 15, data >> 4], axis=-1).ravel().astype(np.int8)
    if tensor.type == schema.TensorType.INT4:
        halves = np.where(halves > 7, halves - 16, halves).astype(np.int8)
    shape = shape_of(tensor)
    return halves if tensor.sparsity is not None else halves[: _size(shape)].reshape(shape)


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
