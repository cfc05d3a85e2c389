"""What the networks are put together from: seeded, named layers and residual blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_ganaccel.modality.image.layers import DirectConv2D
from keras_ganaccel.modality.image.spectral import ProjectionLogit, SpectralConv2D
from keras_ganaccel.seeds import derive_seed

LEAK = 0.2
# Channels of one group of a grouped convolution, as in R3GAN.
_GROUP_CHANNELS = 16
_EXPANSION = 2
# Below or at this size an axis is not halved any more.
_SMALLEST_SIZE = 4
# More at full resolution and it has no blocks.
_MOST_PIXELS_WITH_BLOCKS = 256


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes that a network passes through, the smallest first.

    Each axis is halved, rounding up, until it is 4 or less; an axis that got there first waits.

    Args:
        height: Rows at full resolution.
        width: Columns at full resolution.

    Returns:
        ``(rows, columns)`` per stage; the last is ``(height, width)``.

    Example:
        >>> pyramid(28, 9)
        [(4, 3), (7, 3), (14, 5), (28, 9)]
    """
    sizes = [(height, width)]
    while max(sizes[-1]) > _SMALLEST_SIZE:
        sizes.append((_halved(sizes[-1][0]), _halved(sizes[-1][1])))
    return sizes[::-1]


def _halved(size: int) -> int:
    return (size + 1) // 2 if size > _SMALLEST_SIZE else size


def factors(smaller: tuple[int, int], larger: tuple[int, int]) -> tuple[int, int]:
    """By how much each axis grows between two neighbouring stages of a pyramid: 1 or 2."""
    rows, columns = (2 if low < high else 1 for low, high in zip(smaller, larger, strict=True))
    return rows, columns


def has_blocks(size: tuple[int, int], sizes: list[tuple[int, int]]) -> bool:
    """Whether a residual network has blocks at a size of its pyramid.

    The full resolution above 16 x 16 has none: there they would cost more than all others.

    Args:
        size: One of ``sizes``.
        sizes: All of them, in any order.

    Example:
        >>> sizes = pyramid(28, 28)
        >>> [has_blocks(size, sizes) for size in sizes]
        [True, True, True, False]
    """
    return size != max(sizes) or size[0] * size[1] <= _MOST_PIXELS_WITH_BLOCKS


def stage_channels(height: int, width: int, channels: int | None) -> list[int]:
    """Channels per stage of the pyramid, in its order.

    Args:
        height: Rows at full resolution.
        width: Columns at full resolution.
        channels: Channels at full resolution; None chooses 32 for up to 16 x 16 pixels and 16 for
            more: wider networks are better after many steps, and worse after an equal time.

    Returns:
        Channels that double from stage to stage downwards, up to 128 (or ``channels``, if that is
        more).

    Example:
        >>> stage_channels(8, 8, None), stage_channels(28, 28, None)
        ([64, 32], [128, 64, 32, 16])
    """
    pixels = height * width
    if channels is None:
        channels = 32 if pixels <= _MOST_PIXELS_WITH_BLOCKS else 16
    count = len(pyramid(height, width))
    most = max(channels, 128)
    return [min(channels * 2**level, most) for level in reversed(range(count))]


@dataclass(frozen=True)
class Blocks:
    """Makes the layers of one network, each with its own name, seed and dtype.

    Args:
        seed: Seed of the initial weights.
        dtype: Keras dtype policy of the layers; None takes the global one.
        spectral_norm: Whether convolutions are spectrally normalised.
        residual_blocks: Residual blocks in the whole network; their initial weights shrink with
            it (Fixup, arXiv 1901.09321).
    """

    seed: int
    dtype: Any = None
    spectral_norm: bool = False
    residual_blocks: int = 1

    def normal(self, name: str, gain: float = 1.0) -> keras.initializers.Initializer:
        """Normal initial values that keep the variance through a leaky ReLU, times a gain."""
        scale = 2.0 / (1.0 + LEAK**2) * gain**2
        return keras.initializers.VarianceScaling(
            scale, "fan_in", "untruncated_normal", seed=derive_seed(self.seed, name)
        )

    def conv(
        self, x: Any, name: str, filters: int, size: int, *, gain: float = 1.0, **options: Any
    ) -> Any:
        """A convolution with "same" padding; ``gain=0`` starts it at zero."""
        layer = SpectralConv2D if self.spectral_norm else DirectConv2D
        initializer = self.normal(name, gain) if gain else keras.initializers.Zeros()
        return layer(
            filters,
            size,
            padding="same",
            kernel_initializer=initializer,
            name=name,
            dtype=self.dtype,
            **options,
        )(x)

    def activation(self, x: Any, name: str) -> Any:
        """A leaky ReLU."""
        return keras.layers.LeakyReLU(LEAK, name=name, dtype=self.dtype)(x)

    def residual(self, x: Any, name: str) -> Any:
        """An inverted bottleneck without normalisation, as in R3GAN (arXiv 2501.05441).

        A 1x1 convolution to twice the channels, a grouped 3x3 one, and a 1x1 one back. The last
        starts at zero, so the block starts as the identity. A spectrally normalised kernel cannot
        be zero and starts like the others.
        """
        channels = x.shape[-1]
        inner = channels * _EXPANSION
        groups = inner // _GROUP_CHANNELS if inner % _GROUP_CHANNELS == 0 else 1
        # Fixup: L ** (-1 / (2m - 2)) for m = 3 convolutions per branch.
        gain = self.residual_blocks**-0.25
        branch = self.conv(x, f"{name}_expand", inner, 1, gain=gain)
        branch = self.activation(branch, f"{name}_expand_activation")
        branch = self.conv(branch, f"{name}_grouped", inner, 3, gain=gain, groups=groups)
        branch = self.activation(branch, f"{name}_grouped_activation")
        branch = self.conv(
            branch, f"{name}_project", channels, 1, gain=float(self.spectral_norm), use_bias=False
        )
        return keras.layers.Add(name=f"{name}_add", dtype=self.dtype)([x, branch])

    def projection_head(self, x: Any, label: Any, num_classes: int, name: str) -> Any:
        """Averages a feature map over its positions and projects it to a float32 logit.

        Args:
            x: Feature map, shape ``(batch, rows, columns, channels)``.
            label: Shape ``(batch,)``, integer, -1 for unlabelled.
            num_classes: The number of classes.
            name: Name of the logit's layer; the pooling layer's starts with it.

        Returns:
            float32 logits, shape ``(batch,)``.
        """
        pooled = keras.layers.GlobalAveragePooling2D(name=f"{name}_pool", dtype="float32")(x)
        seed = derive_seed(self.seed, name)
        return ProjectionLogit(num_classes, self.spectral_norm, seed, name=name)([pooled, label])
