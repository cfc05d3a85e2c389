"""Reads a TFLite file: operators, types, scales, kernels, costs."""

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
from keras_ganaccel.export.kernel_search import find_kernels, further_weights, parameter_count
from keras_ganaccel.export.kernels import (
    KernelFacts,
    kernel_facts,
    most_distinct_of,
    multiply_accumulates,
    sparsity_of,
)
from keras_ganaccel.export.metadata import ENTRY, ArtifactMetadata
from keras_ganaccel.export.probe import Trial, try_out
from keras_ganaccel.export.tflite_schema import (
    constant,
    dtype_name,
    is_custom,
    operator_name,
    quantization_of,
    shape_of,
    text,
)

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_COMPARABLE = frozenset({*_FLOATS, "int8", "uint8", "int16", "int32", "int64", "bool"})
# What these answer depends on what the file was asked before, or on chance.
_STATEFUL = frozenset({
    "ASSIGN_VARIABLE", "CALL_ONCE", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT",
    "HASHTABLE_LOOKUP", "HASHTABLE_SIZE", "MULTINOMIAL", "RANDOM_STANDARD_NORMAL",
    "RANDOM_UNIFORM", "READ_VARIABLE", "VAR_HANDLE",
})  # fmt: skip

_LOOPS = frozenset({"STABLEHLO_WHILE", "WHILE"})


@dataclass(frozen=True)
class TensorFacts:
    """One tensor of the file.

    Args:
        name: Its name.
        shape: Its shape; a dynamic dimension is -1.
        dtype: Its type, as NumPy spells it.
        scales: Its quantization scales: none, one, or one per channel.
        zero_points: As many zero points.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     facts = ga.inspect_tflite(ga.export_tflite(model, f"{folder}/student.tflite"))
        >>> facts.inputs[0].shape, facts.inputs[0].dtype
        ((1, 8, 8, 1), 'float32')
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
        macs: Multiply-accumulates of one call; None where they cannot be counted: in loops and
            branches, or where the interpreter does not run the file.
        further_weights: The elements of constant matrices that are no kernel, such as positions
            that are added, or factors: zeros and distinct values are not counted in them.
        keeps_state: Whether it keeps something from one call to the next, as streaming cells do;
            it must be reset before each.
        format: By its tensors, see `file_format`.
        output_operator: The operator that computes the first output, before any DEQUANTIZE.
        metadata: What the exporter embedded, or None.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     facts = ga.inspect_tflite(ga.export_tflite(model, f"{folder}/student.tflite"))
        >>> facts.macs, facts.output_operator, len(facts.kernels)
        (128, 'FULLY_CONNECTED', 1)
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
    macs: int | None
    further_weights: int
    keeps_state: bool
    format: str
    output_operator: str
    metadata: ArtifactMetadata | None

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def loops(self) -> bool:
        """Whether how often it computes something depends on its input."""
        return bool(_LOOPS & set(self.operators))

    @property
    def sparsity(self) -> float:
        """The share of zeros among all kernel elements, in [0, 1]."""
        return sparsity_of(self.kernels)

    @property
    def distinct(self) -> int:
        """The most distinct values in any kernel (per channel where the scales are)."""
        return most_distinct_of(self.kernels)


def inspect_tflite(
    path: str | os.PathLike[str], *, allowed_operators: Iterable[str] | None = None
) -> FileFacts:
    """Reads a TFLite file; what it computes, a throwaway process finds out.

    What the file says of shapes and formats is not believed: shapes are those that the interpreter
    finds when it runs the file once, the format is that of the tensors. Weights that cannot be
    counted are refused.

    Args:
        path: The file.
        allowed_operators: The operators that may occur, such as ``{"CONV_2D", "SOFTMAX"}``; by
            default every builtin, and no Flex or custom operator.

    Returns:
        What it holds.

    Raises:
        MissingFileError: If it cannot be read.
        InvalidInputError: If it is no valid flatbuffer, uses an operator that is not allowed, says
            of itself what is not so, or hides weights where they cannot be counted.
        VerificationError: If the interpreter crashes or hangs on it.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     facts = ga.inspect_tflite(ga.export_tflite(model, f"{folder}/student.tflite"))
        >>> facts.operators, facts.parameters
        ({'FULLY_CONNECTED': 1, 'RESHAPE': 1}, 128)
    """
    path = Path(path)
    content = flatbuffer.read_bytes(path)
    model = flatbuffer.parse(content, path.name)
    operators, custom = _operators(model)
    _check_operators(path.name, operators, custom, allowed_operators)
    trial = try_out(content, path.name)
    try:
        return _facts(path, content, model, operators, custom, trial)
    except GanAccelError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # Such as a kernel without the dimensions that its operator needs.
        raise flatbuffer.refusal(path.name, str(error)) from error


def _facts(
    path: Path,
    content: bytes,
    model: Any,
    operators: dict[str, int],
    custom: tuple[str, ...],
    trial: Trial | None,
) -> FileFacts:
    main = model.subgraphs[0]
    embedded = flatbuffer.metadata_entry(model, ENTRY)
    if trial is not None:
        _check_types(main, trial)
    places = find_kernels(model)
    kernels = kernel_facts(model, places)
    metadata = ArtifactMetadata.from_json(embedded) if embedded is not None else None
    found = file_format(model, [kernel.dtype for kernel in kernels])
    _check_format(path.name, found, metadata)
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
        kernels=kernels,
        parameters=parameter_count(model, places),
        macs=None if trial is None else multiply_accumulates(model, trial.shapes),
        further_weights=further_weights(model, places),
        keeps_state=any(t.isVariable for graph in model.subgraphs for t in graph.tensors),
        format=found,
        output_operator=_output_operator(model),
        metadata=metadata,
    )


def file_format(model: Any, kernels: Iterable[str]) -> str:
    """Tells a file's format by its tensors.

    Args:
        model: The unpacked file.
        kernels: The types that its kernels are stored in.

    Returns:
        ``"int8"`` or ``"int16x8"`` where nothing is computed in floats, ``"mixed"`` where something
        is and something is not, else by the stored kernels ``"dynamic_range"``, ``"float16"`` or
        ``"float32"``.
    """
    computed = {
        (dtype_name(tensor), quantization_of(tensor) is not None)
        for graph in model.subgraphs
        for tensor in graph.tensors
        if constant(model, tensor) is None
    }
    floats = {name for name, _ in computed if name in _FLOATS}
    quantized = {name for name, scaled in computed if scaled and name in ("int8", "uint8", "int16")}
    if quantized:
        whole = "int16x8" if "int16" in quantized else "int8"
        return "mixed" if floats else whole
    stored = set(kernels)
    if stored & {"int8", "uint8", "int4", "int2"}:
        return "dynamic_range"
    return "float16" if "float16" in stored else "float32"


def _check_format(name: str, found: str, metadata: ArtifactMetadata | None) -> None:
    """Refuses a file that says it is of another format than its tensors are."""
    stated = metadata.quantization if metadata is not None else ""
    # The converter leaves kernels of few elements as they are, and in floats what has no integer
    # kernel: the format that counts is the one found.
    left = {"dynamic_range": "float32", "float16": "float32", "int8": "mixed", "int16x8": "mixed"}
    if stated in ("", found) or found == left.get(stated):
        return
    raise InvalidInputError(
        f"{name} must be of the format that it states. Received: {stated!r}, and tensors of "
        f"{found!r}. Export the model again."
    )


def _check_types(main: Any, trial: Trial) -> None:
    """Raises ValueError where the interpreter computes another type than the file states."""
    # Those that the interpreter adds for itself come behind the file's own.
    for index, tensor in enumerate(main.tensors):
        stated, dtype = dtype_name(tensor), trial.dtypes.get(index)
        if dtype is not None and stated in _COMPARABLE and dtype != stated:
            raise ValueError(f"tensor {text(tensor.name)!r} is {dtype}, not {stated}")


def _operators(model: Any) -> tuple[dict[str, int], tuple[str, ...]]:
    counts: Counter[str] = Counter()
    custom = set()
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or []:
            name = operator_name(model, operator)
            counts[name] += 1
            if is_custom(model, operator):
                custom.add(name)
    return dict(sorted(counts.items())), tuple(sorted(custom))


def _check_operators(
    name: str, operators: dict[str, int], custom: tuple[str, ...], allowed: Iterable[str] | None
) -> None:
    refused = sorted(set(operators) - set(allowed)) if allowed is not None else list(custom)
    changing = sorted(_STATEFUL & set(operators)) if allowed is None else []
    if changing:
        raise InvalidInputError(
            f"{name} must answer by its input alone. Received: {', '.join(changing)}, which keep "
            "something between calls, or draw it. Export the model without them."
        )
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
        name = operator_name(model, producer[index])
        if name not in ("QUANTIZE", "DEQUANTIZE"):
            return name
        index = int(producer[index].inputs[0])
    return ""


def _tensor_facts(tensor: Any) -> TensorFacts:
    quantization = quantization_of(tensor)
    shape = shape_of(tensor)
    if tensor.shapeSignature is not None and len(tensor.shapeSignature):
        shape = tuple(int(size) for size in tensor.shapeSignature)
    name, dtype = text(tensor.name), dtype_name(tensor)
    if quantization is None:
        return TensorFacts(name, shape, dtype)
    scales, zero_points, _ = quantization
    return TensorFacts(name, shape, dtype, tuple(scales.tolist()), tuple(zero_points.tolist()))


def _signatures(model: Any) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {
        text(signature.signatureKey): (
            tuple(text(item.name) for item in signature.inputs or []),
            tuple(text(item.name) for item in signature.outputs or []),
        )
        for signature in model.signatureDefs or []
    }
