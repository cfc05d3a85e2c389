"""Names in an exported file that say what a tensor is and depend on nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.export.kernel_search import BIAS_SLOT, KERNEL_SLOT
from keras_ganaccel.export.tflite_schema import operator_name

SIGNATURE = "serving_default"

_AUTOMATIC = re.compile(r"^(keras_tensor|input_layer|input)(_?\d+)?$")
_OUTPUT_NAMES = {
    "logits": "logits",
    "binary_logit": "logits",
    "softmax": "probabilities",
    "binary_probability": "probabilities",
    "samples": "samples",
}


def input_names(names: Sequence[str]) -> list[str]:
    """Keeps the names that people gave; automatic ones become ``input`` or ``input_0`` ...

    Example:
        >>> input_names(["keras_tensor_17"]), input_names(["latent", "label"])
        (['input'], ['latent', 'label'])
    """
    clean = [re.sub(r"\W", "_", name) for name in names]
    if len(set(clean)) < len(clean) or any(_AUTOMATIC.match(name) for name in clean):
        return ["input"] if len(clean) == 1 else [f"input_{i}" for i in range(len(clean))]
    return clean


def output_names(kind: str, count: int) -> list[str]:
    """Names outputs by what they mean: ``logits``, ``probabilities`` or ``samples``."""
    name = _OUTPUT_NAMES[kind]
    return [name] if count == 1 else [f"{name}_{i}" for i in range(count)]


def name_tensors(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Renames every tensor of a TFLite model after the operator it belongs to.

    Args:
        model: The schema's ``ModelT``, changed in place.
        inputs: The names of the first subgraph's inputs, in order.
        outputs: The names of its outputs, in order.
    """
    for number, subgraph in enumerate(model.subgraphs):
        named: dict[int, str] = {}
        if number == 0:
            named.update(zip(map(int, subgraph.inputs), inputs, strict=True))
            for index, name in zip(map(int, subgraph.outputs), outputs, strict=True):
                named.setdefault(index, name)
        for position, operator in enumerate(subgraph.operators or []):
            base = f"{operator_name(model, operator).lower()}_{position}"
            for slot, index in enumerate(operator.inputs):
                if index >= 0:
                    named.setdefault(int(index), f"{base}/{_role(model, operator, slot)}")
            for slot, index in enumerate(operator.outputs):
                named.setdefault(int(index), base if slot == 0 else f"{base}:{slot}")
        for index, tensor in enumerate(subgraph.tensors):
            tensor.name = named.get(index, f"unused_{index}")
        subgraph.name = "main" if number == 0 else f"subgraph_{number}"


def set_signature(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Gives a TFLite model the one signature ``serving_default`` with these names."""
    main = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs = _tensor_map(inputs, main.inputs)
    signature.outputs = _tensor_map(outputs, main.outputs)
    model.signatureDefs = [signature]


def _role(model: Any, operator: Any, slot: int) -> str:
    name = operator_name(model, operator)
    if slot == KERNEL_SLOT.get(name):
        return "kernel"
    return "bias" if slot == BIAS_SLOT.get(name) else f"input_{slot}"


def _tensor_map(names: Sequence[str], indices: Sequence[int]) -> list[Any]:
    entries = []
    for name, index in zip(names, indices, strict=True):
        entry = schema.TensorMapT()
        entry.name = name
        entry.tensorIndex = int(index)
        entries.append(entry)
    return entries
