"""The front end's arithmetic: from numbers and indices to the vector that models take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_ganaccel.modality.table.curve import Curve

YEAR = 365.2425
WEEK = 7.0
DAY = 86_400.0


@dataclass(frozen=True)
class Arithmetic:
    """What stands between the raw form of a device and the encoded vector.

    The raw form is a float32 vector of numbers, NaN for a missing one, and an int32 vector of
    indices of categories, -1 for one that is not known. The encoded vector holds, in this order,
    a number for each curve, sine and cosine for each cycle, 1 or 0 for each flag (missing or not),
    and a span for each category, 1 at its index. Python, TFLite and C do the same with these.

    Args:
        numbers: The length of the raw vector of numbers.
        curves: For each the raw number it takes, and the curve.
        cycles: For each the raw number it takes, and its period.
        flags: For each the raw number that may be missing.
        spans: For each category the number of its values.
    """

    numbers: int
    curves: tuple[tuple[int, Curve], ...]
    cycles: tuple[tuple[int, float], ...]
    flags: tuple[int, ...]
    spans: tuple[int, ...]

    @property
    def width(self) -> int:
        """The length of the encoded vector."""
        return len(self.curves) + 2 * len(self.cycles) + len(self.flags) + sum(self.spans)

    def encode(self, numbers: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Encodes the raw form.

        Args:
            numbers: float32, shape ``(n, numbers)``.
            indices: int32, shape ``(n, number of spans)``.

        Returns:
            float32, shape ``(n, width)``.
        """
        encoded = np.zeros((len(numbers), self.width), np.float32)
        place = 0
        for source, curve in self.curves:
            encoded[:, place] = curve.encode(numbers[:, source])
            place += 1
        for source, period in self.cycles:
            turn = numbers[:, source].astype(np.float64) * (2 * np.pi / period)
            missing = np.isnan(turn)
            encoded[:, place] = np.where(missing, 0.0, np.sin(turn))
            encoded[:, place + 1] = np.where(missing, 0.0, np.cos(turn))
            place += 2
        for source in self.flags:
            encoded[:, place] = np.isnan(numbers[:, source])
            place += 1
        for span, size in enumerate(self.spans):
            index = indices[:, span]
            known = np.flatnonzero((index >= 0) & (index < size))
            encoded[known, place + index[known]] = 1.0
            place += size
        return encoded
