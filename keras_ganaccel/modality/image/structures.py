"""Classifiers of our own: compact structures that quantize well, plain ones, known backbones.

All of them take float32 images in [0, 1], return logits, and are functional models of layers that
TFLite has built in, so that they save, prune, quantize and export.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.initial_weights import seeded_initializers
from keras_ganaccel.modality.image.applications import application_names, build_application
from keras_ganaccel.modality.image.spec import DataSpec

# Moving statistics settle within some 40 steps: fine-tuning and the gate train briefly.
_MOMENTUM = 0.9

_WIDTHS: dict[str, dict[str, tuple[int, ...]]] = {
    "separable": {
        "tiny": (16, 32, 48, 64),
        "small": (32, 64, 96, 128),
        "base": (64, 128, 192, 256),
    },
    "convnet": {"tiny": (8, 12, 20), "small": (16, 32, 64), "base": (32, 64, 128)},
    "mlp": {"tiny": (32,), "small": (128, 64), "base": (512, 256)},
    "resnet8": {"tiny": (16, 32, 64), "small": (24, 48, 96), "base": (32, 64, 128)},
}
ACTIVATIONS = ("relu", "relu6")


def architectures() -> tuple[str, ...]:
    """Returns the names that `build_classifier` knows, our own structures first."""
    return (*_WIDTHS, *application_names())


def build_classifier(
    spec: DataSpec,
    architecture: str = "separable",
    size: str = "tiny",
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    weights: str | None = None,
    seed: int = 0,
    name: str | None = None,
) -> keras.Model:
    """Builds a classifier of images; `classifier.build.build_classifier` checks what is common.

    Args:
        spec: The description of the data.
        architecture: Out of `architectures`.
        size: ``"tiny"``, ``"small"`` or ``"base"``.
        activation: ``"relu"`` or ``"relu6"``; backbones keep their own.
        dropout: Share of the features that are dropped before the last layer, in [0, 1).
        weights: For backbones, ``"imagenet"`` or the path of a weights file.
        seed: Seed of the initial weights.
        name: Name of the model; what was built, by default.

    Returns:
        A functional model: input ``image``, float32 ``(batch, height, width, channels)`` in
        [0, 1]; output ``logits``, float32 ``(batch, num_classes)``.

    Raises:
        InvalidInputError: An unknown activation, or weights for a structure of our own.
    """
    if activation not in ACTIVATIONS:
        raise InvalidInputError(
            f"Unknown `activation`. Received: {activation!r}. "
            f"{nearest(str(activation), ACTIVATIONS)}"
        )
    if weights is not None and architecture in _WIDTHS:
        raise InvalidInputError(
            f"`weights` is for backbones of keras.applications. Received: {weights!r} with "
            f"architecture={architecture!r}. Leave it out."
        )
    with seeded_initializers(seed):
        image = keras.Input(spec.image_shape, name="image")
        if architecture in _WIDTHS:
            features = _BUILDERS[architecture](image, _WIDTHS[architecture][size], activation)
        else:
            features = build_application(architecture, image, weights)
        if dropout:
            features = keras.layers.Dropout(dropout, name="dropout")(features)
        # Logits stay float32 under a mixed-precision policy.
        logits = keras.layers.Dense(spec.num_classes, name="logits", dtype="float32")(features)
    default_name = f"{architecture}_{size}" if architecture in _WIDTHS else architecture.lower()
    return keras.Model(image, logits, name=name or default_name)


def _normalised(x: keras.KerasTensor, activation: str | None, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
    if activation is None:
        return x
    # ReLU layers, not strings: converters and TF-MOT fuse them with the convolution before.
    limit = 6.0 if activation == "relu6" else None
    return keras.layers.ReLU(max_value=limit, name=f"{name}_{activation}")(x)


def _conv(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    strides: int,
    activation: str | None,
    name: str,
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return _normalised(x, activation, name)


def _separable(
    image: keras.KerasTensor, widths: tuple[int, ...], activation: str
) -> keras.KerasTensor:
    """A stem and depthwise separable blocks; halves the image until it is below 8 wide.

    Without normalisation between a block's two convolutions: a third faster to train on a CPU,
    and as accurate.
    """
    side = min(image.shape[1:3])
    strides = 2 if side > 16 else 1
    side //= strides
    x = _conv(image, widths[0], 3, strides, activation, "stem")
    for index, width in enumerate(widths[1:], start=1):
        strides = 2 if side >= 8 else 1
        side //= strides
        x = keras.layers.DepthwiseConv2D(
            3,
            strides,
            padding="same",
            use_bias=False,
            depthwise_initializer="he_normal",
            name=f"block{index}_depthwise",
        )(x)
        x = _conv(x, width, 1, 1, activation, f"block{index}_pointwise")
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)


def _convnet(
    image: keras.KerasTensor, widths: tuple[int, ...], activation: str
) -> keras.KerasTensor:
    """Pairs of 3x3 convolutions, the second of each pair halving the image while it can."""
    x = image
    for index, width in enumerate(widths):
        strides = 2 if min(x.shape[1:3]) > 4 else 1
        x = _conv(x, width, 3, 1, activation, f"conv{index}a")
        x = _conv(x, width, 3, strides, activation, f"conv{index}b")
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)


def _mlp(image: keras.KerasTensor, widths: tuple[int, ...], activation: str) -> keras.KerasTensor:
    x = keras.layers.Flatten(name="flatten")(image)
    for index, width in enumerate(widths):
        x = keras.layers.Dense(
            width, use_bias=False, kernel_initializer="he_normal", name=f"dense{index}"
        )(x)
        x = _normalised(x, activation, f"dense{index}")
    return x


def _resnet8(
    image: keras.KerasTensor, widths: tuple[int, ...], activation: str
) -> keras.KerasTensor:
    """Three residual stacks; with biases and L2 decay, as in the benchmark's reference."""

    def conv(
        x: keras.KerasTensor, filters: int, kernel: int, strides: int, name: str
    ) -> keras.KerasTensor:
        return keras.layers.Conv2D(
            filters,
            kernel,
            strides,
            padding="same",
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(1e-4),
            name=name,
        )(x)

    x = _normalised(conv(image, widths[0], 3, 1, "stem"), activation, "stem")
    for index, width in enumerate(widths):
        strides = 1 if index == 0 else 2
        name = f"stack{index}"
        y = _normalised(conv(x, width, 3, strides, f"{name}a"), activation, f"{name}a")
        y = _normalised(conv(y, width, 3, 1, f"{name}b"), None, f"{name}b")
        if strides > 1:
            x = conv(x, width, 1, strides, f"{name}_shortcut")
        x = keras.layers.Add(name=f"{name}_add")([x, y])
        limit = 6.0 if activation == "relu6" else None
        x = keras.layers.ReLU(max_value=limit, name=f"{name}_{activation}")(x)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)


_BUILDERS: dict[str, Callable[..., keras.KerasTensor]] = {
    "separable": _separable,
    "convnet": _convnet,
    "mlp": _mlp,
    "resnet8": _resnet8,
}
