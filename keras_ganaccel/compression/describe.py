"""Says for every layer which technique applies to it, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_ganaccel.compression.bridge import (
    UncarriedLayerError,
    translated_layers,
    uncarried_layers,
)
from keras_ganaccel.compression.channels import Channels, is_producer
from keras_ganaccel.compression.graph import Graph, flatten
from keras_ganaccel.compression.kernels import Kernel, kernel_table
from keras_ganaccel.compression.prepare import Prepared, prepare
from keras_ganaccel.compression.quantize import QuantizedModel, quantization_rules
from keras_ganaccel.compression.quantizers import Rule

YES = "yes"
_FINE_TUNED = ("prune", "cluster", "quantize", "structured")


def describe(
    model: keras.Model,
    *,
    pruned: Mapping[str, float] | None = None,
    clustered: Mapping[str, int] | None = None,
    quantized: QuantizedModel | None = None,
) -> tuple[Mapping[str, Any], ...]:
    """Makes the table of layers.

    Args:
        model: A built Keras 3 model in float32.
        pruned: The share of zeros planned for each layer.
        clustered: The number of values planned for each layer.
        quantized: What quantization-aware training made of it, which saves finding out again.

    Returns:
        One row per layer and operation of the flattened graph: ``layer``, ``kind``, ``parameters``,
        and for ``prune``, ``cluster``, ``quantize`` and ``structured`` either ``"yes"`` (with the
        plan) or the reason why not. Where the bridge does not carry a layer over, no technique
        applies that fine-tunes: the layer's row says why, the others name it.
    """
    graph = flatten(model)
    table: dict[str, list[Kernel]] = {}
    for kernel in kernel_table(model):
        table.setdefault(kernel.layer, []).append(kernel)
    refused = uncarried_layers(model) if quantized is None else {}
    if quantized is not None:
        quantization = _quantization(quantized.prepared, quantized.rules)
    elif refused:
        quantization = {}
    else:
        prepared = prepare(model)
        quantization = _quantization(
            prepared, quantization_rules(translated_layers(prepared.model))
        )
    structured = _structured(graph)
    rows = {}
    for step in graph.steps:
        name = step.name
        rows[name] = {
            "layer": name,
            "kind": type(step.operation).__name__,
            "parameters": step.operation.count_params() if step.is_layer else 0,
            "prune": _planned(table.get(name, []), pruned, "stays dense"),
            "cluster": _planned(table.get(name, []), clustered, "has few distinct values"),
            "quantize": quantization.get(name, YES),
            "structured": structured.get(name, "makes no channels of its own"),
        }
        if refused:
            rows[name] |= dict.fromkeys(_FINE_TUNED, _why_not(name, refused))
    return tuple(rows.values())


def achieved(
    rows: tuple[Mapping[str, Any], ...], model: keras.Model
) -> tuple[Mapping[str, Any], ...]:
    """Adds to each row what a compressed model has: sparsity and distinct values.

    Args:
        rows: What `describe` returned for the original.
        model: The compressed Keras 3 model.

    Returns:
        The rows with ``sparsity`` and ``distinct_values``, None for layers without a kernel.
    """
    values: dict[str, np.ndarray] = {}
    for kernel in kernel_table(model):
        flat = kernel.value.reshape(-1)
        before = values.get(kernel.layer, flat[:0])
        values[kernel.layer] = np.concatenate([before, flat])
    return tuple(
        {
            **row,
            "sparsity": float((values[row["layer"]] == 0).mean()),
            "distinct_values": len(np.unique(values[row["layer"]])),
        }
        if row["layer"] in values
        else {**row, "sparsity": None, "distinct_values": None}
        for row in rows
    )


def _why_not(name: str, refused: Mapping[str, UncarriedLayerError]) -> str:
    """Why no technique that fine-tunes applies to a layer of a model that is not carried over."""
    if name in refused:
        return f"cannot be carried over to tf_keras: {refused[name].reason}"
    return f"the layer {next(iter(refused))!r} of this model cannot be carried over to tf_keras"


def _planned(kernels: list[Kernel], plan: Mapping[str, float] | None, otherwise: str) -> str:
    """What becomes of the kernels of one layer."""
    if not kernels:
        return "has no kernel"
    if all(kernel.refusal for kernel in kernels):
        return kernels[0].refusal
    if plan is None:
        return YES
    name = kernels[0].layer
    return f"{YES}: {plan[name]:.4g}" if name in plan else otherwise


def _quantization(prepared: Prepared, rules: Mapping[str, Rule]) -> dict[str, str]:
    """How each step is quantized: by itself, within another one, or not at all."""
    first: dict[str, str] = {}
    found = {}
    for name, home in prepared.homes.items():
        if rules[home].reason:
            found[name] = f"stays float32: {rules[home].reason}"
        elif home in first:
            found[name] = f"{YES}: within {first[home]}"
        else:
            found[name] = YES
        first.setdefault(home, name)
    return found


def _structured(graph: Graph) -> dict[str, str]:
    """Whether the channels that a layer makes can be removed."""
    channels = Channels(graph)
    found = {}
    for step in graph.steps:
        if is_producer(step):
            free = [channels.removable(group) for group in channels.groups(step.outputs[0])]
            found[step.name] = YES if all(free) else "its channels are the model's outputs or fixed"
    return found
