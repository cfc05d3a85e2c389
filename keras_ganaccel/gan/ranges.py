"""The range of the samples that a GAN learns from."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.minibatch import RANGE_SLACK

UNSIGNED = (
    "A GAN takes samples in [-1, 1]. Received: no value below 0, as in [0, 1]. Map them by "
    "2 * x - 1."
)


def check_signed(x: Any) -> None:
    """Refuses samples that do not lie in [-1, 1], or use its upper half alone.

    Args:
        x: Samples of any shape; all zeros pass.

    Raises:
        InvalidInputError: They are in another range, or no numbers.

    Example:
        >>> check_signed(np.array([-1.0, 1.0]))
    """
    x = np.asarray(x)
    low, high = (x.min(), x.max()) if x.size else (0.0, 0.0)
    # NaN fails as well.
    if not (low >= -1 - RANGE_SLACK and high <= 1 + RANGE_SLACK):
        how = (
            "x / 127.5 - 1" if low >= 0 and 1 < high <= 255 else "the ends of its range to -1 and 1"
        )
        raise InvalidInputError(
            f"Samples must lie in [-1, 1]. Received: {low}..{high}. Map them by {how}."
        )
    if low >= 0 and high > 0:
        raise InvalidInputError(UNSIGNED)
