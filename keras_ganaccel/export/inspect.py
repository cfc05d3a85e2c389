"""Reads a TFLite file: operators, types, scales, kernels, costs. Nothing in it is run."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_ganaccel.errors import GanAccelError, InvalidInputError
from keras_ganaccel.export import flatbuffer
from keras_ganaccel.export.kernels import (
    KernelFacts,
    kernel_facts,
    multiply_accumulates,
    parameter_count,
)
from keras_ganaccel.export.metadata import ENTRY, ArtifactMetadata


@dataclass(frozen=True)
class TensorFacts:
    """One tensor of the file.

    Args:
        name: Its name.
        shape: Its shape; a dynamic dimension is -1.
        dtype: Its type, as NumPy spells it.
        scales: Its quantization scales: none, one, or one per channel.
        zero_points: As many zero points.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()


@dataclass(frozen=True)
class FileFacts:
    """What a TFLite file holds, read from its bytes.

    Args:
        path: The file.
        content: Its bytes.
        bytes: Its size.
        gzip_bytes: Its size after gzip, level 9.
        operators: How often each operator occurs.
        custom_operators: The names of those that are no builtins; Flex operators among them.
        tensors: All tensors.
        inputs: The inputs, in order.
        outputs: The outputs, in order.
        signatures: The names of inputs and outputs under each signature.
        kernels: The constant kernels, see `KernelFacts`.
        parameters: The number of weights, biases included.
        macs: Multiply-accumulates of one batch-1 call.
        output_operator: The operator that computes the first output, before any DEQUANTIZE.
        metadata: What the exporter embedded, or None.
    """

    path: Path
    content: bytes = field(repr=False)
    bytes: int
    gzip_bytes: int
    operators: dict[str, int]
    custom_operators: tuple[str, ...]
    tensors: tuple[TensorFacts, ...]
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    signatures: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    kernels: tuple[KernelFacts, ...]
    parameters: int
    macs: int
    output_operator: str
    metadata: ArtifactMetadata | None

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def flex_operators(self) -> tuple[str, ...]:
        """The TensorFlow operators that the file would need beyond TFLite's builtins."""
        return tuple(name for name in self.custom_operators if name.startswith("Flex"))

    @property
    def sparsity(self) -> float:
        """The share of zeros among all kernel elements, in [0, 1]."""
        elements = sum(kernel.elements for kernel in self.kernels)
        return sum(kernel.zeros for kernel in self.kernels) / elements if elements else 0.0

    @property
    def distinct(self) -> int:
        """The most distinct values in any kernel (per channel where the scales are)."""
        return max((kernel.distinct for kernel in self.kernels), default=0)


def inspect_tflite(
    path: str | os.PathLike[str], *, allowed_operators: Iterable[str] | None = None
) -> FileFacts:
    """Reads a TFLite file without running it.

    Args:
        path: The file.
        allowed_operators: The operators that may occur, such as ``{"CONV_2D", "SOFTMAX"}``; by
            default every builtin, and no Flex or custom operator.

    Returns:
        What it holds.

    Raises:
        MissingFileError: If it cannot be read.
        InvalidInputError: If it is no valid flatbuffer, or uses an operator that is not allowed.
    """
    path = Path(path)
    content = flatbuffer.read_bytes(path)
    model = flatbuffer.parse(content, path.name)
    operators, custom = _operators(model)
    _check_operators(path.name, operators, custom, allowed_operators)
    try:
        return _facts(path, content, model, operators, custom)
    except GanAccelError:
        raise
    except (IndexError, TypeError, ValueError, AttributeError) as error:
        # Such as a kernel without the dimensions that its operator needs.
        raise flatbuffer.refusal(path.name, str(error)) from error


def _facts(
    path: Path, content: bytes, model: Any, operators: dict[str, int], custom: tuple[str, ...]
) -> FileFacts:
    main = model.subgraphs[0]
    embedded = flatbuffer.metadata_entry(model, ENTRY)
    return FileFacts(
        path=path,
        content=content,
        bytes=len(content),
        gzip_bytes=len(gzip.compress(content, 9, mtime=0)),
        operators=operators,
        custom_operators=custom,
        tensors=tuple(_tensor_facts(t) for graph in model.subgraphs for t in graph.tensors),
        inputs=tuple(_tensor_facts(main.tensors[index]) for index in main.inputs),
        outputs=tuple(_tensor_facts(main.tensors[index]) for index in main.outputs),
        signatures=_signatures(model),
        kernels=kernel_facts(model),
        parameters=parameter_count(model),
        macs=multiply_accumulates(model),
        output_operator=_output_operator(model),
        metadata=ArtifactMetadata.from_json(embedded) if embedded else None,
    )


def _operators(model: Any) -> tuple[dict[str, int], tuple[str, ...]]:
    counts: Counter[str] = Counter()
    custom = set()
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or []:
            name = flatbuffer.operator_name(model, operator)
            counts[name] += 1
            if flatbuffer.is_custom(model, operator):
                custom.add(name)
    return dict(sorted(counts.items())), tuple(sorted(custom))


def _check_operators(
    name: str, operators: dict[str, int], custom: tuple[str, ...], allowed: Iterable[str] | None
) -> None:
    refused = sorted(set(operators) - set(allowed)) if allowed is not None else list(custom)
    if refused:
        raise InvalidInputError(
            f"{name} uses operators that are not allowed. Received: {', '.join(refused)}. "
            "Export with builtins only, or allow them by name."
        )


def _output_operator(model: Any) -> str:
    main = model.subgraphs[0]
    producer = {int(index): op for op in main.operators or [] for index in op.outputs}
    index = int(main.outputs[0])
    while index in producer:
        name = flatbuffer.operator_name(model, producer[index])
        if name not in ("QUANTIZE", "DEQUANTIZE"):
            return name
        index = int(producer[index].inputs[0])
    return ""


def _tensor_facts(tensor: Any) -> TensorFacts:
    quantization = flatbuffer.quantization_of(tensor)
    shape = flatbuffer.shape_of(tensor)
    if tensor.shapeSignature is not None and len(tensor.shapeSignature):
        shape = tuple(int(size) for size in tensor.shapeSignature)
    name, dtype = flatbuffer.text(tensor.name), flatbuffer.dtype_name(tensor)
    if quantization is None:
        return TensorFacts(name, shape, dtype)
    scales, zero_points, _ = quantization
    return TensorFacts(name, shape, dtype, tuple(scales.tolist()), tuple(zero_points.tolist()))


def _signatures(model: Any) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {
        flatbuffer.text(signature.signatureKey): (
            tuple(flatbuffer.text(item.name) for item in signature.inputs or []),
            tuple(flatbuffer.text(item.name) for item in signature.outputs or []),
        )
        for signature in model.signatureDefs or []
    }
