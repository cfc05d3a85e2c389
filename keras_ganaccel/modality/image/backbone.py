"""A discriminator on the features of a frozen, pretrained model (Projected GANs, 2111.01007)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.clones import clone
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.modality.image.blocks import Blocks, factors, pyramid
from keras_ganaccel.modality.image.layers import BilinearResize
from keras_ganaccel.modality.image.spec import DataSpec

_MOST_SCALES = 4
_SMALLEST_FREE_SIZE = 64

# What a feature extractor takes, as factor and summand on [-1, 1] per channel; "caffe" takes the
# channels in the order blue, green, red.
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68])
_RANGES: dict[str, tuple[Any, Any]] = {
    "signed": (1.0, 0.0),
    "unit": (0.5, 0.5),
    "raw": (127.5, 127.5),
    "torch": (0.5 / _IMAGENET_STD, (0.5 - _IMAGENET_MEAN) / _IMAGENET_STD),
    "caffe": (127.5, 127.5 - _CAFFE_MEAN),
}
# By the beginning of the names that keras.applications gives.
_KNOWN_RANGES = {
    "resnet": "caffe",
    "vgg": "caffe",
    "densenet": "torch",
    "mobilenet": "signed",
    "xception": "signed",
    "inception": "signed",
    "efficientnet": "raw",
    "convnext": "raw",
}


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class BackboneInput(keras.layers.Layer):
    """Brings samples from [-1, 1] into the channels and the range that a feature extractor takes.

    Args:
        channels: 1 or 3: grey samples are repeated, colours averaged, where it is needed.
        input_range: ``"signed"`` [-1, 1], ``"unit"`` [0, 1], ``"raw"`` [0, 255], or as
            ``keras.applications`` has it ``"torch"`` (standardised) or ``"caffe"`` (blue, green,
            red, less their mean).

    Input: shape ``(batch, height, width, 1 or 3)``. Output: ``(batch, height, width, channels)``.
    """

    def __init__(self, channels: int, input_range: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.input_range = input_range

    def call(self, inputs: tf.Tensor) -> tf.Tensor:  # noqa: D102
        if inputs.shape[-1] < self.channels:
            inputs = tf.repeat(inputs, self.channels, axis=-1)
        elif inputs.shape[-1] > self.channels:
            inputs = tf.reduce_mean(inputs, axis=-1, keepdims=True)
        if self.input_range == "caffe":
            inputs = inputs[..., ::-1]
        factor, summand = _RANGES[self.input_range]
        return inputs * tf.cast(factor, inputs.dtype) + tf.cast(summand, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:  # noqa: D102
        return (*input_shape[:-1], self.channels)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = {"channels": self.channels, "input_range": self.input_range}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class FrozenFeatures(keras.layers.Layer):
    """A model that is never trained and always runs in inference mode, as one layer.

    A functional model hands its own training mode down to the layers in it, whatever they were
    called with; here dropout and batch norm inside stay as they are in inference.

    Args:
        model: From images to a feature map or a list of them.

    Input: images. Output: what the model returns.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.trainable = False

    def call(self, inputs: tf.Tensor) -> Any:  # noqa: D102
        return self.model(inputs, training=False)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FrozenFeatures:  # noqa: D102
        config = dict(config)
        model = keras.saving.deserialize_keras_object(config.pop("model"))
        return cls(model, **config)


def build_backbone_discriminator(
    spec: DataSpec,
    backbone: keras.Model,
    *,
    feature_layers: Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    input_range: str | None = None,
    width: int = 64,
    spectral_norm: bool = True,
    seed: int = 0,
    dtype: Any = None,
    name: str = "discriminator",
) -> keras.Model:
    """Builds a discriminator that judges the features of a frozen model at several scales.

    As in Projected GANs (Sauer et al., arXiv 2111.01007), random convolutions that are never
    trained mix the channels of each scale and then the scales, from the deepest upwards; a small
    trained head per scale ends in a projection logit. Features are standardised over their
    channels first, so that extractors of any scale fit.

    Args:
        spec: The description of the data: size, channels and classes.
        backbone: A functional or sequential Keras model from images, such as one of
            ``keras.applications`` with ``include_top=False``. It is copied, not changed.
        feature_layers: Names of its layers to look at, each with an output of shape ``(batch, rows,
            columns, channels)``, the largest first; None takes the last of each size, at most
            four.
        image_size: ``(height, width)`` to which samples are resized for it; None takes the size
            that it was built for, or the data's own, enlarged to 64 pixels, where it takes any.
        input_range: What it takes: ``"signed"``, ``"unit"``, ``"raw"``, ``"torch"`` or ``"caffe"``,
            see `BackboneInput`; None knows the models of ``keras.applications`` by name and takes
            ``"unit"`` for others.
        width: Channels of the mixed features and the heads.
        spectral_norm: Divide every kernel of the heads by its largest singular value.
        seed: Seed of the random mixing and the heads.
        dtype: Keras dtype policy of all but the backbone, which keeps its own.
        name: The model's name.

    Returns:
        A functional model: inputs ``[image (batch, height, width, channels) float32 in [-1, 1],
        label (batch,) int32]``, -1 for unlabelled, output float32 ``(batch, heads)``.

    Raises:
        InvalidInputError: The backbone takes something else than one image with 1 or 3 channels, a
            layer does not exist or has no feature map, or the range is unknown.
    """
    channels = _image_channels(backbone)
    input_range = input_range or _known_range(backbone.name)
    if input_range not in _RANGES:
        raise InvalidInputError(
            f"Unknown `input_range`. Received: {input_range!r}. {nearest(input_range, _RANGES)}"
        )
    blocks = Blocks(seed, dtype, spectral_norm)
    image = keras.Input(spec.image_shape, name="image", dtype="float32")
    label = keras.Input((), name="label", dtype="int32")
    rows, columns = image_size or _image_size(backbone, spec)
    x = BilinearResize(rows, columns, name="backbone_resize", dtype="float32")(image)
    x = BackboneInput(channels, input_range, name="backbone_input", dtype="float32")(x)
    features = FrozenFeatures(
        _features_of(backbone, feature_layers), name="backbone", dtype="float32"
    )(x)
    mixed = _mix(features if isinstance(features, list) else [features], width, blocks)
    logits = [_head(x, label, spec.num_classes, blocks, f"head{i}") for i, x in enumerate(mixed)]
    columns_of_logits = [
        keras.layers.Reshape((1,), name=f"head{i}_column", dtype="float32")(logit)
        for i, logit in enumerate(logits)
    ]
    if len(logits) == 1:
        return keras.Model([image, label], columns_of_logits[0], name=name)
    joined = keras.layers.Concatenate(name="logits", dtype="float32")(columns_of_logits)
    return keras.Model([image, label], joined, name=name)


def _image_channels(backbone: keras.Model) -> int:
    shape = backbone.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] not in (1, 3):
        raise InvalidInputError(
            f"A backbone must take one image with 1 or 3 channels. Received: input shape {shape}. "
            "Wrap it in a functional model that does."
        )
    return int(shape[-1])


def _image_size(backbone: keras.Model, spec: DataSpec) -> tuple[int, int]:
    _, height, width, _ = backbone.input_shape
    factor = max(1.0, _SMALLEST_FREE_SIZE / min(spec.height, spec.width))
    return height or round(spec.height * factor), width or round(spec.width * factor)


def _known_range(name: str) -> str:
    # The second version of ResNet was trained on another range than the first.
    if name.startswith("resnet") and name.endswith("v2"):
        return "signed"
    return next((kind for start, kind in _KNOWN_RANGES.items() if name.startswith(start)), "unit")


def _features_of(backbone: keras.Model, names: Sequence[str] | None) -> keras.Model:
    """A copy of the backbone that returns the layers asked for."""
    copy = clone(backbone)
    outputs = [_feature_map(copy, name) for name in names or _last_of_each_size(copy)]
    return keras.Model(copy.inputs, outputs, name="features")


def _feature_map(model: keras.Model, name: str) -> Any:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise InvalidInputError(
            f"The backbone has no such layer. Received: {name!r}. {nearest(name, names)}"
        )
    output = model.get_layer(name).output
    if len(output.shape) != 4:
        raise InvalidInputError(
            f"A feature layer must return (batch, rows, columns, channels). Received: {name!r} "
            f"with {output.shape}. Choose one before the pooling."
        )
    return output


def _last_of_each_size(model: keras.Model) -> list[str]:
    """Names the last layer before each reduction of the feature map, the deepest four.

    The sizes of a model that takes any are unknown: they are found with a size of its own.
    """
    known = {}
    for layer in model.layers:
        shape = getattr(layer.output, "shape", ())
        if len(shape) == 4 and not isinstance(layer, keras.layers.InputLayer):
            known[layer.name] = layer.output
    if not known:
        raise InvalidInputError(
            f"A backbone must have feature maps. Received: {model.name!r}, which has none. "
            "Take a convolutional model."
        )
    probe = keras.Model(model.inputs, list(known.values()))
    side = [size or _SMALLEST_FREE_SIZE for size in model.input_shape[1:3]]
    shapes = probe.compute_output_shape((1, *side, model.input_shape[-1]))
    last = {shape[1:3]: name for name, shape in zip(known, shapes, strict=True)}
    return list(last.values())[-_MOST_SCALES:]


def _mix(features: list[Any], width: int, blocks: Blocks) -> list[Any]:
    """Mixes channels, then scales from the deepest upwards, by random convolutions kept fixed."""
    fixed = Blocks(blocks.seed, blocks.dtype)
    mixed: list[Any] = []
    for scale in reversed(range(len(features))):
        x = keras.layers.LayerNormalization(
            center=False, scale=False, name=f"scale{scale}_standardized", dtype=blocks.dtype
        )(features[scale])
        x = fixed.conv(x, f"scale{scale}_channels", width, 1, trainable=False, use_bias=False)
        if mixed:
            deeper = BilinearResize(
                x.shape[1], x.shape[2], name=f"scale{scale}_resize", dtype=blocks.dtype
            )(mixed[-1])
            x = keras.layers.Add(name=f"scale{scale}_add", dtype=blocks.dtype)([x, deeper])
            x = fixed.conv(x, f"scale{scale}_mix", width, 3, trainable=False, use_bias=False)
        mixed.append(x)
    return mixed[::-1]


def _head(x: Any, label: Any, num_classes: int, blocks: Blocks, name: str) -> Any:
    sizes = pyramid(x.shape[1], x.shape[2])[::-1]
    width = x.shape[-1]
    for stage, (larger, smaller) in enumerate(pairwise(sizes)):
        x = blocks.conv(x, f"{name}_down{stage}", width, 4, strides=factors(smaller, larger))
        x = blocks.activation(x, f"{name}_down{stage}_activation")
    x = blocks.conv(x, f"{name}_last", width, 3)
    x = blocks.activation(x, f"{name}_last_activation")
    return blocks.projection_head(x, label, num_classes, name)
