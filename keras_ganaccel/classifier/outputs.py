"""What a classifier puts out, and how to read it: logits, probabilities, or one binary unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError

LOGITS = "logits"
SOFTMAX = "softmax"
BINARY_LOGIT = "binary_logit"
BINARY_PROBABILITY = "binary_probability"

# Below this a probability counts as zero. It bounds what one sure teacher or student can cost.
EPSILON = 1e-7

# Activations behind which there can be no probabilities.
_UNBOUNDED = ("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "swish", "silu")
# Probabilities may miss a sum of 1 by rounding, most of all in half precision.
SLACK = 1e-2
# Sides that a model leaves open are made as long as this to try it.
_PROBE_SIDE = 32

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
        from_logits: Whether the output is logits. None looks for a softmax (or, with one unit, a
            sigmoid) on the last layer; where that ends in anything but a plain layer, such as a
            function of one's own, it looks whether what the model puts out are probabilities.

    Returns:
        ``"logits"``, ``"softmax"``, ``"binary_logit"`` or ``"binary_probability"``.

    Raises:
        InvalidInputError: The model is not built, or has no such output.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> output_kind(model)
        'softmax'
    """
    shape = _output_shape(model)
    if len(shape) != 2:
        raise InvalidInputError(
            f"A classifier must put out one row per sample. Received: {model.name!r} with outputs "
            f"of shape {shape}. End it in a Dense layer with a unit per class."
        )
    probabilities = _gives_probabilities(model) if from_logits is None else not from_logits
    if shape[-1] == 1:
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
        x: Encoded samples, float32 ``(n, *sample_shape)``.
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


def check_model_fits(model: keras.Model, spec: Spec) -> None:
    """Refuses a classifier whose input or output does not fit the data.

    Args:
        model: A built Keras model.
        spec: The description of the data.

    Raises:
        InvalidInputError: More than one input or output, or shapes that do not fit.
    """
    inputs, outputs = (getattr(model, side, None) or () for side in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise InvalidInputError(
            f"The model must be built, with one input and one output. Received: {model.name!r} "
            f"with {len(inputs)} and {len(outputs)}. Give a functional or sequential classifier."
        )
    received = tuple(model.inputs[0].shape[1:])
    expected = spec.sample_shape
    fits = len(received) == len(expected) and all(
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


def _gives_probabilities(model: keras.Model) -> bool:
    ending = _last_activation(model)
    if ending in ("softmax", "sigmoid"):
        return True
    return False if ending in _UNBOUNDED else look_like_probabilities(probe_outputs(model))


def look_like_probabilities(outputs: np.ndarray | None) -> bool:
    """Whether all rows of outputs are probabilities: in [0, 1], and 1 in sum if there are several.

    Args:
        outputs: float ``(n, classes or 1)``; None for a model that could not be asked.
    """
    if outputs is None or not np.isfinite(outputs).all():
        return False
    bounded = outputs.min() >= -SLACK and outputs.max() <= 1 + SLACK
    return bool(bounded and (outputs.shape[1] == 1 or np.abs(outputs.sum(1) - 1).max() <= SLACK))


def probe_outputs(model: keras.Model) -> np.ndarray | None:
    """What a model puts out for noise of several sizes, so wild that no logit stays in [0, 1].

    Args:
        model: A built model of one input and one output.

    Returns:
        float32 ``(n, ...)``; None if it cannot be asked, such as one that takes words.
    """
    shape = input_shape(model)
    if shape is None:
        return None
    random = np.random.default_rng(0)
    noise = random.normal(size=(4, *(_PROBE_SIDE if side is None else side for side in shape)))
    sizes = np.array([1.0, 10.0, 1e3, 1e4]).reshape(-1, *[1] * len(shape))
    samples = np.concatenate([noise * sizes, np.abs(noise * sizes)]).astype(np.float32)
    try:
        return np.asarray(tf.cast(model(tf.constant(samples), training=False), tf.float32))
    except Exception:  # whatever a stranger's layers raise on what they are not made for
        return None


def input_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """What one sample of a model's only input is shaped like; None if it has another form.

    Args:
        model: A functional or sequential model, or a subclassed one that was called or built.
    """
    inputs = getattr(model, "inputs", None)
    if inputs:
        return tuple(inputs[0].shape[1:]) if len(inputs) == 1 else None
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (tuple, list)):
        return None
    sides = all(side is None or isinstance(side, int) for side in shape)
    return tuple(shape[1:]) if sides else None


def _output_shape(model: keras.Model) -> tuple[int | None, ...]:
    outputs = getattr(model, "outputs", None)
    if outputs:
        return tuple(outputs[0].shape)
    found = probe_outputs(model)
    if found is None:
        raise InvalidInputError(
            f"The model must be built, with one input and one output. Received: {model.name!r}, "
            "which is not. Call it on a batch of samples once."
        )
    return (None, *found.shape[1:])


def _last_activation(model: keras.Model) -> str | None:
    """The name of the activation that a model's output comes out of; None if that is unknown."""
    layer: Any = _producer(model)
    while layer is not None:
        if isinstance(layer, keras.Model):
            layer = _producer(layer)
        elif isinstance(layer, keras.layers.Softmax):
            return "softmax"
        elif isinstance(layer, _TRANSPARENT) or _is_recast(layer):
            layer = _producer_of(layer.input)
        elif isinstance(layer, (keras.layers.Dense, keras.layers.Activation)):
            return _name_of(layer.activation)
        else:
            # An operation of keras.ops, such as Softmax or Sigmoid.
            name = type(layer).__name__.lower()
            return name if name in ("softmax", "sigmoid") and _is_keras(type(layer)) else None
    return None


def _name_of(activation: Any) -> str | None:
    """The name of one of Keras' own activations; a stranger's may be called anything."""
    return str(activation.__name__) if _is_keras(activation) else None


def _is_keras(value: Any) -> bool:
    module = getattr(value, "__module__", None) or ""
    return module.partition(".")[0] == "keras" and hasattr(value, "__name__")


def _is_recast(layer: Any) -> bool:
    is_activation = isinstance(layer, keras.layers.Activation)
    return is_activation and layer.activation is keras.activations.linear


def _producer(model: keras.Model) -> Any:
    """The last layer or operation; None for a subclassed model, which does not tell."""
    outputs = getattr(model, "outputs", None)
    return _producer_of(outputs[0]) if outputs else None


def _producer_of(tensor: Any) -> Any:
    history = getattr(tensor, "_keras_history", None)
    return None if history is None else history.operation
