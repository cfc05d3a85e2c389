"""Discriminators: functional models from a sample and its class to logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.backbone import build_backbone_discriminator
from keras_ganaccel.modality.image.blocks import (
    Blocks,
    factors,
    has_blocks,
    pyramid,
    stage_channels,
)
from keras_ganaccel.modality.image.spec import DataSpec


def build_discriminator(
    spec: DataSpec,
    *,
    architecture: str = "residual",
    width: int | None = None,
    blocks_per_stage: int = 1,
    spectral_norm: bool = False,
    backbone: keras.Model | None = None,
    seed: int = 0,
    dtype: Any = None,
    name: str = "discriminator",
) -> keras.Model:
    """Builds a class-conditional discriminator without batch norm for samples of any size.

    ``"residual"`` mirrors the residual generator: grouped bottleneck blocks and average pooling
    (R3GAN, arXiv 2501.05441). ``"convolutional"`` is a stack of 3x3 and strided 4x4 convolutions.
    Both average their last feature map over its positions before the projection head: a flattened
    one lets the mean of all logits swing from step to step. ``"backbone"`` looks at the features
    of a pretrained model; `build_backbone_discriminator` has its further options.

    Args:
        spec: The description of the data: size, channels and classes.
        architecture: ``"residual"``, ``"convolutional"`` or ``"backbone"``.
        width: Channels at full resolution, deeper stages have more (for ``"backbone"``: channels
            of its heads); None chooses by the size.
        blocks_per_stage: Residual blocks per resolution; the other architectures ignore it.
        spectral_norm: Divide every trained kernel by its largest singular value (arXiv
            1802.05957).
        backbone: The pretrained feature extractor, for ``"backbone"`` alone.
        seed: Seed of the initial weights.
        dtype: Keras dtype policy, such as ``"mixed_bfloat16"``; None takes the global one.
        name: The model's name.

    Returns:
        A functional model: inputs ``[image (batch, height, width, channels) float32 in [-1, 1],
        label (batch,) int32]``, where label -1 leaves out the class; output ``logit`` float32,
        ``(batch,)``, for ``"backbone"`` ``(batch, heads)``.

    Raises:
        InvalidInputError: The architecture and ``backbone`` do not go together.
    """
    if (architecture == "backbone") != (backbone is not None):
        raise InvalidInputError(
            f"`backbone` belongs to the architecture 'backbone', and to that alone. "
            f"Received: architecture={architecture!r}, backbone={backbone!r}. Give both or neither."
        )
    if backbone is not None:
        return build_backbone_discriminator(
            spec,
            backbone,
            width=width or 64,
            spectral_norm=spectral_norm,
            seed=seed,
            dtype=dtype,
            name=name,
        )
    sizes = pyramid(spec.height, spec.width)[::-1]
    channels = stage_channels(spec.height, spec.width, width)[::-1]
    blocks = Blocks(seed, dtype, spectral_norm, residual_blocks=blocks_per_stage * len(sizes))

    image = keras.Input(spec.image_shape, name="image", dtype="float32")
    label = keras.Input((), name="label", dtype="int32")
    x = _STAGES[architecture](image, sizes, channels, blocks, blocks_per_stage)
    logit = blocks.projection_head(x, label, spec.num_classes, "logit")
    return keras.Model([image, label], logit, name=name)


def _residual_stages(
    x: Any,
    sizes: list[tuple[int, int]],
    channels: list[int],
    blocks: Blocks,
    blocks_per_stage: int,
) -> Any:
    first = 0 if has_blocks(sizes[0], sizes) else 1
    stride = factors(sizes[first], sizes[0])
    # Twice the stride: every pixel counts alike.
    x = blocks.conv(x, "from_image", channels[first], 4 if first else 3, strides=stride)
    for stage, filters in enumerate(channels[first:], first):
        if stage > first:
            stride = factors(sizes[stage], sizes[stage - 1])
            x = keras.layers.AveragePooling2D(
                stride, padding="same", name=f"stage{stage}_pool", dtype=blocks.dtype
            )(x)
            if x.shape[-1] != filters:
                x = blocks.conv(x, f"stage{stage}_channels", filters, 1, use_bias=False)
        for block in range(blocks_per_stage):
            x = blocks.residual(x, f"stage{stage}_block{block}")
    x = blocks.conv(x, "last", channels[-1], 3)
    return blocks.activation(x, "last_activation")


def _convolutional_stages(
    x: Any,
    sizes: list[tuple[int, int]],
    channels: list[int],
    blocks: Blocks,
    blocks_per_stage: int,
) -> Any:
    x = blocks.conv(x, "from_image", channels[0], 3)
    x = blocks.activation(x, "from_image_activation")
    for stage in range(1, len(channels)):
        stride = factors(sizes[stage], sizes[stage - 1])
        x = blocks.conv(x, f"stage{stage}_down", channels[stage], 4, strides=stride)
        x = blocks.activation(x, f"stage{stage}_down_activation")
        x = blocks.conv(x, f"stage{stage}_conv", channels[stage], 3)
        x = blocks.activation(x, f"stage{stage}_conv_activation")
    return x


_STAGES: dict[str, Callable[..., Any]] = {
    "residual": _residual_stages,
    "convolutional": _convolutional_stages,
}
ARCHITECTURES = (*_STAGES, "backbone")
