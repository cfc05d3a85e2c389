"""Reads and writes the TFLite flatbuffer itself, without TensorFlow."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.errors import InvalidInputError, MissingFileError

IDENTIFIER = b"TFL3"

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


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns a file's bytes.

    Raises:
        MissingFileError: If there is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise MissingFileError(
            f"The artefact cannot be read. Received: {os.fspath(path)} ({error.strerror}). "
            "Give the path of a .tflite file."
        ) from error


def parse(content: bytes, name: str = "model") -> Any:
    """Unpacks a TFLite flatbuffer and checks that every reference in it holds.

    Args:
        content: The bytes of a ``.tflite`` file.
        name: What to call it in errors.

    Returns:
        The schema's ``ModelT``; its buffers' data are uint8 arrays or None.

    Raises:
        InvalidInputError: If the bytes are no whole and consistent TFLite flatbuffer.
    """
    if len(content) < 16 or content[4:8] != IDENTIFIER:
        raise refusal(name, "the identifier TFL3 is missing")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        _resolve_external_buffers(model, content)
        _check_references(model)
    except (
        struct.error,
        IndexError,
        TypeError,
        ValueError,
        OverflowError,
        AttributeError,
        MemoryError,
    ) as error:
        raise refusal(name, str(error) or type(error).__name__) from error
    return model


def pack(model: Any) -> bytes:
    """Serialises a ``ModelT``; equal models give equal bytes."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def operator_name(model: Any, operator: Any) -> str:
    """Returns an operator's name: ``CONV_2D``, or ``FlexErf`` and the like for a custom one."""
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return text(code.customCode) or "CUSTOM"
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


def metadata_entry(model: Any, name: str) -> bytes | None:
    """Returns the bytes that the model's metadata hold under `name`, if any."""
    for entry in model.metadata or []:
        if text(entry.name) == name:
            data = model.buffers[entry.buffer].data
            return b"" if data is None else bytes(np.asarray(data, np.uint8))
    return None


def set_metadata_entry(model: Any, name: str, content: bytes) -> None:
    """Adds an entry to the model's metadata."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name = name
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]


def refusal(name: str, reason: str) -> InvalidInputError:
    """Makes the error for bytes that are no valid TFLite flatbuffer."""
    reason = " ".join(reason.split())
    return InvalidInputError(
        f"{name} is not a valid TFLite flatbuffer: {reason}. Export the model again."
    )


def _resolve_external_buffers(model: Any, content: bytes) -> None:
    """Fetches the buffers of very large models, which lie behind the flatbuffer."""
    for buffer in model.buffers or []:
        offset, size = int(buffer.offset), int(buffer.size)
        if offset > 1:
            if offset + size > len(content):
                raise ValueError("a buffer lies outside of the file")
            buffer.data = np.frombuffer(content, np.uint8, size, offset)


def _check_references(model: Any) -> None:
    """Raises ValueError where an index points nowhere or a constant has not its size."""
    if model.version != 3:
        raise ValueError(f"schema version {model.version} instead of 3")
    if not model.subgraphs or not model.buffers:
        raise ValueError("no subgraph or no buffers")
    main = model.subgraphs[0]
    if main.inputs is None or main.outputs is None or not len(main.inputs) * len(main.outputs):
        raise ValueError("no inputs or no outputs")
    for signature in model.signatureDefs or []:
        _check_name(signature.signatureKey)
    for entry in model.metadata or []:
        _check_index(entry.buffer, len(model.buffers), "metadata buffer")
    for subgraph in model.subgraphs:
        tensors = subgraph.tensors or []
        for tensor in tensors:
            _check_name(tensor.name)
            _check_index(tensor.buffer, len(model.buffers), "buffer")
            _check_size(model, tensor)
        for indices in (subgraph.inputs, subgraph.outputs):
            for index in [] if indices is None else indices:
                _check_index(index, len(tensors), "tensor")
        for operator in subgraph.operators or []:
            _check_index(operator.opcodeIndex, len(model.operatorCodes or []), "operator")
            operator.inputs = [] if operator.inputs is None else operator.inputs
            operator.outputs = [] if operator.outputs is None else operator.outputs
            for index in operator.inputs:
                _check_index(index, len(tensors), "tensor", lowest=-1)
            for index in operator.outputs:
                _check_index(index, len(tensors), "tensor")


def _check_name(name: bytes | str | None) -> None:
    """Raises UnicodeDecodeError, a ValueError, where the interpreter could not read a name."""
    if isinstance(name, bytes):
        name.decode()


def _check_index(index: int, size: int, what: str, lowest: int = 0) -> None:
    if not lowest <= index < size:
        raise ValueError(f"{what} {index} of {size} does not exist")


def _check_size(model: Any, tensor: Any) -> None:
    data = constant(model, tensor)
    dtype = NUMPY_DTYPES.get(tensor.type)
    if data is None or dtype is None or tensor.sparsity is not None:
        return
    expected = int(np.prod(shape_of(tensor), dtype=np.int64)) * np.dtype(dtype).itemsize
    if len(data) != expected:
        raise ValueError(
            f"tensor {text(tensor.name)!r} holds {len(data)} bytes instead of {expected}"
        )
