"""The numbers that a compression is given, checked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from keras_ganaccel.errors import InvalidInputError

_WHOLE = frozenset({"batch_size", "calibration_samples", "number_of_clusters", "seed", "steps"})


def check_numbers(given: Mapping[str, Any], positive: frozenset[str]) -> None:
    """Refuses what is no number where one must be: text, None, NaN, or 16.0 for whole ones.

    Args:
        given: The numbers by their names.
        positive: Those that must be above 0; the others may be 0.

    Raises:
        InvalidInputError: One is of another kind.

    Example:
        >>> check_numbers({"steps": 600, "sparsity": 0.5}, frozenset({"steps"}))
    """
    for name, value in given.items():
        whole = name in _WHOLE
        fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        if not fits or not math.isfinite(value):
            raise InvalidInputError(
                f"`{name}` must be a {'whole ' if whole else ''}number. Received: {value!r}. "
                "Leave it out for the default."
            )
        if value < 0 or (name in positive and value == 0):
            wanted = "be above 0" if name in positive else "not be negative"
            raise InvalidInputError(
                f"`{name}` must {wanted}. Received: {value}. Leave it out for the default."
            )
