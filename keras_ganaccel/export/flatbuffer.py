"""Reads and writes the TFLite flatbuffer itself, without TensorFlow."""

from __future__ import annotations

import os
import struct
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel import files
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.export.extent import check_extent
from keras_ganaccel.export.soundness import check_model
from keras_ganaccel.export.tflite_schema import text

IDENTIFIER = b"TFL3"
# References inside of a flatbuffer, and the interpreter's sizes, end there.
_MOST_BYTES = 2**31


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns a file's bytes.

    Raises:
        MissingFileError: If there is no such file, or it cannot be read.
    """
    try:
        return files.read_bytes(path, _MOST_BYTES)
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
        check_extent(content)
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        _resolve_external_buffers(model, content)
        check_model(model)
    except (
        struct.error,
        IndexError,
        TypeError,
        ValueError,
        OverflowError,
        AttributeError,
        MemoryError,
        RecursionError,
    ) as error:
        raise refusal(name, str(error) or type(error).__name__) from error
    return model


def pack(model: Any) -> bytes:
    """Serialises a ``ModelT``; equal models give equal bytes."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


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
            if buffer.data is not None and len(buffer.data):
                raise ValueError("a buffer has data in two places")
            if offset + size > len(content):
                raise ValueError("a buffer lies outside of the file")
            buffer.data = np.frombuffer(content, np.uint8, size, offset)
