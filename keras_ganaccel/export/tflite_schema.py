"""Reads names, types, shapes and constants out of the unpacked tables of a TFLite file."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

NUMPY_DTYPES: dict[int, type[np.generic]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.FLOAT64: np.float64,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.UINT16: np.uint16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.UINT32: np.uint32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.UINT64: np.uint64,
    schema.TensorType.BOOL: np.bool_,
}

_TYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if name.isupper()
}
_OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()
}
_BUILTINS = frozenset(_OPERATOR_NAMES.values())


def operator_name(model: Any, operator: Any) -> str:
    """Returns an operator's name: ``CONV_2D``, or ``FlexErf`` and the like for a custom one."""
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        name = text(code.customCode)
        # One that bears a builtin's name is not it.
        return f"CUSTOM {name}".strip() if name in _BUILTINS or not name else name
    return _OPERATOR_NAMES.get(builtin, f"BUILTIN_{builtin}")


def is_custom(model: Any, operator: Any) -> bool:
    """Whether an operator is none of TFLite's builtins."""
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return builtin == schema.BuiltinOperator.CUSTOM or builtin not in _OPERATOR_NAMES


def dtype_name(tensor: Any) -> str:
    """Returns a tensor's type as NumPy spells it, such as ``float32`` or ``int8``."""
    return _TYPE_NAMES.get(tensor.type, f"type{tensor.type}")


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Returns a tensor's shape; where a dimension is dynamic this holds what it is at first."""
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def quantization_of(tensor: Any) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Returns scales, zero points and their axis, or None if the tensor is not quantized."""
    parameters = tensor.quantization
    if parameters is None or parameters.scale is None or not len(parameters.scale):
        return None
    scales = np.asarray(parameters.scale, np.float32)
    zero_points = parameters.zeroPoint
    if zero_points is None or not len(zero_points):
        zero_points = np.zeros(len(scales), np.int64)
    return scales, np.asarray(zero_points, np.int64), int(parameters.quantizedDimension)


def constant(model: Any, tensor: Any) -> np.ndarray | None:
    """Returns the stored bytes of a constant tensor as uint8, or None if it is computed."""
    data = model.buffers[tensor.buffer].data
    return None if data is None or len(data) == 0 else np.asarray(data, np.uint8)


def text(value: bytes | str | None) -> str:
    """Returns a flatbuffer string as str."""
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
