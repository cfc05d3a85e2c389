"""What a classifier puts out, and how to read it: logits, probabilities, or one binary unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.data.spec import DataSpec
from keras_ganaccel.errors import InvalidInputError

LOGITS = "logits"
SOFTMAX = "softmax"
BINARY_LOGIT = "binary_logit"
BINARY_PROBABILITY = "binary_probability"

# Below this a probability counts as zero. It bounds what one sure teacher or student can cost.
EPSILON = 1e-7

# Layers that only reshape or recast what the layer before them put out.
_TRANSPARENT = (
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Identity,
    keras.layers.Reshape,
)


def output_kind(model: keras.Model, from_logits: bool | None = None) -> str:
    """Tells what a classifier's output means.

    Args:
        model: A built classifier with one output of shape ``(batch, classes or 1)``.
        from_logits: Whether the output is logits; None looks for a softmax (or, with one unit, a
            sigmoid) on the last layer.

    Returns:
        ``"logits"``, ``"softmax"``, ``"binary_logit"`` or ``"binary_probability"``.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> output_kind(model)
        'softmax'
    """
    if from_logits is None:
        probabilities = _last_activation(model) in ("softmax", "sigmoid")
    else:
        probabilities = not from_logits
    if _output_shape(model)[-1] == 1:
        return BINARY_PROBABILITY if probabilities else BINARY_LOGIT
    return SOFTMAX if probabilities else LOGITS


def num_classes(model: keras.Model, kind: str) -> int:
    """The number of classes that a model with an output of this kind tells apart."""
    return 2 if kind in (BINARY_LOGIT, BINARY_PROBABILITY) else int(_output_shape(model)[-1] or 0)


def logits_of(outputs: tf.Tensor, kind: str) -> tf.Tensor:
    """Turns a classifier's outputs into logits with one column per class.

    Args:
        outputs: ``(batch, classes)`` or, if binary, ``(batch, 1)``, any float dtype.
        kind: As `output_kind` returns it.

    Returns:
        float32 ``(batch, classes)``; a softmax over it gives the classifier's probabilities.
    """
    outputs = tf.cast(outputs, tf.float32)
    if kind == LOGITS:
        return outputs
    if kind == SOFTMAX:
        return tf.math.log(tf.clip_by_value(outputs, EPSILON, 1.0))
    if kind == BINARY_PROBABILITY:
        p = tf.clip_by_value(outputs, EPSILON, 1.0 - EPSILON)
        outputs = tf.math.log(p) - tf.math.log1p(-p)
    return tf.concat([tf.zeros_like(outputs), outputs], axis=-1)


def probability_logits(probabilities: np.ndarray) -> np.ndarray:
    """The logarithm of probabilities, bounded below, as float32: logits for a distiller."""
    return np.log(np.clip(probabilities, EPSILON, 1.0)).astype(np.float32)


def predict_logits(
    model: keras.Model,
    x: np.ndarray,
    *,
    from_logits: bool | None = None,
    batch_size: int = 512,
) -> np.ndarray:
    """Computes a classifier's logits in inference mode.

    Args:
        model: A built classifier.
        x: Samples, float32 ``(n, height, width, channels)`` in [0, 1].
        from_logits: See `output_kind`.
        batch_size: Samples per call.

    Returns:
        float32 ``(n, classes)``.
    """
    return batched(logits_function(model, from_logits), x, batch_size)


def logits_function(
    model: keras.Model, from_logits: bool | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes a traced function from images to a classifier's logits, in inference mode."""
    kind = output_kind(model, from_logits)

    @tf.function(reduce_retracing=True, autograph=False)
    def forward(batch: tf.Tensor) -> tf.Tensor:
        return logits_of(model(batch, training=False), kind)

    return forward


def batched(
    function: Callable[[np.ndarray], tf.Tensor], x: np.ndarray, batch_size: int = 512
) -> np.ndarray:
    """Applies a function to an array batch by batch; an empty array makes one empty batch."""
    starts = range(0, max(len(x), 1), batch_size)
    parts = [function(x[start : start + batch_size]) for start in starts]
    return np.concatenate([np.asarray(part) for part in parts])


def check_model_fits(model: keras.Model, spec: DataSpec) -> None:
    """Refuses a classifier whose input or output does not fit the data.

    Args:
        model: A built Keras model.
        spec: The description of the data.

    Raises:
        InvalidInputError: More than one input or output, or shapes that do not fit.
    """
    if len(model.inputs or ()) != 1 or len(model.outputs or ()) != 1:
        raise InvalidInputError(
            f"The model must be built, with one input and one output. Received: {model.name!r} "
            f"with {len(model.inputs or ())} and {len(model.outputs or ())}. Give a classifier."
        )
    received = tuple(model.inputs[0].shape[1:])
    expected = spec.image_shape
    fits = len(received) == 3 and all(
        mine in (None, theirs) for mine, theirs in zip(received, expected, strict=True)
    )
    if not fits:
        raise InvalidInputError(
            f"The model's input does not fit the data. Received: input {received} for samples of "
            f"{expected}. Resize the data or change the model."
        )
    shape, classes = _output_shape(model), spec.num_classes
    if len(shape) != 2 or (shape[-1] != classes and not (shape[-1] == 1 and classes == 2)):
        allowed = f"{classes} units" + (" or 1 unit" if classes == 2 else "")
        raise InvalidInputError(
            f"The model's output does not fit the data. Received: output {shape[1:]} for "
            f"{classes} classes. Give its last layer {allowed}."
        )


def _output_shape(model: keras.Model) -> tuple[int | None, ...]:
    return tuple(model.outputs[0].shape) if model.outputs else tuple(model.output_shape)


def _last_activation(model: keras.Model) -> str:
    """The name of the activation that a model's output comes out of; ``"linear"`` if none."""
    layer: Any = _producer(model)
    while True:
        if isinstance(layer, keras.Model):
            layer = _producer(layer)
        elif isinstance(layer, keras.layers.Softmax):
            return "softmax"
        elif isinstance(layer, _TRANSPARENT) or _is_recast(layer):
            layer = _producer_of(layer.input)
        elif hasattr(layer, "activation"):
            return str(getattr(layer.activation, "__name__", layer.activation))
        else:
            # An operation of keras.ops, such as Softmax or Sigmoid.
            return type(layer).__name__.lower()


def _is_recast(layer: Any) -> bool:
    is_activation = isinstance(layer, keras.layers.Activation)
    return is_activation and layer.activation is keras.activations.linear


def _producer(model: keras.Model) -> Any:
    if model.outputs:
        return _producer_of(model.outputs[0])
    return model.layers[-1] if model.layers else None


def _producer_of(tensor: keras.KerasTensor) -> Any:
    return tensor._keras_history.operation
