"""Values that are not numbers, found before they can spoil a model's weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_ganaccel.errors import InvalidInputError

_CHUNK_ELEMENTS = 2**22
_LARGEST = float(np.finfo(np.float32).max)
_LISTED = 5


def check_finite(values: Any, name: str = "x") -> None:
    """Makes sure that float32, in which models compute, can hold every value of an array.

    One NaN in one sample makes every weight of a model NaN after one step.

    Args:
        values: Anything `numpy.asarray` takes, rows along its first axis. Whatever is not floating
            point passes.
        name: What the message calls the array.

    Raises:
        InvalidInputError: If any value is NaN, infinite or too large for float32; the message
            tells how many rows hold such values, and which.

    Example:
        >>> check_finite([[0.0, 1.0]])
        >>> check_finite([[0.0], [float("nan")]])
        Traceback (most recent call last):
        ...
        keras_ganaccel.errors.InvalidInputError: `x` must hold finite numbers. Received: NaN, \
infinity or values beyond float32 in 1 of 2 rows (row 1). Replace such values or leave out their \
rows.
    """
    array = np.asarray(values)
    # NumPy gives the floating types of other libraries, such as bfloat16, the kind V.
    if array.dtype.kind not in "fV" or array.dtype.names or not array.size:
        return
    rows = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    step = max(1, _CHUNK_ELEMENTS // rows.shape[1])
    bad: list[int] = []
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        # The comparison is false for NaN.
        fits = np.isfinite(chunk) if chunk.itemsize <= 4 else np.abs(chunk) <= _LARGEST
        bad += (start + np.flatnonzero(~fits.all(axis=1))).tolist()
    if bad:
        raise InvalidInputError(
            f"`{name}` must hold finite numbers. Received: NaN, infinity or values beyond float32 "
            f"in {len(bad)} of {len(rows)} rows ({listed_rows(bad)}). "
            "Replace such values or leave out their rows."
        )


def listed_rows(rows: list[int]) -> str:
    """Names row numbers, the first few of many.

    Example:
        >>> listed_rows([3]), listed_rows([1, 4, 6])
        ('row 3', 'rows 1, 4, 6')
    """
    more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:_LISTED]))}{more}"
