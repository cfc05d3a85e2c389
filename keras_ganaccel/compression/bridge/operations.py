"""Operation nodes: ``x + y``, ``x * 2`` and the functions of `keras.ops`.

Where tf_keras has a layer that computes the same, that layer is used, since pruning and
quantization know it. All other operations run as they are: on the TensorFlow backend a Keras 3
operation works on TensorFlow's tensors, so a small tf_keras layer can call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tf_keras

from keras_ganaccel.compression.bridge.registry import UncarriedLayerError
from keras_ganaccel.compression.bridge.untracked import Untracked
from keras_ganaccel.compression.graph import Step, Tensor
from keras_ganaccel.errors import reason_of

_MERGES = {
    "Add": tf_keras.layers.Add,
    "Subtract": tf_keras.layers.Subtract,
    "Multiply": tf_keras.layers.Multiply,
    "Maximum": tf_keras.layers.Maximum,
    "Minimum": tf_keras.layers.Minimum,
}
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh"}


@tf_keras.utils.register_keras_serializable(package="keras_ganaccel")
class OperationLayer(tf_keras.layers.Layer):
    """Calls a Keras 3 operation inside a tf_keras model.

    Args:
        operation: The serialized operation, as `keras.saving.serialize_keras_object` returns it.
        template: Its arguments ``(args, kwargs)``, with `Tensor` in the place of the inputs.
        **kwargs: Those of every tf_keras layer.

    Example:
        >>> import keras, tensorflow as tf
        >>> from keras_ganaccel.compression.graph import Tensor
        >>> absolute = keras.saving.serialize_keras_object(keras.src.ops.numpy.Absolute())
        >>> layer = OperationLayer(absolute, ((Tensor(0, (None, 1), "float32"),), {}))
        >>> layer(tf.constant([[-2.0]])).numpy().item()
        2.0
    """

    def __init__(self, operation: dict[str, Any], template: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._config = Untracked((operation, template))
        self._operation = Untracked(keras.saving.deserialize_keras_object(operation))

    @property
    def operation_name(self) -> str:
        """The class name of the operation, such as ``"Mean"``."""
        return type(self._operation.value).__name__

    def call(self, inputs: Any) -> Any:
        """Computes the operation on one tensor or a list of them."""
        values = iter(inputs if isinstance(inputs, (list, tuple)) else [inputs])
        args, kwargs = keras.tree.map_structure(
            lambda leaf: next(values) if isinstance(leaf, Tensor) else leaf,
            self._config.value[1],
        )
        return self._operation.value(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer is made from again."""
        operation, template = self._config.value
        return {**super().get_config(), "operation": operation, "template": template}


def translate_operation(step: Step) -> Any:
    """Finds what takes the place of an operation node.

    Args:
        step: A step whose operation is not a layer.

    Returns:
        The tf_keras layer; it takes what `tensors_among` picks out of the arguments.

    Raises:
        UncarriedLayerError: The operation cannot be serialized, such as a custom one.
    """
    layer = _known_layer(step)
    if layer is None:
        try:
            operation = keras.saving.serialize_keras_object(step.operation)
            layer = OperationLayer(operation, (step.args, dict(step.kwargs)), name=step.name)
        except (TypeError, ValueError, ImportError, NotImplementedError) as error:
            reason = f"it cannot be serialized ({reason_of(error)})"
            advice = "Wrap it in a registered Keras layer and register a translator."
            kind = type(step.operation).__name__
            raise UncarriedLayerError(step.name, kind, reason, advice) from error
    return layer


def tensors_among(step: Step, args: tuple, kwargs: dict) -> Any:
    """Picks the values that stand for tensors out of the arguments of an operation.

    Args:
        step: The step, which knows where the tensors are.
        args: Its positional arguments, filled in.
        kwargs: Its keyword arguments, filled in.

    Returns:
        One tensor, or a list of them.
    """
    marks = keras.tree.flatten((step.args, dict(step.kwargs)))
    leaves = keras.tree.flatten((args, kwargs))
    pairs = zip(marks, leaves, strict=True)
    tensors = [leaf for mark, leaf in pairs if isinstance(mark, Tensor)]
    return tensors[0] if len(tensors) == 1 else tensors


def _known_layer(step: Step) -> Any:
    """The tf_keras layer that computes the same, if there is one."""
    kind, name, operation = type(step.operation).__name__, step.name, step.operation
    tensors: Sequence[Tensor] = step.inputs
    same_rank = len({len(tensor.shape) for tensor in tensors}) == 1
    distinct = len({tensor.key for tensor in tensors}) == len(tensors)
    if kind in _MERGES and len(tensors) == 2 and same_rank and distinct:
        return _MERGES[kind](name=name)
    if kind == "Concatenate" and distinct and len(tensors) > 1:
        return tf_keras.layers.Concatenate(axis=operation.axis, name=name)
    if kind == "Relu":
        return tf_keras.layers.ReLU(name=name)
    if kind == "Relu6":
        return tf_keras.layers.ReLU(6.0, name=name)
    if kind in _ACTIVATIONS:
        return tf_keras.layers.Activation(_ACTIVATIONS[kind], name=name)
    if kind == "Softmax":
        return tf_keras.layers.Softmax(axis=operation.axis, name=name)
    return None
