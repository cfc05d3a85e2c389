"""Kernels that a model computes from constants become the constants that they are.

`keras.ops.image.extract_patches` convolves with an identity matrix that it makes on every call. The
converter leaves that in the file as operators, behind which nobody can count a kernel, and devices
would compute it for each sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_KERNEL_INPUT = {
    "Conv2D": 1,
    "Conv2DBackpropInput": 1,
    "Conv3D": 1,
    "Conv3DBackpropInputV2": 1,
    "DepthwiseConv2dNative": 1,
}
# The converter sees through these by itself, and needs the ranges of fake quantization.
_LEFT_ALONE = (
    "Const", "ExpandDims", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
    "Identity", "Reshape", "Squeeze", "Transpose",
)  # fmt: skip


def with_constant_kernels(graph_def: Any) -> Any:
    """Evaluates the kernels of convolutions that are computed from constants.

    Args:
        graph_def: A frozen ``GraphDef``.

    Returns:
        The same object where there are none, else a copy with their values.
    """
    nodes = {node.name: node for node in graph_def.node}
    computed = []
    for node in graph_def.node:
        if node.op in _KERNEL_INPUT:
            name = node.input[_KERNEL_INPUT[node.op]]
            behind = _behind(nodes, name)
            kinds = {each.op for each in behind.values()}
            if "Placeholder" not in kinds and not kinds <= set(_LEFT_ALONE):
                computed.append((name, behind))
    if not computed:
        return graph_def
    changed = tf.compat.v1.GraphDef()
    changed.CopyFrom(graph_def)
    targets = {node.name: node for node in changed.node}
    for name, behind in computed:
        constant = tf.compat.v1.NodeDef(name=name, op="Const")
        value = _evaluated(name, behind, graph_def)
        constant.attr["dtype"].type = value.dtype.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        targets[name].CopyFrom(constant)
    return changed


def _behind(nodes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The nodes that a node is computed from, itself included."""
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        here = waiting.pop().lstrip("^").partition(":")[0]
        if here not in found:
            found[here] = nodes[here]
            waiting += nodes[here].input
    return found


def _evaluated(name: str, behind: Mapping[str, Any], graph_def: Any) -> tf.Tensor:
    part = tf.compat.v1.GraphDef()
    part.versions.CopyFrom(graph_def.versions)
    part.library.CopyFrom(graph_def.library)
    part.node.extend(behind.values())

    def compute() -> Any:
        return tf.graph_util.import_graph_def(part, return_elements=[f"{name}:0"], name="")

    return tf.compat.v1.wrap_function(compute, [])()[0]
