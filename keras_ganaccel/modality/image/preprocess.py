"""Between the [0, 1] of classifiers and the [-1, 1] of the GAN."""

from __future__ import annotations

import numpy as np


def unit_to_signed(unit: np.ndarray) -> np.ndarray:
    """Maps [0, 1] to the GAN's [-1, 1], in float32.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> ga.unit_to_signed(np.array([0.0, 0.5, 1.0])).tolist()
        [-1.0, 0.0, 1.0]
    """
    return np.asarray(unit, np.float32) * 2.0 - 1.0


def signed_to_unit(signed: np.ndarray) -> np.ndarray:
    """Maps the GAN's [-1, 1] to [0, 1], clipped, in float32.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> ga.signed_to_unit(np.array([-1.0, 0.0, 1.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    return np.clip((np.asarray(signed, np.float32) + 1.0) / 2.0, 0.0, 1.0)
