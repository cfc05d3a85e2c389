"""Generators: functional models from noise and a class to a sample in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from keras_ganaccel.modality.image.blocks import (
    Blocks,
    factors,
    has_blocks,
    pyramid,
    stage_channels,
)
from keras_ganaccel.modality.image.layers import (
    BilinearResize,
    ClassEmbedding,
    ConditionalBatchNormalization,
    SubpixelShuffle,
)
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.seeds import derive_seed


def build_generator(
    spec: DataSpec,
    latent_dim: int = 64,
    *,
    architecture: str = "residual",
    width: int | None = None,
    blocks_per_stage: int = 1,
    seed: int = 0,
    dtype: Any = None,
    name: str = "generator",
) -> keras.Model:
    """Builds a class-conditional generator for samples of any size.

    ``"residual"`` is free of normalisation: grouped bottleneck blocks that start as the identity
    and bilinear resampling, as in R3GAN (arXiv 2501.05441). ``"transposed"`` and ``"subpixel"``
    are convolutions (transposed, or followed by a rearrangement of channels into pixels) with
    class-conditional batch norm. All start from a dense layer over the noise and a learned vector
    of the class, and end in a float32 ``tanh``.

    Args:
        spec: The description of the data: size, channels and classes.
        latent_dim: Length of the noise vector.
        architecture: ``"residual"``, ``"transposed"`` or ``"subpixel"``.
        width: Channels at full resolution, deeper stages have more; None chooses by the size.
        blocks_per_stage: Residual blocks per resolution; the other architectures ignore it.
        seed: Seed of the initial weights.
        dtype: Keras dtype policy, such as ``"mixed_bfloat16"``; None takes the global one.
        name: The model's name.

    Returns:
        A functional model: inputs ``[latent (batch, latent_dim) float32, label (batch,) int32]``,
        output float32, ``(batch, height, width, channels)``, in [-1, 1].
    """
    sizes = pyramid(spec.height, spec.width)
    channels = stage_channels(spec.height, spec.width, width)
    blocks = Blocks(seed, dtype, residual_blocks=blocks_per_stage * len(sizes))

    latent = keras.Input((latent_dim,), name="latent", dtype="float32")
    label = keras.Input((), name="label", dtype="int32")
    x = _stem(latent, label, spec.num_classes, (*sizes[0], channels[0]), blocks)
    x = _STAGES[architecture](x, label, sizes, channels, spec.num_classes, blocks, blocks_per_stage)
    x = blocks.conv(x, "to_image", spec.channels, 3, gain=0.5)
    image = keras.layers.Activation("tanh", name="image", dtype="float32")(x)
    return keras.Model([latent, label], image, name=name)


def _stem(
    latent: Any, label: Any, num_classes: int, shape: tuple[int, int, int], blocks: Blocks
) -> Any:
    """A dense layer from noise and class to the smallest feature map."""
    embedding = ClassEmbedding(
        num_classes,
        latent.shape[-1],
        # As large as the noise, so that both count alike at the start.
        keras.initializers.RandomNormal(stddev=1.0, seed=derive_seed(blocks.seed, "embedding")),
        name="class_embedding",
        dtype=blocks.dtype,
    )(label)
    joined = keras.layers.Concatenate(name="latent_and_class", dtype=blocks.dtype)(
        [latent, embedding]
    )
    rows, columns, channels = shape
    x = keras.layers.Dense(
        rows * columns * channels,
        kernel_initializer=blocks.normal("stem"),
        name="stem",
        dtype=blocks.dtype,
    )(joined)
    return keras.layers.Reshape(shape, name="stem_map", dtype=blocks.dtype)(x)


def _residual_stages(
    x: Any,
    label: Any,
    sizes: list[tuple[int, int]],
    channels: list[int],
    num_classes: int,
    blocks: Blocks,
    blocks_per_stage: int,
) -> Any:
    for stage, ((rows, columns), filters) in enumerate(zip(sizes, channels, strict=True)):
        if stage:
            # The 1x1 convolution commutes with the resampling and is cheaper before it.
            if x.shape[-1] != filters:
                x = blocks.conv(x, f"stage{stage}_channels", filters, 1, use_bias=False)
            x = BilinearResize(rows, columns, name=f"stage{stage}_resize", dtype=blocks.dtype)(x)
        for block in range(blocks_per_stage if has_blocks((rows, columns), sizes) else 0):
            x = blocks.residual(x, f"stage{stage}_block{block}")
    return blocks.activation(x, "last_activation")


def _normalized_stages(
    x: Any,
    label: Any,
    sizes: list[tuple[int, int]],
    channels: list[int],
    num_classes: int,
    blocks: Blocks,
    blocks_per_stage: int,
    *,
    upsample: Callable[[Any, str, int, tuple[int, int], Blocks], Any],
) -> Any:
    """Upsampling convolutions, each followed by conditional batch norm and activation."""

    def normalized(x: Any, name: str) -> Any:
        x = ConditionalBatchNormalization(
            num_classes, name=f"{name}_normalization", dtype=blocks.dtype
        )([x, label])
        return blocks.activation(x, f"{name}_activation")

    x = normalized(x, "stem")
    for stage in range(1, len(sizes)):
        name = f"stage{stage}"
        growth = factors(sizes[stage - 1], sizes[stage])
        x = upsample(x, f"{name}_upsample", channels[stage], growth, blocks)
        surplus = [(0, x.shape[axis + 1] - sizes[stage][axis]) for axis in (0, 1)]
        if any(after for _, after in surplus):
            x = keras.layers.Cropping2D(surplus, name=f"{name}_crop", dtype=blocks.dtype)(x)
        x = normalized(x, f"{name}_upsample")
        x = normalized(
            blocks.conv(x, f"{name}_conv", channels[stage], 3, use_bias=False), f"{name}_conv"
        )
    return x


def _transposed_upsample(
    x: Any, name: str, filters: int, growth: tuple[int, int], blocks: Blocks
) -> Any:
    # A kernel that the stride divides touches every pixel equally often: no checkerboard.
    return keras.layers.Conv2DTranspose(
        filters,
        4,
        strides=growth,
        padding="same",
        use_bias=False,
        kernel_initializer=blocks.normal(name),
        name=name,
        dtype=blocks.dtype,
    )(x)


def _subpixel_upsample(
    x: Any, name: str, filters: int, growth: tuple[int, int], blocks: Blocks
) -> Any:
    x = blocks.conv(x, f"{name}_conv", filters * growth[0] * growth[1], 3, use_bias=False)
    return SubpixelShuffle(growth, name=name, dtype=blocks.dtype)(x)


_STAGES: dict[str, Callable[..., Any]] = {
    "residual": _residual_stages,
    "transposed": partial(_normalized_stages, upsample=_transposed_upsample),
    "subpixel": partial(_normalized_stages, upsample=_subpixel_upsample),
}
ARCHITECTURES = tuple(_STAGES)
