"""Finds the constants that a TFLite file's kernels come from, and the weights that are none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_ganaccel.export.soundness import called_subgraphs
from keras_ganaccel.export.tflite_schema import (
    constant,
    dtype_name,
    operator_name,
    quantization_of,
    shape_of,
    text,
)

KERNEL_SLOT = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "TRANSPOSE_CONV": 1,
    "CONV_3D": 1,
    "CONV_3D_TRANSPOSE": 1,
    "BATCH_MATMUL": 1,
}
BIAS_SLOT = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 3,
    "CONV_3D": 2,
    "CONV_3D_TRANSPOSE": 3,
}
# Where embeddings are.
LOOK_UP_SLOT = {"GATHER": 0, "EMBEDDING_LOOKUP": 1}
# Cells whose matrices each apply once per sample and time step.
RECURRENT = frozenset({
    "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "LSTM", "RNN", "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN",
})  # fmt: skip
# These may multiply two things that were computed, as attention does.
_PRODUCTS = ("BATCH_MATMUL", "FULLY_CONNECTED")
# What keeps a kernel's values, and so zeros and distinct ones.
_REARRANGING = (
    "CAST", "DENSIFY", "DEQUANTIZE", "EXPAND_DIMS", "RESHAPE", "SQUEEZE", "TRANSPOSE",
)  # fmt: skip
_LOOPS = ("STABLEHLO_WHILE", "WHILE")
_INDEX_TYPES = ("int32", "int64", "bool", "string")

# A tensor: the number of its subgraph, and its own there.
Place = tuple[int, int]


def find_kernels(model: Any) -> dict[Place, str]:
    """Finds every constant kernel, through what only rearranges it and into called subgraphs.

    Returns:
        By the place of the constant, the operator that uses it first.

    Raises:
        ValueError: If a kernel is computed from constants, or changes its meaning on the way:
            its values cannot be counted there.
    """
    search = _Search(model)
    found: dict[Place, str] = {}
    for place, name in (*search.kernels(), *search.looked_up()):
        found.setdefault(place, name)
    return found


def recurrent_kernels(model: Any, subgraph: Any, operator: Any) -> list[int]:
    """Returns the matrices among a recurrent operator's weights."""
    return [
        int(index)
        for index in operator.inputs[1:]
        if index >= 0
        and len(shape_of(subgraph.tensors[index])) == 2
        and constant(model, subgraph.tensors[index]) is not None
    ]


def parameter_count(model: Any, kernels: dict[Place, str]) -> int:
    """Counts the elements of all weights: kernels, biases and other real-valued constants.

    Shapes, axes, paddings and other index arguments are no parameters.
    """
    biases = {place for place, slot, name in _uses(model) if BIAS_SLOT.get(name) == slot}
    return sum(
        _elements(model, place)
        for place in _constants(model)
        if _is_real(model, place) or place in kernels or place in biases
    )


def further_weights(model: Any, kernels: dict[Place, str]) -> int:
    """Counts the elements of constant matrices that are no kernel: factors, positions, masks."""
    return sum(
        _elements(model, place)
        for place in _constants(model)
        if place not in kernels and _is_real(model, place) and _is_matrix(model, place)
    )


class _Search:
    """Follows tensors back to where they come from."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._producers = [
            {int(index): op for op in graph.operators or [] for index in op.outputs}
            for graph in model.subgraphs
        ]
        self._varying = [_varying(graph) for graph in model.subgraphs]
        self._callers: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        for number, graph in enumerate(model.subgraphs):
            for operator in graph.operators or []:
                for called in called_subgraphs(operator):
                    self._callers[called].append((number, operator))

    def kernels(self) -> Iterator[tuple[Place, str]]:
        """Yields the place of each constant kernel with the operator that uses it."""
        for number, graph in enumerate(self._model.subgraphs):
            for operator in graph.operators or []:
                name = operator_name(self._model, operator)
                for index in self._operands(graph, operator, name):
                    for place in self._origins(number, index):
                        if self._tensor_is_constant(place):
                            yield place, name
                        elif name not in _PRODUCTS or place[1] not in self._varying[place[0]]:
                            raise ValueError(self._uncountable(name, place))

    def looked_up(self) -> Iterator[tuple[Place, str]]:
        """Yields the place of each constant matrix that rows are looked up in."""
        for number, graph in enumerate(self._model.subgraphs):
            for operator in graph.operators or []:
                name = operator_name(self._model, operator)
                if name not in LOOK_UP_SLOT:
                    continue
                index = int(operator.inputs[LOOK_UP_SLOT[name]])
                self._check_meaning(number, operator, index)
                for place in self._origins(number, index):
                    if (
                        self._tensor_is_constant(place)
                        and _is_real(self._model, place)
                        and len(shape_of(_tensor(self._model, place))) == 2
                    ):
                        yield place, name

    def _operands(self, graph: Any, operator: Any, name: str) -> list[int]:
        if name in RECURRENT:
            return recurrent_kernels(self._model, graph, operator)
        if name == "BATCH_MATMUL":
            return [int(index) for index in operator.inputs[:2]]
        return [int(operator.inputs[KERNEL_SLOT[name]])] if name in KERNEL_SLOT else []

    def _origins(self, number: int, index: int) -> list[Place]:
        """Returns the tensors whose values a tensor has, but for their order."""
        waiting, seen, found = [(number, index)], set(), []
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            operator = self._producers[place[0]].get(place[1])
            if operator is not None and self._rearranges(operator):
                source = int(operator.inputs[0])
                self._check_meaning(place[0], operator, source)
                waiting.append((place[0], source))
                continue
            given = self._handed_in(*place) if operator is None else []
            waiting += given
            found += [] if given else [place]
        return found

    def _handed_in(self, number: int, index: int) -> list[Place]:
        """Returns what callers give for an input of a subgraph that stays what it is there."""
        inputs = list(map(int, self._model.subgraphs[number].inputs))
        if index not in inputs:
            return []
        slot, given = inputs.index(index), []
        for caller, operator in self._callers[number]:
            name = operator_name(self._model, operator)
            if name in _LOOPS:
                options = operator.builtinOptions or operator.builtinOptions2
                body = self._model.subgraphs[options.bodySubgraphIndex]
                if int(body.outputs[slot]) != int(body.inputs[slot]):
                    return []
            # The first is the condition.
            operands = operator.inputs[1:] if name == "IF" else operator.inputs
            given.append((caller, int(operands[slot])))
        return given

    def _rearranges(self, operator: Any) -> bool:
        return operator_name(self._model, operator) in _REARRANGING

    def _check_meaning(self, number: int, operator: Any, source: int) -> None:
        """Raises ValueError where stored integers come to mean other numbers on their way."""
        name = operator_name(self._model, operator)
        tensors = self._model.subgraphs[number].tensors
        before = quantization_of(tensors[source])
        after = quantization_of(tensors[int(operator.outputs[0])])
        if name == "DEQUANTIZE" or (name == "EMBEDDING_LOOKUP" and after is None):
            return
        same = (before is None) == (after is None) and (
            before is None or after is None or _same_zeros(before[1], after[1])
        )
        if not same or (name == "CAST" and before is not None):
            raise ValueError(
                f"{name} gives the values of {text(tensors[source].name)!r} another meaning"
            )

    def _tensor_is_constant(self, place: Place) -> bool:
        return constant(self._model, _tensor(self._model, place)) is not None

    def _uncountable(self, name: str, place: Place) -> str:
        operator = self._producers[place[0]].get(place[1])
        by = f" by {operator_name(self._model, operator)}" if operator is not None else ""
        return f"the kernel of {name} is computed{by}, where it cannot be counted"


def _same_zeros(before: np.ndarray, after: np.ndarray) -> bool:
    return set(before.tolist()) == set(after.tolist())


def _varying(graph: Any) -> set[int]:
    """Returns the tensors that are computed from the graph's inputs, and not from constants."""
    varying = set(map(int, [] if graph.inputs is None else graph.inputs))
    # Each tensor is made before it is used.
    for operator in graph.operators or []:
        if varying & set(map(int, operator.inputs)):
            varying |= set(map(int, operator.outputs))
    return varying


def _uses(model: Any) -> Iterator[tuple[Place, int, str]]:
    """Yields each use of a tensor: its place, the operator's slot and name."""
    for number, graph in enumerate(model.subgraphs):
        for operator in graph.operators or []:
            name = operator_name(model, operator)
            for slot, index in enumerate(operator.inputs):
                if index >= 0:
                    yield (number, int(index)), slot, name
        for index in [] if graph.outputs is None else graph.outputs:
            yield (number, int(index)), -1, ""


def _constants(model: Any) -> set[Place]:
    """Returns the places of all constants that something uses."""
    places = {place for place, _, _ in _uses(model)}
    return {place for place in places if constant(model, _tensor(model, place)) is not None}


def _tensor(model: Any, place: Place) -> Any:
    return model.subgraphs[place[0]].tensors[place[1]]


def _elements(model: Any, place: Place) -> int:
    return int(np.prod(shape_of(_tensor(model, place)), dtype=np.int64))


def _is_real(model: Any, place: Place) -> bool:
    return dtype_name(_tensor(model, place)) not in _INDEX_TYPES


def _is_matrix(model: Any, place: Place) -> bool:
    return sum(size > 1 for size in shape_of(_tensor(model, place))) > 1
