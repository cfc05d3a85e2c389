"""A frozen graph in one canonical form, whatever its layers happen to be called.

The converter orders and names what it emits by the names of the nodes, so the same weights under
other automatic names would give other bytes. Here nodes are numbered as a depth-first walk from
the outputs meets them, functions are named by their content, and everything else is dropped. That
works for any traced model: functional, subclassed, or quantization-aware trained in tf_keras.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2_as_graph,
)

from keras_ganaccel.export.computed_kernels import with_constant_kernels


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
        with_constant_kernels(graph_def),
        [_node_of(name) for name in feeds],
        [_node_of(name) for name in fetches],
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


def has_loops(function: Any) -> bool:
    """Whether a concrete function holds loops, as recurrent layers do unless they are unrolled."""
    return any(op.type in ("While", "StatelessWhile") for op in function.graph.get_operations())


def has_one_hot(function: Any) -> bool:
    """Whether a concrete function encodes categories; its int8 kernel ignores its own scales."""
    return any(op.type == "OneHot" for op in function.graph.get_operations())


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
    library = _Library(graph_def.library.function)
    canonical = tf.compat.v1.GraphDef()
    canonical.versions.CopyFrom(graph_def.versions)
    for name in order:
        node = canonical.node.add()
        node.CopyFrom(nodes[name])
        node.name = names[name]
        del node.input[:]
        node.input.extend(_renamed(item, names) for item in _data_inputs(nodes[name]))
        library.clean_attributes(node)
    canonical.library.function.extend(library.canonical.values())
    return canonical, names


class _Library:
    """Renames the functions of a graph, such as the bodies of loops, after their own content."""

    def __init__(self, functions: Iterable[Any]) -> None:
        self._original = {function.signature.name: function for function in functions}
        self._names: dict[str, str] = {}
        self.canonical: dict[str, Any] = {}

    def clean_attributes(self, node: Any) -> None:
        """Drops what only records where a node came from, and renames the functions it calls."""
        node.ClearField("experimental_debug_info")
        for key in [key for key in node.attr if key.startswith("_")]:
            del node.attr[key]
        for key in sorted(node.attr):
            value = node.attr[key]
            for function in [value.func] if value.HasField("func") else list(value.list.func):
                if function.name in self._original:
                    function.name = self._canonical_name(function.name)

    def _canonical_name(self, name: str) -> str:
        if name not in self._names:
            function = tf.compat.v1.GraphDef().library.function.add()
            function.CopyFrom(self._original[name])
            self._clean(function)
            content = function.SerializeToString(deterministic=True)
            function.signature.name = "f" + hashlib.sha256(content).hexdigest()[:16]
            self._names[name] = function.signature.name
            self.canonical[function.signature.name] = function
        return self._names[name]

    def _clean(self, function: Any) -> None:
        """Numbers arguments, nodes and results by their order."""
        names = {arg.name: f"a{i:05d}" for i, arg in enumerate(function.signature.input_arg)}
        names |= {node.name: f"n{i:05d}" for i, node in enumerate(function.node_def)}
        results = {arg.name: f"r{i:05d}" for i, arg in enumerate(function.signature.output_arg)}
        returned = {results[key]: _renamed(value, names) for key, value in function.ret.items()}
        for arg in function.signature.input_arg:
            arg.name = names[arg.name]
        for arg in function.signature.output_arg:
            arg.name = results[arg.name]
        function.signature.name = ""
        for field in ("control_output", "description", "summary"):
            function.signature.ClearField(field)
        for field in ("attr", "arg_attr", "resource_arg_unique_id", "control_ret", "ret"):
            function.ClearField(field)
        function.ret.update(returned)
        for node in function.node_def:
            inputs = [_renamed(item, names) for item in _data_inputs(node)]
            node.name = names[node.name]
            del node.input[:]
            node.input.extend(inputs)
            self.clean_attributes(node)


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


def _data_inputs(node: Any) -> list[str]:
    return [item for item in node.input if not item.startswith("^")]


def _renamed(reference: str, names: dict[str, str]) -> str:
    """Renames the node in ``node``, ``node:port`` or ``node:output:port``."""
    node, separator, port = reference.partition(":")
    return names[node] + separator + port


def _node_of(reference: str) -> str:
    return reference.partition(":")[0]


def _port_of(reference: str) -> str:
    return reference.partition(":")[2] or "0"
