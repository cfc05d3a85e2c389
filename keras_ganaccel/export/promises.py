"""What was promised of an artefact, checked against what its file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.export.inspect import FileFacts, TensorFacts
from keras_ganaccel.export.kernels import KernelFacts, sparsity_of

KNOWN = ("sparsity", "number_of_clusters", "int8")

# Promised shares are met up to rounding: a pruning mask cuts a whole number of weights.
SPARSITY_TOLERANCE = 0.005
# Positions and masks are few beside the kernels; what multiplies in their stead is not.
_MOST_FURTHER_WEIGHTS = 0.05

_INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "bool")
_NAMED = 3


def broken_promises(
    kernels: Sequence[KernelFacts],
    facts: FileFacts | None,
    promises: Mapping[str, Any],
    further_weights: int = 0,
) -> list[str]:
    """Lists the promises that a file does not keep, each naming the tensor to blame.

    Args:
        kernels: What the file's kernels hold.
        facts: All that was read from a TFLite file; None for another artefact.
        promises: ``"sparsity"``: the least share of zeros among all kernel elements;
            ``"number_of_clusters"``: the most distinct values in any output channel of a
            kernel (a folded batch norm or an int8 scale spreads the clusters of the channels) but
            depthwise ones, which are never clustered;
            ``"int8"``: whether every input, output and activation is integer. None and False
            promise nothing.
        further_weights: How many weights are in no kernel.

    Returns:
        One sentence per broken promise; empty if all are kept.

    Raises:
        InvalidInputError: If a promise is not known.
    """
    for name in promises:
        if name not in KNOWN:
            raise InvalidInputError(
                f"`promises` knows no {name!r}. Received: {dict(promises)}. " + nearest(name, KNOWN)
            )
    problems: list[str] = []
    counted = promises.get("sparsity") is not None or promises.get("number_of_clusters") is not None
    if counted and are_many(further_weights, kernels):
        problems.append(
            f"{further_weights} weights are in no kernel, where zeros and clusters do not count"
        )
    if promises.get("sparsity") is not None:
        problems += _sparsity_problems(kernels, float(promises["sparsity"]))
    if promises.get("number_of_clusters") is not None:
        problems += _cluster_problems(kernels, int(promises["number_of_clusters"]))
    if promises.get("int8"):
        problems += integer_problems(facts)
    return problems


def are_many(further_weights: int, kernels: Sequence[KernelFacts]) -> bool:
    """Whether so many weights are in no kernel that what is counted in kernels tells little."""
    elements = sum(kernel.elements for kernel in kernels)
    return further_weights > _MOST_FURTHER_WEIGHTS * elements


def _sparsity_problems(kernels: Sequence[KernelFacts], promised: float) -> list[str]:
    found = sparsity_of(kernels)
    if found >= promised - SPARSITY_TOLERANCE:
        return []
    # Those that hold most of the missing zeros come first.
    missing = sorted(kernels, key=lambda k: k.zeros - promised * k.elements)[:_NAMED]
    named = ", ".join(f"{kernel.name} {kernel.sparsity:.1%}" for kernel in missing)
    return [f"sparsity is {found:.1%}, not {promised:.1%} (densest: {named})"]


def _cluster_problems(kernels: Sequence[KernelFacts], promised: int) -> list[str]:
    return [
        f"{kernel.name} has {kernel.distinct_per_channel} distinct values in an output channel, "
        f"not at most {promised}"
        for kernel in kernels
        if kernel.distinct_per_channel > promised and not kernel.is_depthwise
    ]


def integer_problems(facts: FileFacts | None) -> list[str]:
    """Lists what keeps a file from being full int8, a sentence each; empty if it is."""
    if facts is None:
        return ["it is no TFLite file, and so not full int8"]
    problems = [
        f"{role} {tensor.name} is {tensor.dtype}, not int8 or uint8"
        for role, tensors in (("input", facts.inputs), ("output", facts.outputs))
        for tensor in tensors
        if not _is_integer_face(tensor)
    ]
    ends = {tensor.name for tensor in (*facts.inputs, *facts.outputs)}
    inner = [t for t in facts.tensors if t.dtype not in _INTEGERS and t.name not in ends]
    problems += [f"tensor {tensor.name} is {tensor.dtype}" for tensor in inner[:_NAMED]]
    return problems


def _is_integer_face(tensor: TensorFacts) -> bool:
    """Quantized bytes, or plain integers such as a generator's labels."""
    return tensor.dtype in ("int8", "uint8") or (
        tensor.dtype in ("int32", "int64") and not tensor.scales
    )
