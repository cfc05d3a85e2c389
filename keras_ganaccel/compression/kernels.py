"""What counts as a kernel, and which kernels are pruned and clustered.

Dry run, training, promises and reports all count from this one table. An exported file is recounted
from its own bytes, where the same weights are constants of convolutions, matrix products and
look-ups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_ganaccel.clones import sublayers
from keras_ganaccel.compression.bridge.weights import weight_pairs
from keras_ganaccel.compression.graph import flatten

_NAMES = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel", "embeddings")
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@dataclass(frozen=True)
class Kernel:
    """One tensor that a layer multiplies its inputs with, or looks them up in.

    Args:
        layer: The layer's name in the flattened graph.
        name: Unique within the model: the layer's name and the way to the variable inside it.
        variable: The Keras 3 variable.
        refusal: Why it is neither pruned nor clustered; empty for those that are.
        depthwise: Whether it is a depthwise convolution's.
    """

    layer: str
    name: str
    variable: keras.Variable
    refusal: str = ""
    depthwise: bool = False

    @property
    def value(self) -> np.ndarray:
        """Its present values."""
        return np.asarray(self.variable.value)


def kernel_table(model: keras.Model) -> tuple[Kernel, ...]:
    """Lists every kernel of a model once, inner ones of attention and recurrent layers included.

    Depthwise kernels are neither pruned nor clustered: they are small, and it costs accuracy.
    Those of frozen layers stay as they are, and so do the matrices of layers outside Keras that are
    called otherwise: they may be multiplied with, so that a file counts them, or be anything else.

    Args:
        model: A built Keras 3 model.

    Returns:
        The kernels, in the order of the flattened graph.

    Example:
        >>> import keras
        >>> image = keras.Input((8, 8, 1))
        >>> x = keras.layers.SeparableConv2D(4, 3, name="separable")(image)
        >>> [(k.name, k.refusal) for k in kernel_table(keras.Model(image, x))]
        [('separable/depthwise_kernel', 'depthwise kernels stay as they are'), ('separable/pointwise_kernel', '')]
    """  # noqa: E501
    table = []
    seen: set[int] = set()
    for name, layer in flatten(model).layers().items():
        moving = trained_ids(layer)
        for owner, variable in _variables(layer):
            known = variable.name in _NAMES
            if not (known or _is_own_matrix(owner, variable)) or id(variable) in seen:
                continue
            seen.add(id(variable))
            depthwise = variable.name == "depthwise_kernel" or isinstance(owner, _DEPTHWISE)
            refusal = "depthwise kernels stay as they are" if depthwise else ""
            if not known:
                refusal = f"the matrix {variable.name!r} of a layer outside Keras stays as it is"
            if id(variable) not in moving:
                refusal = "it is frozen (`trainable=False`)"
            inner = variable.path.rpartition(f"{layer.name}/")[2]
            table.append(Kernel(name, f"{name}/{inner}", variable, refusal, depthwise))
    return tuple(table)


def _is_own_matrix(layer: keras.layers.Layer, variable: keras.Variable) -> bool:
    own = not type(layer).__module__.startswith("keras.") and len(variable.shape) > 1
    return own and variable.name != "bias"


def workable(table: Sequence[Kernel]) -> dict[str, list[Kernel]]:
    """The kernels that are pruned and clustered, by layer."""
    found: dict[str, list[Kernel]] = {}
    for kernel in table:
        if not kernel.refusal:
            found.setdefault(kernel.layer, []).append(kernel)
    return found


def total_size(table: Sequence[Kernel]) -> int:
    """The number of elements of all kernels."""
    return sum(kernel.value.size for kernel in table)


def sparsity_of(model: keras.Model) -> float:
    """The share of zeros among all kernel elements of a Keras 3 model, in [0, 1]."""
    table = kernel_table(model)
    size = total_size(table)
    return 1.0 - sum(int(np.count_nonzero(k.value)) for k in table) / size if size else 0.0


def trained_ids(layer: keras.layers.Layer) -> set[int]:
    """The ids of the variables that training may move: neither they nor a layer around is frozen.

    Args:
        layer: A built Keras 3 layer.
    """
    if not layer.trainable:
        return set()
    own = {id(v) for v in layer._trainable_variables if v.trainable}
    return own.union(*(trained_ids(inner) for inner in layer._layers))


def has_frozen_weights(layer: keras.layers.Layer) -> bool:
    """Whether a layer or anything inside it has weights that training must not move."""
    return any(
        (not inner.trainable and inner.weights)
        or any(not variable.trainable for variable in inner._trainable_variables)
        for inner in sublayers(layer)
    )


def twin_variables(model: keras.Model, twin: Any) -> Mapping[int, Any]:
    """Finds the tf_keras variable for each variable of a Keras 3 model.

    Args:
        model: The Keras 3 model.
        twin: What `to_tf_keras` made of it.

    Returns:
        The variables by the id of the Keras 3 one.
    """
    layers = {layer.name: layer for layer in twin.layers}
    return {
        id(mine): other
        for name, layer in flatten(model).layers().items()
        for mine, other in weight_pairs(layer, layers[name], name)
    }


def trained_variables(model: keras.Model, twin: Any) -> list[Any]:
    """The variables of a tf_keras twin that training may move, as the Keras 3 model says.

    TF-MOT's wrappers list the kernels of frozen layers among their trainable weights, and tf_keras
    knows no single frozen weights.

    Args:
        model: The Keras 3 model.
        twin: What `to_tf_keras` made of it.
    """
    moving: set[int] = set()
    for layer in flatten(model).layers().values():
        moving |= trained_ids(layer)
    return [other for mine, other in twin_variables(model, twin).items() if mine in moving]


def _variables(layer: keras.layers.Layer) -> Iterator[tuple[keras.layers.Layer, keras.Variable]]:
    for owner in sublayers(layer):
        for variable in (*owner._trainable_variables, *owner._non_trainable_variables):
            yield owner, variable
