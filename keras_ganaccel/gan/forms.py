"""The two forms of a sample: encoded outside of the GAN, relaxed between its networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.distribution import require
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.registry import modality_named, modality_of

#: By how much encoded samples may leave their range through rounding.
RANGE_SLACK = 1e-3


class Forms:
    """Leads from encoded samples to relaxed ones and back, as their modality says.

    Args:
        spec: The description of the data; None for images, which need none.

    Example:
        >>> forms = Forms()
        >>> x = np.array([[[[0.25]]]], np.float32)
        >>> bool((forms.harden(forms.relax(x)) == x).all())
        True
    """

    def __init__(self, spec: Spec | None = None) -> None:
        self.spec = spec
        self._modality = modality_named("image") if spec is None else modality_of(spec)
        self._ends = self._modality.encoded_range

    def relax(self, encoded: Any) -> Any:
        """Maps encoded samples, an array or a tensor, to relaxed ones."""
        return self._modality.relax(encoded, self.spec)

    def harden(self, relaxed: Any) -> Any:
        """Maps relaxed samples, an array or a tensor, to encoded ones."""
        return self._modality.harden(relaxed, self.spec)

    def picture(
        self, encoded: Any, labels: np.ndarray, class_names: Sequence[str] | None = None
    ) -> Any:
        """Draws encoded samples, a row for each class; None where they cannot be drawn."""
        return self._modality.picture(encoded, labels, class_names)

    def check(self, encoded: Any) -> None:
        """Refuses arrays that are no encoded samples.

        Args:
            encoded: Samples of any shape.

        Raises:
            InvalidInputError: They lie outside of their range, or are no numbers.
        """
        x = np.asarray(encoded)
        lowest, highest = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
        low, high = self._bounds
        # NaN fails as well.
        if not (lowest >= low and highest <= high):
            raise InvalidInputError(self._refusal(f"values from {lowest:g} to {highest:g}"))

    def checked(self, encoded: tf.Tensor) -> tf.Tensor:
        """Returns the samples of a step; where it runs, wrong ones are refused as by `check`."""
        low, high = self._bounds
        inside = tf.reduce_all((encoded >= low) & (encoded <= high))
        return require(encoded, inside, self._refusal("values outside, or that are no numbers"))

    @property
    def _bounds(self) -> tuple[float, float]:
        if self._ends is None:
            largest = float(np.finfo(np.float32).max)
            return -largest, largest
        return self._ends[0] - RANGE_SLACK, self._ends[1] + RANGE_SLACK

    def _refusal(self, received: str) -> str:
        where = "finite" if self._ends is None else f"in [{self._ends[0]:g}, {self._ends[1]:g}]"
        return (
            f"A GAN takes encoded samples, {where}. Received: {received}. "
            "Pass what `data.arrays` gives."
        )
