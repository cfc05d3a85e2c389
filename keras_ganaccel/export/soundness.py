"""Whether a TFLite flatbuffer can be what it says: what the interpreter and we would trust in it.

Everything here raises ValueError with a short reason; `flatbuffer.parse` makes a refusal of it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from keras_ganaccel.export.sparse_tensors import check_tables
from keras_ganaccel.export.tflite_schema import (
    NUMPY_DTYPES,
    constant,
    operator_name,
    quantization_of,
    shape_of,
    text,
)

# The interpreter's own limit on a tensor is a 32-bit size.
_MOST_TENSOR_BYTES = 2**31
# The converter lets equal constants share their bytes; more would be looked at in vain.
_MOST_SHARED = 4
_FREE_BYTES = 2**26


def check_model(model: Any) -> None:
    """Checks that every reference holds, and that nothing in the file escapes being counted."""
    if model.version != 3:
        raise ValueError(f"schema version {model.version} instead of 3")
    if not model.subgraphs or not model.buffers:
        raise ValueError("no subgraph or no buffers")
    if model.buffers[0].data is not None and len(model.buffers[0].data):
        raise ValueError("data in buffer 0, which stands for none")
    main = model.subgraphs[0]
    if main.inputs is None or main.outputs is None or not len(main.inputs) * len(main.outputs):
        raise ValueError("no inputs or no outputs")
    names = Counter(text(entry.name) for entry in model.metadata or [])
    for entry in model.metadata or []:
        _check_index(entry.buffer, len(model.buffers), "metadata buffer")
        if names[text(entry.name)] > 1:
            raise ValueError(f"metadata {text(entry.name)!r} more than once")
    for code in model.operatorCodes or []:
        _check_name(code.customCode)
    _check_shared(model)
    for subgraph in model.subgraphs:
        _check_subgraph(model, subgraph)
    _check_signatures(model)
    _check_reach(model)


def _check_shared(model: Any) -> None:
    """Checks that constants are not shared so often that going through them takes for ever."""
    sizes = [0 if buffer.data is None else len(buffer.data) for buffer in model.buffers]
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors or []]
    for tensor in tensors:
        _check_index(tensor.buffer, len(sizes), "buffer")
        if tensor.externalBuffer:
            raise ValueError("weights in other files")
    if sum(sizes[tensor.buffer] for tensor in tensors) > _FREE_BYTES + _MOST_SHARED * sum(sizes):
        raise ValueError("its tensors share the same constants too often")


def _check_subgraph(model: Any, subgraph: Any) -> None:
    tensors = subgraph.tensors = subgraph.tensors or []
    for tensor in tensors:
        _check_name(tensor.name)
        _check_shape(tensor)
        _check_quantization(tensor)
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
    _check_flow(model, subgraph)


def _check_flow(model: Any, subgraph: Any) -> None:
    """Checks that each tensor is made once, before it is used, and that every operator counts."""
    given = {int(index) for index in ([] if subgraph.inputs is None else subgraph.inputs)}
    constants = {
        index
        for index, tensor in enumerate(subgraph.tensors)
        if tensor.isVariable or constant(model, tensor) is not None
    }
    ready = given | constants
    if given & constants:
        raise ValueError("an input is a constant")
    outputs = {int(index) for index in ([] if subgraph.outputs is None else subgraph.outputs)}
    made: set[int] = set()
    for operator in subgraph.operators or []:
        name = operator_name(model, operator)
        # Empty constants, such as the shape of a scalar, have no data.
        missing = [int(i) for i in operator.inputs if i >= 0 and int(i) not in ready | made]
        for index in missing:
            if math.prod(shape_of(subgraph.tensors[index])):
                raise ValueError(f"{name} reads what nothing has made before it")
        results = [int(index) for index in operator.outputs]
        if len(set(results)) < len(results) or set(results) & (made | ready):
            raise ValueError(f"{name} writes what is there already")
        made |= set(results)
    if not outputs <= made | ready:
        raise ValueError("an output that nothing makes")
    needed = set(outputs)
    for operator in reversed(subgraph.operators or []):
        if not needed & {int(index) for index in operator.outputs}:
            raise ValueError(f"{operator_name(model, operator)}, whose result nothing uses")
        needed |= {int(index) for index in operator.inputs}


def called_subgraphs(operator: Any) -> list[int]:
    """Returns the numbers of the subgraphs that an operator runs: branches, loops, bodies."""
    found = []
    for options in (operator.builtinOptions, operator.builtinOptions2):
        for key, value in vars(options).items() if options is not None else ():
            if key == "subgraph" or key.lower().endswith("subgraphindex"):
                found.append(int(value))
    return found


def _check_reach(model: Any) -> None:
    """Checks that every subgraph is run from the first one, and none runs itself."""
    graphs = model.subgraphs
    done: set[int] = set()
    # Depth first, with the way that led here.
    waiting: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    while waiting:
        number, way = waiting.pop()
        if number in way:
            raise ValueError(f"subgraph {number} runs itself")
        if number in done:
            continue
        done.add(number)
        for operator in graphs[number].operators or []:
            for called in called_subgraphs(operator):
                _check_index(called, len(graphs), "subgraph")
                if called in way or called == number:
                    raise ValueError(f"subgraph {called} runs itself")
                waiting.append((called, (*way, number)))
    unreached = sorted(set(range(len(graphs))) - done)
    if unreached:
        raise ValueError(f"subgraph {unreached[0]} of {len(graphs)} is never run")


def _check_signatures(model: Any) -> None:
    """Checks that a signature names exactly the ends of the graph that runs."""
    signatures = model.signatureDefs or []
    keys = [text(signature.signatureKey) for signature in signatures]
    if len(set(keys)) < len(keys):
        raise ValueError("two signatures of one name")
    for signature in signatures:
        _check_name(signature.signatureKey)
        key = text(signature.signatureKey)
        if signature.subgraphIndex != 0:
            raise ValueError(f"signature {key!r} runs another graph than the file does")
        main = model.subgraphs[0]
        for items, ends in ((signature.inputs, main.inputs), (signature.outputs, main.outputs)):
            for item in items or []:
                _check_name(item.name)
            names = [text(item.name) for item in items or []]
            if len(set(names)) < len(names):
                raise ValueError(f"signature {key!r} names two tensors alike")
            if sorted(int(item.tensorIndex) for item in items or []) != sorted(map(int, ends)):
                raise ValueError(f"signature {key!r} names other tensors than the graph's ends")


def _check_sparse(tensor: Any, data: Any, dtype: type[np.generic] | None) -> None:
    name = text(tensor.name)
    size = 0 if dtype is None else np.dtype(dtype).itemsize
    if data is None or not size or len(data) % size:
        raise ValueError(f"tensor {name!r} is stored sparsely in a way that cannot be read")
    try:
        check_tables(tensor, len(data) // size)
    except ValueError as error:
        raise ValueError(f"tensor {name!r} has {error}") from None


def _check_name(name: bytes | str | None) -> None:
    """Raises UnicodeDecodeError, a ValueError, where the interpreter could not read a name."""
    if isinstance(name, bytes):
        name.decode()


def _check_index(index: int, size: int, what: str, lowest: int = 0) -> None:
    if not lowest <= index < size:
        raise ValueError(f"{what} {index} of {size} does not exist")


def _check_shape(tensor: Any) -> None:
    shape, name = shape_of(tensor), text(tensor.name)
    if any(size < 0 for size in shape):
        raise ValueError(f"tensor {name!r} of shape {shape}")
    itemsize = np.dtype(NUMPY_DTYPES.get(tensor.type, np.uint8)).itemsize
    if math.prod(shape) * itemsize > _MOST_TENSOR_BYTES:
        raise ValueError(f"tensor {name!r} of shape {shape}, more than {_MOST_TENSOR_BYTES} bytes")
    signature = [] if tensor.shapeSignature is None else [int(n) for n in tensor.shapeSignature]
    if signature and (
        len(signature) != len(shape)
        or any(theirs not in (-1, ours) for theirs, ours in zip(signature, shape, strict=True))
    ):
        raise ValueError(f"tensor {name!r} of shape {shape}, said to be {tuple(signature)}")


def _check_quantization(tensor: Any) -> None:
    if tensor.quantization is not None and tensor.quantization.detailsType:
        raise ValueError(f"tensor {text(tensor.name)!r} is quantized in a way that cannot be read")
    found = quantization_of(tensor)
    if found is None:
        return
    scales, zero_points, axis = found
    name, shape = text(tensor.name), shape_of(tensor)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ValueError(f"tensor {name!r} has scales that are no positive numbers")
    dtype = NUMPY_DTYPES.get(tensor.type)
    if dtype is not None and np.issubdtype(dtype, np.integer):
        limits = np.iinfo(np.dtype(dtype))
        if (zero_points < limits.min).any() or (zero_points > limits.max).any():
            raise ValueError(f"tensor {name!r} has zero points that its type cannot hold")
    if len(zero_points) not in (1, len(scales)):
        raise ValueError(
            f"tensor {name!r} has {len(scales)} scales, {len(zero_points)} zero points"
        )
    if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
        raise ValueError(f"tensor {name!r} of shape {shape} has {len(scales)} scales")


def _check_size(model: Any, tensor: Any) -> None:
    data = constant(model, tensor)
    dtype = NUMPY_DTYPES.get(tensor.type)
    if tensor.sparsity is not None:
        _check_sparse(tensor, data, dtype)
        return
    if data is None or dtype is None:
        return
    expected = math.prod(shape_of(tensor)) * np.dtype(dtype).itemsize
    if len(data) != expected:
        raise ValueError(
            f"tensor {text(tensor.name)!r} holds {len(data)} bytes instead of {expected}"
        )
    if np.issubdtype(dtype, np.floating) and np.isnan(data.view(dtype)).any():
        raise ValueError(f"tensor {text(tensor.name)!r} holds values that are no numbers")
