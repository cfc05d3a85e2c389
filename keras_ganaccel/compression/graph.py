"""A Keras 3 model as a flat list of steps, ready to be replayed with other layers.

The bridge, the preparation for quantization and the structured pruning all rebuild a model; each of
them replays this list and only decides what is put in the place of each operation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_ganaccel.errors import UnsupportedLayerError


@dataclass(frozen=True)
class Tensor:
    """Stands for one tensor of the graph inside the arguments of a step.

    Args:
        key: Its number, unique within a graph.
        shape: Its static shape, with None for what is open.
        dtype: Its dtype.
    """

    key: int
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Step:
    """One call of one layer or operation.

    Args:
        operation: The Keras 3 layer, or the operation behind ``x + y`` and ``keras.ops.*``.
        name: Unique per operation in the flattened graph; every call of a shared layer has it.
        args: Positional arguments, with `Tensor` in the place of tensors.
        kwargs: Keyword arguments, likewise.
        outputs: What the call returns, flat.
    """

    operation: Any
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Tensor, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors among the arguments, in the order in which they appear."""
        leaves = keras.tree.flatten((self.args, dict(self.kwargs)))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))

    @property
    def is_layer(self) -> bool:
        """False for operations such as ``x + y``."""
        return isinstance(self.operation, keras.layers.Layer)


@dataclass(frozen=True, eq=False)
class Graph:
    """A model without nesting.

    Args:
        name: The model's name.
        inputs: Its input tensors with the names of their input layers, in order.
        steps: Every call, in topological order.
        outputs: The structure that the model returns, with `Tensor` leaves.
        input_structure: The structure that the model takes, with `Tensor` leaves.
    """

    name: str
    inputs: tuple[tuple[str, Tensor], ...]
    steps: tuple[Step, ...]
    outputs: Any
    input_structure: Any

    def layers(self) -> dict[str, keras.layers.Layer]:
        """Every layer once, by its name in the flattened graph."""
        return {step.name: step.operation for step in self.steps if step.is_layer}

    def consumers(self) -> dict[int, list[Step]]:
        """The steps that read each tensor, by the tensor's key."""
        readers: dict[int, list[Step]] = {}
        for step in self.steps:
            for tensor in step.inputs:
                readers.setdefault(tensor.key, []).append(step)
        return readers

    def output_keys(self) -> set[int]:
        """The keys of the tensors that the model returns."""
        return {tensor.key for tensor in keras.tree.flatten(self.outputs)}


def flatten(model: keras.Model) -> Graph:
    """Lists the calls of a Functional or Sequential model, with nested models opened up.

    Args:
        model: A built Keras 3 model.

    Returns:
        Its graph. The model itself is only read.

    Raises:
        UnsupportedLayerError: The model is subclassed or not built.
    """
    model = _functional(model)
    flattener = _Flattener()
    inputs = tuple(flattener.new_tensor(tensor) for tensor in model.inputs)
    outputs = flattener.walk(model, inputs, (), None)
    by_id = {id(tensor): ref for tensor, ref in zip(model.inputs, inputs, strict=True)}
    structure = keras.tree.map_structure(lambda t: by_id[id(t)], model._inputs_struct)
    names = [tensor._keras_history.operation.name for tensor in model.inputs]
    return Graph(
        name=model.name,
        inputs=tuple(zip(names, inputs, strict=True)),
        steps=tuple(flattener.steps),
        outputs=outputs,
        input_structure=structure,
    )


def replay(
    graph: Graph, inputs: Mapping[int, Any], call: Callable[[Step, tuple, dict], Any]
) -> Any:
    """Runs through the graph, calling whatever takes the place of each operation.

    Args:
        graph: What `flatten` returned.
        inputs: The value of each input tensor, by its key.
        call: Takes a step, its positional and its keyword arguments with values in the place of
            `Tensor`, and returns the values of its outputs (a tensor or a structure of them).

    Returns:
        The model's outputs, in the model's structure.
    """
    values = dict(inputs)

    def fill(structure: Any) -> Any:
        return keras.tree.map_structure(
            lambda leaf: values[leaf.key] if isinstance(leaf, Tensor) else leaf, structure
        )

    for step in graph.steps:
        results = call(step, fill(step.args), fill(dict(step.kwargs)))
        for tensor, value in zip(step.outputs, keras.tree.flatten(results), strict=True):
            values[tensor.key] = value
    return fill(graph.outputs)


def _functional(model: Any) -> Any:
    """The Functional model behind a Sequential one; refuses what has no graph."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    if not hasattr(model, "_nodes_by_depth"):
        raise UnsupportedLayerError(
            "The model must be Functional or Sequential and built, so that its graph is known. "
            f"Received: {type(model).__name__}. Build it from keras.Input, or wrap its call."
        )
    return model


def _infers_by_default(operation: Any) -> bool:
    """Recognises a layer outside Keras whose `call` has ``training=False`` as a default."""
    parameter = inspect.signature(operation.call).parameters.get("training")
    return (
        parameter is not None
        and parameter.default is False
        and not type(operation).__module__.startswith("keras.")
    )


def _is_scaled_sum(operation: Any) -> bool:
    """Recognises Keras' own layer for the residuals of its InceptionResNetV2."""
    kind = type(operation)
    return kind.__name__ == "CustomScaleLayer" and kind.__module__.startswith("keras.")


@dataclass
class _Flattener:
    """Collects the steps of a model and of the models inside it."""

    steps: list[Step] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    expanded: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    count: int = 0

    def new_tensor(self, tensor: Any) -> Tensor:
        self.count += 1
        return Tensor(self.count, tuple(tensor.shape), str(tensor.dtype))

    def walk(
        self, model: Any, inputs: tuple[Tensor, ...], path: tuple[str, ...], training: bool | None
    ) -> Any:
        """Appends the steps of one call of `model` and returns the structure of its outputs."""
        known = {id(t): ref for t, ref in zip(model.inputs, inputs, strict=True)}

        def lookup(leaf: Any) -> Any:
            return known[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf

        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                args = keras.tree.map_structure(lookup, node.arguments.args)
                kwargs = keras.tree.map_structure(lookup, node.arguments.kwargs)
                if training is not None:
                    kwargs["training"] = training
                outputs = self._call(node, args, kwargs, path, training)
                for tensor, ref in zip(node.outputs, outputs, strict=True):
                    known[id(tensor)] = ref
        return keras.tree.map_structure(lookup, model._outputs_struct)

    def _call(
        self, node: Any, args: tuple, kwargs: dict, path: tuple[str, ...], forced: bool | None
    ) -> list[Tensor]:
        operation = node.operation
        if isinstance(operation, keras.Model):
            leaves = keras.tree.flatten((args, kwargs))
            inputs = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))
            inner = _functional(operation)
            outputs = self.walk(inner, inputs, (*path, operation.name), kwargs.get("training"))
            return keras.tree.flatten(outputs)
        # Some layers have `training=True` as a default; only False is somebody's decision, unless
        # a layer that somebody wrote has it as a default.
        if (
            kwargs.get("training")
            or not getattr(operation, "_call_has_training_arg", False)
            or (forced is None and _infers_by_default(operation))
        ):
            kwargs.pop("training", None)
        outputs = tuple(self.new_tensor(tensor) for tensor in node.outputs)
        if _is_scaled_sum(operation):
            self._scaled_sum(operation, args[0], outputs, path)
            return list(outputs)
        self.steps.append(Step(operation, self._name(operation, path), args, kwargs, outputs))
        return list(outputs)

    def _scaled_sum(
        self, operation: Any, pair: Any, outputs: tuple[Tensor, ...], path: tuple[str, ...]
    ) -> None:
        """Puts the two layers in the place of ``x[0] + scale * x[1]`` that compute it."""
        plain, scaled = pair
        if id(operation) not in self.expanded:
            rescaling = keras.layers.Rescaling(operation.scale, name=f"{operation.name}_scale")
            add = keras.layers.Add(name=operation.name)
            rescaling.build(scaled.shape)
            add.build([plain.shape, scaled.shape])
            self.expanded[id(operation)] = rescaling, add
        rescaling, add = self.expanded[id(operation)]
        self.count += 1
        between = Tensor(self.count, scaled.shape, scaled.dtype)
        self.steps.append(Step(rescaling, self._name(rescaling, path), (scaled,), {}, (between,)))
        self.steps.append(Step(add, self._name(add, path), ([plain, between],), {}, outputs))

    def _name(self, operation: Any, path: tuple[str, ...]) -> str:
        """The operation's own name, or with those of the models around it where that is taken."""
        if id(operation) in self.names:
            return self.names[id(operation)]
        name = operation.name
        for prefix in reversed(path):
            if name not in self.taken:
                break
            name = f"{prefix}_{name}"
        base, number = name, 1
        while name in self.taken:
            name, number = f"{base}_{number}", number + 1
        self.taken.add(name)
        self.names[id(operation)] = name
        return name
