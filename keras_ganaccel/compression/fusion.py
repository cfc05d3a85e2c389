"""Decides which layers of a model become one integer operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_ganaccel.compression.graph import Graph, Step

WEIGHTED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
)
AFFINE = (
    keras.layers.BatchNormalization,
    keras.layers.Normalization,
    keras.layers.Rescaling,
)
# TFLite computes these within the operation before them.
FUSED_ACTIVATIONS = (keras.activations.relu, keras.activations.relu6)


@dataclass
class Fusion:
    """A step and what it takes in.

    Args:
        leader: A weighted layer, or one that scales and shifts.
        norm: The batch norm right after a weighted layer.
        activation: The activation after that; None where there is none to fuse.
        absorbed: The steps that go up in it.
    """

    leader: Step
    norm: Step | None = None
    activation: Callable[..., Any] | None = None
    absorbed: list[Step] = field(default_factory=list)


def find_fusions(graph: Graph) -> list[Fusion]:
    """Finds the layers that take in the batch norm and the activation that follow them.

    A layer that is called more than once is left alone: its callers may differ in what follows.

    Args:
        graph: A flattened model.

    Returns:
        The fusions in the order of the graph, those of single layers included.
    """
    calls: dict[str, int] = {}
    for step in graph.steps:
        calls[step.name] = calls.get(step.name, 0) + 1
    consumers, outputs = graph.consumers(), graph.output_keys()

    def following(step: Step) -> Step | None:
        """The only reader of the only output of a step."""
        readers = consumers.get(step.outputs[0].key, [])
        if len(step.outputs) != 1 or step.outputs[0].key in outputs or len(readers) != 1:
            return None
        return readers[0] if len(readers[0].inputs) == 1 and calls[readers[0].name] == 1 else None

    fusions: list[Fusion] = []
    taken: set[int] = set()
    for step in graph.steps:
        if (
            id(step) in taken
            or calls[step.name] > 1
            or not isinstance(step.operation, (*WEIGHTED, *AFFINE))
        ):
            continue
        fusion = Fusion(step)
        fusions.append(fusion)
        own = getattr(step.operation, "activation", keras.activations.linear)
        if own is not keras.activations.linear:
            continue
        last = step
        after = following(last)
        if isinstance(step.operation, WEIGHTED) and after and _normalizes_channels(after):
            fusion.norm = last = after
            fusion.absorbed.append(after)
            after = following(last)
        if after and (function := activation_of(after)) in FUSED_ACTIVATIONS:
            fusion.activation = function
            fusion.absorbed.append(after)
        taken |= {id(absorbed) for absorbed in fusion.absorbed}
    return fusions


def activation_of(step: Step) -> Callable[..., Any] | None:
    """The function of `keras.activations` that a step computes and nothing else, or None."""
    operation = step.operation
    if isinstance(operation, keras.layers.Activation):
        return operation.activation
    if isinstance(operation, keras.layers.ReLU):
        if operation.negative_slope or operation.threshold:
            return None
        return {None: keras.activations.relu, 6.0: keras.activations.relu6}.get(operation.max_value)
    if not step.is_layer:
        return {"Relu": keras.activations.relu, "Relu6": keras.activations.relu6}.get(
            type(operation).__name__
        )
    return None


def _normalizes_channels(step: Step) -> bool:
    """Whether a step is a batch norm over the last axis."""
    layer = step.operation
    rank = len(step.outputs[0].shape)
    return isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, rank - 1)
