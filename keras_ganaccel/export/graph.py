"""A frozen graph in one canonical form, whatever its layers happen to be called.

The converter orders and names what it emits by the names of the nodes, so the same weights under
other automatic names would give other bytes. Here nodes and library functions are numbered as a
depth-first walk from the outputs meets them, and everything else is dropped. That works for any
traced model: functional, subclassed, or quantization-aware trained in tf_keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2_as_graph,
)

_LOCATION_ATTRIBUTES = ("_class", "_output_shapes", "_has_manual_control_dependencies")


def canonical_function(
    call: Callable[..., Sequence[tf.Tensor]],
    inputs: Sequence[tf.TensorSpec],
    output_names: Sequence[str],
) -> Any:
    """Traces and freezes a computation into a function that no longer depends on names.

    Args:
        call: Takes one tensor per entry of `inputs` and returns one tensor per output name.
        inputs: Shape, dtype and name of each input.
        output_names: The names of the outputs, in order.

    Returns:
        A concrete function with the weights as constants. Its result is a dict by output name.
    """
    traced = tf.function(call, input_signature=list(inputs), autograph=False)
    frozen, graph_def = convert_variables_to_constants_v2_as_graph(
        traced.get_concrete_function(), lower_control_flow=False
    )
    feeds = [tensor.name for tensor in frozen.inputs if tensor.dtype != tf.resource]
    fetches = [tensor.name for tensor in frozen.outputs]
    canonical, node_names = canonical_graph_def(
        graph_def, [_node_of(name) for name in feeds], [_node_of(name) for name in fetches]
    )

    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = {
            f"{node_names[_node_of(feed)]}:0": tensor
            for feed, tensor in zip(feeds, tensors, strict=True)
            if _node_of(feed) in node_names
        }
        wanted = [node_names[_node_of(fetch)] + ":" + _port_of(fetch) for fetch in fetches]
        results = tf.graph_util.import_graph_def(
            canonical, input_map=given, return_elements=wanted, name=""
        )
        return dict(zip(output_names, results, strict=True))

    served = tf.function(serve, input_signature=list(inputs), autograph=False)
    return served.get_concrete_function()


def canonical_graph_def(
    graph_def: Any, inputs: Iterable[str], outputs: Iterable[str]
) -> tuple[Any, dict[str, str]]:
    """Numbers the nodes and functions of a frozen graph by a walk from its outputs.

    Args:
        graph_def: A frozen ``GraphDef``.
        inputs: The names of its placeholder nodes, which come first.
        outputs: The names of the nodes that are asked for.

    Returns:
        The canonical ``GraphDef`` and the new name of each node that is in it.
    """
    nodes = {node.name: node for node in graph_def.node}
    order = _depth_first(nodes, [*inputs, *outputs])
    names = {name: f"n{number:05d}" for number, name in enumerate(order)}
    library = {function.signature.name: function for function in graph_def.library.function}
    functions: dict[str, str] = {}
    canonical = tf.compat.v1.GraphDef()
    canonical.versions.CopyFrom(graph_def.versions)
    for name in order:
        node = canonical.node.add()
        node.CopyFrom(nodes[name])
        node.name = names[name]
        del node.input[:]
        node.input.extend(_renamed(item, names) for item in _data_inputs(nodes[name]))
        _clean_attributes(node, library, functions)
    for number, name in _growing(functions):
        function = canonical.library.function.add()
        function.CopyFrom(library[name])
        function.signature.name = f"f{number:05d}"
        _clean_function(function, library, functions)
    return canonical, names


def _depth_first(nodes: dict[str, Any], roots: Iterable[str]) -> list[str]:
    """Returns node names so that inputs come before their users, in a name-free order."""
    order: dict[str, None] = {}
    for root in roots:
        stack = [(root, False)]
        while stack:
            name, expanded = stack.pop()
            if name in order:
                continue
            if expanded:
                order[name] = None
                continue
            stack.append((name, True))
            for item in reversed(_data_inputs(nodes[name])):
                stack.append((_node_of(item), False))
    return list(order)


def _clean_function(function: Any, library: dict[str, Any], functions: dict[str, str]) -> None:
    """Renames the nodes inside a library function by their order there."""
    names = {node.name: f"n{number:05d}" for number, node in enumerate(function.node_def)}
    for node in function.node_def:
        inputs = [_renamed(item, names) for item in node.input]
        node.name = names[node.name]
        del node.input[:]
        node.input.extend(inputs)
        _clean_attributes(node, library, functions)
    for key in list(function.ret):
        function.ret[key] = _renamed(function.ret[key], names)
    for key in list(function.control_ret):
        function.control_ret[key] = names[function.control_ret[key]]


def _clean_attributes(node: Any, library: dict[str, Any], functions: dict[str, str]) -> None:
    """Drops what only records where a node came from, and renames the functions it calls."""
    node.ClearField("experimental_debug_info")
    for key in _LOCATION_ATTRIBUTES:
        if key in node.attr:
            del node.attr[key]
    for key in sorted(node.attr):
        value = node.attr[key]
        called = [value.func] if value.HasField("func") else list(value.list.func)
        for function in called:
            if function.name in library:
                new = functions.setdefault(function.name, f"f{len(functions):05d}")
                function.name = new


def _growing(functions: dict[str, str]) -> Iterable[tuple[int, str]]:
    """Yields the functions in order of first use; the walk may find further ones meanwhile."""
    number = 0
    while number < len(functions):
        yield number, list(functions)[number]
        number += 1


def _data_inputs(node: Any) -> list[str]:
    return [item for item in node.input if not item.startswith("^")]


def _renamed(reference: str, names: dict[str, str]) -> str:
    """Renames the node in ``node``, ``node:port``, ``node:output:port`` or ``^node``."""
    control = "^" if reference.startswith("^") else ""
    node, separator, port = reference.removeprefix("^").partition(":")
    return control + names.get(node, node) + separator + port


def _node_of(reference: str) -> str:
    return reference.partition(":")[0]


def _port_of(reference: str) -> str:
    return reference.partition(":")[2] or "0"
