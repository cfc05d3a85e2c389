"""How each layer of a prepared model is quantized while training.

The fake quantization is TF-MOT's. Its own rules know few layers and give a depthwise kernel one
scale instead of one per channel; the rules here follow the integer operations of TFLite.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import tf_keras

from keras_ganaccel.compression.tfmot import load_tfmot, moving_range

_L = tf_keras.layers
_KERNELS = {
    _L.Conv1D: "kernel",
    _L.Conv2D: "kernel",
    _L.Conv2DTranspose: "kernel",
    _L.Dense: "kernel",
    _L.DepthwiseConv2D: "depthwise_kernel",
}
_RESCALED = (
    _L.Activation, _L.Add, _L.Average, _L.Concatenate, _L.ELU,
    _L.GlobalAveragePooling1D, _L.GlobalAveragePooling2D, _L.Identity, _L.LeakyReLU,
    _L.Maximum, _L.Minimum, _L.Multiply, _L.PReLU, _L.ReLU, _L.Rescaling, _L.Resizing, _L.Subtract,
    _L.UpSampling2D,
)  # fmt: skip
_PASSED = (
    # An average that TFLite pools has the scale of what it pools.
    _L.AveragePooling1D, _L.AveragePooling2D,
    _L.AlphaDropout, _L.Cropping1D, _L.Cropping2D, _L.Dropout, _L.Flatten, _L.GaussianDropout,
    _L.GaussianNoise, _L.GlobalMaxPooling1D, _L.GlobalMaxPooling2D, _L.InputLayer, _L.MaxPooling1D,
    _L.MaxPooling2D, _L.Permute, _L.RepeatVector, _L.Reshape, _L.SpatialDropout1D,
    _L.SpatialDropout2D, _L.ZeroPadding1D, _L.ZeroPadding2D, _L.RandomFlip, _L.RandomRotation,
    _L.RandomTranslation, _L.RandomZoom,
)  # fmt: skip
# What TFLite computes in int8; all others it computes in float32 between integers.
_INTEGER_ACTIVATIONS = (
    "linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "log_softmax", "leaky_relu", "gelu",
    "silu", "swish", "hard_silu", "exponential", "tanh_shrink", "hard_tanh",
)  # fmt: skip
# TFLite gives the results of these fixed scales of its own.
_FIXED_RANGE = ("softmax", "sigmoid", "tanh", "log_softmax")
# Their int8 kernels ignore their own scales: ones and zeros become other numbers.
ONE_HOT = ("CategoryEncoding", "MultiHot", "OneHot")
# TF-MOT's 0.999 makes up for ranges that start anywhere over a long training. Calibrated ones start
# where the outputs are; those of a model that still learns grow, and what lies beyond the range
# passes no gradient.
_RANGE_DECAY = 0.8
_OPERATIONS = ("Mean", "Add", "Subtract", "Multiply", "Clip", "Maximum", "Minimum", "Relu")


@dataclass(frozen=True)
class Rule:
    """How a layer is quantized.

    Args:
        kernel: The attribute of the kernel that gets int8 values; None without one.
        output: Whether its output gets a range of its own.
        reason: Why the layer computes in float32; empty for quantized ones.
    """

    kernel: str | None = None
    output: bool = False
    reason: str = ""


def rule_for(layer: Any) -> Rule:
    """Finds how a tf_keras layer of a prepared model is quantized.

    Args:
        layer: The layer.

    Returns:
        Its rule.
    """
    kind = type(layer)
    reason = _float_only(layer)
    if reason:
        return Rule(output=True, reason=reason)
    if kind in _KERNELS:
        return Rule(_KERNELS[kind], output=True)
    if kind is _L.Softmax:
        return Rule()
    if kind is _L.Activation and layer.activation.__name__ in _FIXED_RANGE:
        return Rule()
    if kind in _RESCALED:
        return Rule(output=True)
    if kind in _PASSED:
        return Rule()
    operation = getattr(layer, "operation_name", None)
    if operation in _OPERATIONS:
        return Rule(output=True)
    name = operation or getattr(layer, "hosted_name", kind.__name__)
    if name in ONE_HOT:
        return Rule(reason="a one-hot encoding does not keep its values in int8")
    return Rule(reason=f"{name} has no quantization rule")


def _float_only(layer: Any) -> str:
    """Why TFLite computes a layer in float32 between int8 ones; empty if it does not."""
    if isinstance(layer, _L.Activation):
        name = layer.activation.__name__
        return "" if name in _INTEGER_ACTIVATIONS else f"TFLite has no int8 {name}"
    if isinstance(layer, _L.ReLU):
        bounded = layer.max_value is not None and (layer.negative_slope or layer.max_value != 6.0)
        if layer.threshold or bounded:
            return "TFLite has no int8 ReLU with these bounds"
    if isinstance(layer, (_L.ELU, _L.Average, _L.Rescaling)):
        return f"TFLite has no int8 {type(layer).__name__}"
    return ""


@functools.cache
def _classes() -> tuple[type, type]:
    """Makes the subclasses of TF-MOT's classes, which is loaded only now."""
    quantization: Any = load_tfmot().quantization.keras
    quantizers: Any = quantization.quantizers
    last_value: Any = quantizers.LastValueQuantizer
    base_config: Any = quantization.QuantizeConfig

    class KernelQuantizer(last_value):
        """Symmetric int8 scales from the kernel's present values, for the whole or per channel."""

        def __init__(self, per_axis: bool) -> None:
            super().__init__(num_bits=8, per_axis=per_axis, symmetric=True, narrow_range=True)

        def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
            """Adds one range, or one per value of the last axis."""
            shape = (int(tensor_shape[-1]),) if self.per_axis else ()
            return {
                f"{end}_var": layer.add_weight(
                    f"{name}_{end}",
                    shape=shape,
                    initializer=tf_keras.initializers.Constant(value),
                    trainable=False,
                )
                for end, value in (("min", -6.0), ("max", 6.0))
            }

    class OutputQuantizer(quantizers.MovingAverageQuantizer):
        """An asymmetric int8 range that follows the output within a few steps."""

        def __init__(self) -> None:
            super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)

        def __call__(self, inputs: Any, training: Any, weights: Any, **_: Any) -> Any:
            """Fake-quantizes and, while training, moves the range."""
            return moving_range()(
                inputs,
                weights["min_var"],
                weights["max_var"],
                ema_decay=_RANGE_DECAY,
                is_training=training,
            )

    class Config(base_config):
        """Quantizes what a `Rule` says."""

        def __init__(self, kernel: str | None, output: bool) -> None:
            self.kernel = kernel
            self.output = output

        def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
            if self.kernel is None:
                return []
            kernel = getattr(layer, self.kernel)
            # The converter transposes dense kernels and loses track of the axis of their scales.
            return [(kernel, KernelQuantizer(per_axis=len(kernel.shape) == 4))]

        def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
            return []

        def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
            if self.kernel is not None:
                setattr(layer, self.kernel, quantize_weights[0])

        def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
            assert not quantize_activations  # outputs are quantized after the fused activation

        def get_output_quantizers(self, layer: Any) -> list[Any]:
            return [OutputQuantizer()] if self.output else []

        def get_config(self) -> dict[str, Any]:
            return {"kernel": self.kernel, "output": self.output}

    return quantization.QuantizeWrapperV2, Config


def quantized(layer: Any, rule: Rule) -> Any:
    """Wraps a layer so that it computes with fake-quantized values.

    Args:
        layer: A tf_keras layer. The wrapper works on its very weights.
        rule: What is quantized.

    Returns:
        TF-MOT's wrapper, or the layer itself where there is nothing to quantize.
    """
    if rule.kernel is None and not rule.output:
        return layer
    wrapper, config = _classes()
    return wrapper(layer, config(rule.kernel, rule.output), name=f"{layer.name}_quantized")
