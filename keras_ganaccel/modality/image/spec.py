"""What a data set looks like: the one description that every later stage builds from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_ganaccel.errors import InvalidInputError


@dataclass(frozen=True)
class DataSpec:
    """Shape, classes and value range of a labelled data set.

    Args:
        height: Rows of a sample.
        width: Columns of a sample.
        channels: 1 (grey) or 3 (RGB).
        class_names: One name per class, in the order of the integer labels 0..k-1.
        value_range: The raw values that mean black and white, such as ``(0.0, 255.0)``.
        modality: What a sample is; ``"image"`` so far.

    Example:
        >>> import keras_ganaccel as ga
        >>> spec = ga.DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0))
        >>> spec.image_shape, spec.num_classes
        ((8, 8, 1), 10)
    """

    height: int
    width: int
    channels: int
    class_names: tuple[str, ...]
    value_range: tuple[float, float] = (0.0, 1.0)
    modality: str = "image"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise InvalidInputError(
                f"Samples must have 1 or 3 channels. Received: {self.channels}. "
                "Convert them to grey or RGB."
            )
        low, high = self.value_range
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise InvalidInputError(
                f"`value_range` must be two finite numbers, the lower first. "
                f"Received: {self.value_range}. Give the values that mean black and white."
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)``."""
        return (self.height, self.width, self.channels)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def input_scale(self) -> float:
        """The factor in ``unit = raw * scale + offset``."""
        low, high = self.value_range
        return 1.0 / (high - low)

    @property
    def input_offset(self) -> float:
        """The summand in ``unit = raw * scale + offset``."""
        low, high = self.value_range
        return -low / (high - low)
