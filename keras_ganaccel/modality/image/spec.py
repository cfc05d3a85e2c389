"""What images look like: their size, their classes, and what black and white are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_ganaccel.data.class_names import check_class_names
from keras_ganaccel.errors import InvalidInputError


@dataclass(frozen=True)
class DataSpec:
    """Shape, classes and value range of labelled images; the `Spec` of this modality.

    Args:
        height: Rows of a sample.
        width: Columns of a sample.
        channels: 1 (grey) or 3 (RGB).
        class_names: One name per class, in the order of the integer labels 0..k-1.
        value_range: The raw values that mean black and white, such as ``(0.0, 255.0)``.
        modality: What a sample is: always ``"image"``.

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
        if self.modality != "image":
            raise InvalidInputError(
                f"A `DataSpec` describes images. Received: modality={self.modality!r}. "
                "Leave it out, or use the specification of that modality."
            )
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
        check_class_names(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)``."""
        return (self.height, self.width, self.channels)

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """The shape of an encoded sample: ``(height, width, channels)``."""
        return self.image_shape

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

    def encode(self, raw: Any) -> np.ndarray:
        """Maps raw samples to what classifiers take.

        Args:
            raw: Samples, shape ``(n, height, width[, channels])``, any real dtype, in
                `value_range`.

        Returns:
            float32 samples, shape ``(n, height, width, channels)``, in [0, 1] (values outside the
            range are clipped).

        Example:
            >>> spec = DataSpec(1, 1, 1, ("a", "b"), (0.0, 16.0))
            >>> float(spec.encode(np.array([[[4]]]))[0, 0, 0, 0])
            0.25
        """
        unit = np.asarray(raw, np.float32).reshape(len(raw), *self.image_shape)
        unit = unit * np.float32(self.input_scale) + np.float32(self.input_offset)
        return np.clip(unit, 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values, of which `from_dict` makes an equal specification."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """Makes a specification of what `to_dict` returned.

        Raises:
            InvalidInputError: Keys are missing or unknown, or values do not fit.
        """
        sequences = {
            key: tuple(values[key]) for key in ("class_names", "value_range") if key in values
        }
        try:
            return cls(**{**values, **sequences})
        except TypeError as error:
            raise InvalidInputError(
                f"The description of the images cannot be read. Received: {error}. "
                "Make the file again."
            ) from None
