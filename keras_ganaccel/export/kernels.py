"""Kernels, parameters and multiply-accumulates, recounted from a TFLite flatbuffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.kernel_search import (
    KERNEL_SLOT,
    LOOK_UP_SLOT,
    RECURRENT,
    Place,
    recurrent_kernels,
)
from keras_ganaccel.export.soundness import called_subgraphs
from keras_ganaccel.export.tflite_schema import (
    NUMPY_DTYPES,
    constant,
    dtype_name,
    operator_name,
    quantization_of,
    shape_of,
    text,
)

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

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> import numpy as np
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> model.set_weights([np.eye(64, 2), np.zeros(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     facts = ga.inspect_tflite(ga.export_tflite(model, f"{folder}/student.tflite"))
        >>> facts.kernels[0].elements, facts.kernels[0].zeros, facts.kernels[0].distinct
        (128, 126, 2)
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


def kernel_facts(model: Any, kernels: Mapping[Place, str]) -> tuple[KernelFacts, ...]:
    """Counts zeros and distinct values of every constant kernel, each tensor once.

    Args:
        model: The unpacked file.
        kernels: Its kernels, as `find_kernels` returns them.
    """
    return tuple(
        _facts_of(model, model.subgraphs[number].tensors[index], operator)
        for (number, index), operator in kernels.items()
    )


def sparsity_of(kernels: Iterable[KernelFacts]) -> float:
    """Returns the share of zeros among all elements of some kernels, in [0, 1]."""
    kernels = tuple(kernels)
    elements = sum(kernel.elements for kernel in kernels)
    return sum(kernel.zeros for kernel in kernels) / elements if elements else 0.0


def most_distinct_of(kernels: Iterable[KernelFacts]) -> int:
    """Returns the most distinct values in any of some kernels (per channel where scales are)."""
    return max((kernel.distinct for kernel in kernels), default=0)


def multiply_accumulates(model: Any, shapes: Mapping[int, tuple[int, ...]]) -> int | None:
    """Counts the multiply-accumulates of one call in convolutions, products and recurrent cells.

    Args:
        model: The unpacked file.
        shapes: The shapes that the interpreter found for the tensors of the first subgraph.

    Returns:
        Their number; None if the file loops or branches, since how often is not in the file.
    """
    main = model.subgraphs[0]
    total = 0
    for operator in main.operators or []:
        name = operator_name(model, operator)
        if called_subgraphs(operator):
            return None
        if name in RECURRENT:
            steps = _size(shapes[int(operator.inputs[0])][:-1])
            weights = recurrent_kernels(model, main, operator)
            total += steps * sum(_size(shapes[index]) for index in weights)
        if name not in KERNEL_SLOT:
            continue
        kernel = shapes[int(operator.inputs[KERNEL_SLOT[name]])]
        output = shapes[int(operator.outputs[0])]
        if name in _TRANSPOSED:
            source = shapes[int(operator.inputs[2])]
            total += _size(source[:-1]) * _size(kernel)
        elif name == "DEPTHWISE_CONV_2D":
            total += _size(output) * _size(kernel[1:3])
        elif name == "FULLY_CONNECTED":
            total += _size(output) * kernel[-1]
        elif name == "BATCH_MATMUL":
            left = shapes[int(operator.inputs[0])]
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


def _facts_of(model: Any, tensor: Any, operator: str) -> KernelFacts:
    values = stored_values(model, tensor)
    shape = shape_of(tensor)
    quantization = quantization_of(tensor)
    _check_values(values, tensor, quantization, operator)
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


def _check_values(values: np.ndarray, tensor: Any, quantization: Any, operator: str) -> None:
    """Raises ValueError where stored values do not mean what they would be counted as."""
    name = text(tensor.name)
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        raise ValueError(f"kernel {name!r} holds values that are no numbers")
    signed = np.issubdtype(values.dtype, np.signedinteger)
    symmetric = signed and operator not in LOOK_UP_SLOT
    if quantization is not None and symmetric and np.any(quantization[1]):
        # The interpreter takes such kernels as symmetric, whatever zero point is written there.
        # Rows that are looked up are passed on with it.
        raise ValueError(f"kernel {name!r} has a zero point other than 0")
    if tensor.sparsity is not None and values.size > _size(shape_of(tensor)):
        raise ValueError(f"kernel {name!r} stores more values than it has")


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
