"""What a SavedModel's graph does, read from its protocol buffer before TensorFlow loads it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from keras_ganaccel.errors import InvalidInputError, UnsafeModelError, VerificationError
from keras_ganaccel.export.naming import SIGNATURE

_GRAPH = "saved_model.pb"
_MOST_BYTES = 2**31
_MOST_FILES = 10_000
# Constants that say one value for all their elements: a small file can hold a huge one.
_MOST_UNFOLDING = 100
_FREE_BYTES = 2**26
# Operations that reach beyond the tensors they are given: files, the network, Python.
_REACHING = re.compile(
    r"File|Reader|Dataset|PyFunc|Print|Summary|Rpc|RemoteCall|Debug|LMDB|Sql|Checkpoint|"
    r"^_?(Host)?(Send|Recv)"
)
_OWN_FILES = re.compile(r"InitializeTableFromTextFile(V2)?|ShardedFilename|MergeV2Checkpoints")
# Every SavedModel saves and restores its own variables; its answers must not.
_SAVING = re.compile(r"(Save|Restore)(V2|Slices?)?|MergeV2Checkpoints|ShardedFilename")
# What makes an answer depend on what was asked before, or on chance.
_CHANGING = re.compile(
    r"(Resource)?(Scatter|Assign)\w*|Random\w*|Multinomial|TruncatedNormal|"
    r"Parameterized\w*|Stateful(Uniform|Standard|Random|Truncated)\w*|LookupTableInsert\w*|"
    r"ResourceApply\w*|(Stack|Queue|Barrier|Stage)\w*"
)


def check_folder(folder: Path) -> None:
    """Checks that a SavedModel is of plain files, all of them in its folder.

    Raises:
        VerificationError: It holds links or devices, or files without number.
    """
    for number, path in enumerate(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise VerificationError(
                f"A SavedModel is of plain files. Received: {path.relative_to(folder)} in "
                f"{folder.name}, a link or device. Put a copy there."
            )
        if number > _MOST_FILES:
            raise VerificationError(
                f"A SavedModel is of few files. Received: more than {_MOST_FILES} in "
                f"{folder.name}. Export it again."
            )


def check_graph(folder: Path) -> int:
    """Refuses a graph that reaches beyond its tensors, or answers by more than its input.

    Args:
        folder: The SavedModel.

    Returns:
        The number of weights that are constants in the graph.

    Raises:
        UnsafeModelError: It reads or writes files, speaks to other processes, or calls Python.
        InvalidInputError: Its answers change from call to call.
        VerificationError: It cannot be read, or holds constants that no file of its size can.
    """
    saved, size = _read(folder)
    constants = 0
    for meta in saved.meta_graphs:
        functions = {f.signature.name: f.node_def for f in meta.graph_def.library.function}
        saver = {meta.saver_def.save_tensor_name, meta.saver_def.restore_op_name}
        saver = {name.partition(":")[0] for name in saver}
        outer = list(meta.graph_def.node)
        by_name = {node.name: node for node in outer}
        saving = _reached([n for n in outer if n.name in saver], functions, by_name)
        ends = meta.signature_def[SIGNATURE].outputs.values() if SIGNATURE in (
            meta.signature_def
        ) else ()  # fmt: skip
        starts = {end.name.partition(":")[0] for end in ends}
        answering = _reached([n for n in outer if n.name in starts], functions, by_name)
        every = [*outer, *(node for nodes in functions.values() for node in nodes)]
        own = {id(node) for node in saving} - {id(node) for node in answering}
        reaching = {
            node.op
            for node in every
            if (_REACHING.search(node.op) and not _OWN_FILES.fullmatch(node.op))
            or (_SAVING.fullmatch(node.op) and id(node) not in own)
        }
        _refuse(folder, reaching, UnsafeModelError, "reaches beyond its tensors",
                "If you trust it, pass allow_unsafe=True.")  # fmt: skip
        changing = {node.op for node in answering if _CHANGING.fullmatch(node.op)}
        _refuse(folder, changing, InvalidInputError, "must answer by its input alone",
                "Export the model without them.")  # fmt: skip
        _check_constants(folder, every, size)
        constants += sum(map(_elements, filter(_is_weight, answering)))
    return constants


def _read(folder: Path) -> tuple[Any, int]:
    path, saved = folder / _GRAPH, saved_model_pb2.SavedModel()
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise OSError(f"{size} bytes")
        saved.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise VerificationError(
            f"The SavedModel cannot be loaded. Received: {folder.name} ({error}). Export it again."
        ) from error
    return saved, size


def _refuse(
    folder: Path, found: set[str], error: Callable[[str], Exception], what: str, advice: str
) -> None:
    if found:
        raise error(
            f"The SavedModel's graph {what}. Received: {folder.name} with "
            f"{', '.join(sorted(found)[:8])}. {advice}"
        )


def _reached(nodes: Iterable[Any], functions: dict[str, Any], by_name: dict[str, Any]) -> list[Any]:
    """Returns the nodes that some depend on, those of the functions that they call included."""
    waiting, found, called = list(nodes), {}, set()
    while waiting:
        node = waiting.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        # Inputs of a function's node are in the function, all of which is looked at.
        names = (source.lstrip("^").partition(":")[0] for source in node.input)
        if by_name.get(node.name) is node:
            waiting += [by_name[name] for name in names if name in by_name]
        for value in node.attr.values():
            for function in (value.func, *value.list.func):
                if function.name in functions and function.name not in called:
                    called.add(function.name)
                    waiting += list(functions[function.name])
    return list(found.values())


def _is_weight(node: Any) -> bool:
    """Whether a node is a constant matrix of real numbers."""
    if node.op != "Const" or not tf.as_dtype(node.attr["dtype"].type).is_floating:
        return False
    return sum(side.size > 1 for side in node.attr["value"].tensor.tensor_shape.dim) > 1


def _elements(node: Any) -> int:
    return math.prod(max(side.size, 0) for side in node.attr["value"].tensor.tensor_shape.dim)


def _check_constants(folder: Path, nodes: Iterable[Any], size: int) -> None:
    constants = [node for node in nodes if node.op == "Const"]
    strings = types_pb2.DT_STRING
    held = sum(
        _elements(node) * tf.as_dtype(node.attr["dtype"].type).size
        for node in constants
        if node.attr["dtype"].type != strings
    )
    if held > _FREE_BYTES + _MOST_UNFOLDING * size:
        raise VerificationError(
            f"The SavedModel cannot be loaded. Received: {folder.name} with constants of {held} "
            f"bytes in a graph of {size}. Export it again."
        )
