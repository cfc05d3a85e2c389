"""From the configuration of a Keras 3 layer to the arguments of its tf_keras counterpart."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tf_keras

from keras_ganaccel.compression.bridge.registry import Translate, unsupported

# Arguments that tf_keras does not know, with the values that mean what tf_keras does anyway.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "antialias": (False,),
    "autocast": (True,),
    "data_format": ("channels_last", None),
    "dropout": (0, 0.0),
    "fill_mode": ("constant",),
    "fill_value": (0.0,),
    "flash_attention": (None, False),
    "keepdims": (False,),
    "optional": (False,),
    "pad_to_aspect_ratio": (False,),
    "quantization_config": (None,),
    "rms_scaling": (False,),
    "sliding_window": (None,),
    "use_cudnn": ("auto", True, False),
    "use_gate": (False,),
    # Set on the layer itself: tf_keras takes it by attribute.
    "zero_output_for_mask": (False, True),
}
# What only draws initial values, or is meaningless without the argument before it.
_DROPPED = {
    "gptq_unpacked_column_size",
    "seed",
    "lora_alpha",
}
_SAME_ACTIVATIONS = (
    "linear", "relu", "sigmoid", "tanh", "softmax", "softplus", "softsign", "selu", "exponential",
    "mish",
)  # fmt: skip
_COMMON = {"name", "dtype", "trainable", "activity_regularizer"}


def by_config(
    counterpart: type,
    *,
    rename: Mapping[str, str] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Translate:
    """Makes a translator that hands a layer's configuration to its tf_keras counterpart.

    Args:
        counterpart: The tf_keras class.
        rename: Arguments that are called otherwise there.
        fixed: Arguments that only tf_keras has and that must be given.

    Returns:
        The translator. It refuses a setting that the counterpart does not have.
    """

    def translate(layer: keras.layers.Layer) -> Any:
        require_float32(layer)
        known = _accepted(counterpart)
        arguments = dict(fixed or {})
        for key, value in layer.get_config().items():
            key = (rename or {}).get(key, key)
            if key in _DROPPED or key.endswith("_initializer") or key in _COMMON:
                continue
            if key not in known:
                if value in _NEUTRAL.get(key, ()):
                    continue
                raise unsupported(layer, f"tf_keras has no `{key}={value!r}`")
            arguments[key] = _converted(layer, key, value)
        regularizer = getattr(layer, "activity_regularizer", None)
        # ActivityRegularization makes its own from its other arguments.
        if regularizer is not None and counterpart is not tf_keras.layers.ActivityRegularization:
            arguments["activity_regularizer"] = _regularizer(layer, regularizer)
        return counterpart(**arguments)

    return translate


def require_float32(layer: keras.layers.Layer) -> None:
    """Refuses mixed precision and quantized weights.

    Raises:
        UnsupportedLayerError: The layer does not compute in float32.
    """
    policy = layer.dtype_policy
    if policy.name not in ("float32", "int32", "int64", "uint8", "bool", "string"):
        raise unsupported(
            layer, f"its dtype policy is {policy.name!r}; rebuild the model in float32 first"
        )
    if getattr(layer, "lora_enabled", False):
        raise unsupported(layer, "it has LoRA weights; merge them first")


@functools.cache
def activation(function: Callable[..., Any]) -> Any:
    """Returns what tf_keras needs to compute the same as an activation of `keras.activations`.

    Where both name a function alike but compute differently (`hard_sigmoid`), or only Keras 3 has
    it, Keras 3's own function is registered with tf_keras: it works on TensorFlow's tensors.

    Args:
        function: A function of `keras.activations`.

    Returns:
        A function that tf_keras can serialize, or None if it is not one of Keras'.
    """
    name = getattr(function, "__name__", "")
    if getattr(keras.activations, name, None) is not function:
        return None
    if name in _SAME_ACTIVATIONS:
        return getattr(tf_keras.activations, name)
    if name == "silu":
        return tf_keras.activations.swish

    def carried(x: Any) -> Any:
        return function(x)

    carried.__name__ = name
    return tf_keras.utils.register_keras_serializable(package="keras_ganaccel", name=name)(carried)


def layer_activation(layer: keras.layers.Layer, function: Callable[..., Any]) -> Any:
    """Like `activation`, for a function found in `layer`; refuses the user's own functions."""
    found = activation(function)
    if found is None:
        raise unsupported(layer, f"its activation {function!r} is not one of keras.activations")
    return found


def _converted(layer: keras.layers.Layer, key: str, value: Any) -> Any:
    """Translates the value of one argument where it is a function or an object of Keras'."""
    if value is None:
        return None
    if key == "activation" or key.endswith("_activation"):
        return layer_activation(layer, getattr(layer, key))
    if key.endswith("_regularizer"):
        return _regularizer(layer, getattr(layer, key, None))
    if key.endswith("_constraint"):
        return _constraint(layer, getattr(layer, key, None))
    return value


def _regularizer(layer: keras.layers.Layer, value: Any) -> Any:
    """L1 and L2 mean the same in both; nothing else is carried."""
    if value is None:
        return None
    if isinstance(value, keras.regularizers.L1L2):
        return tf_keras.regularizers.L1L2(float(value.l1), float(value.l2))
    if isinstance(value, keras.regularizers.L1):
        return tf_keras.regularizers.L1(float(value.l1))
    if isinstance(value, keras.regularizers.L2):
        return tf_keras.regularizers.L2(float(value.l2))
    raise unsupported(layer, f"its regularizer {type(value).__name__} is not L1, L2 or L1L2")


def _constraint(layer: keras.layers.Layer, value: Any) -> Any:
    """Constraints of the same name take the same arguments."""
    if value is None:
        return None
    counterpart = getattr(tf_keras.constraints, type(value).__name__, None)
    if counterpart is None or not type(value).__module__.startswith("keras."):
        raise unsupported(layer, f"its constraint {type(value).__name__} is not one of Keras'")
    return counterpart(**value.get_config())


@functools.cache
def _accepted(counterpart: type) -> frozenset[str]:
    """The names of the arguments that a tf_keras class and its base classes take."""
    names: set[str] = set()
    for base in inspect.getmro(counterpart):
        if base in (object, tf_keras.layers.Layer):
            break
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return frozenset(names - {"self"})
