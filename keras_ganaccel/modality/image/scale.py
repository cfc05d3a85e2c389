"""The range of raw values: found in the data, and compared with that of other data."""

from __future__ import annotations

import numpy as np

from keras_ganaccel.errors import InvalidInputError

# A pixel a little brighter than any in training is no other scale.
_TOLERANCE = 0.25
_MOST_ROWS_OUTSIDE = 0.5
_LEAST_EXTENT = 0.1
# Samples in [0, 1] beside data in [-1, 1] are not clipped, and still are at another scale.
_USUAL_EXTENT = 0.51
# Fewer may all be dark.
_ENOUGH_ROWS = 20
FLAT_SHARE_OF_RANGE = 0.02
# float32 has some 1,700 steps in a range this narrow beside its values.
_LEAST_RELATIVE_WIDTH = 1e-4


def natural_range(x: np.ndarray) -> tuple[float, float]:
    """The dtype's ends for integers that need all of its bits, else the ends of the values.

    Example:
        >>> natural_range(np.uint8([0, 250])), natural_range(np.uint8([0, 16]))
        ((0.0, 255.0), (0.0, 16.0))
    """
    if x.dtype.kind == "b":
        return 0.0, 1.0
    low, high = float(x.min()), float(x.max())
    if fills_dtype(x):
        ends = np.iinfo(x.dtype)
        return float(ends.min), float(ends.max)
    return low, high


def fills_dtype(x: np.ndarray) -> bool:
    """Whether integers reach into the outer half of their dtype."""
    if x.dtype.kind not in "iu":
        return False
    ends = np.iinfo(x.dtype)
    return bool(x.max() > ends.max // 2 or x.min() < ends.min // 2)


def check_width(value_range: tuple[float, float]) -> None:
    """Refuses a range too narrow beside its values for float32 to tell samples apart.

    Raises:
        InvalidInputError: It is.
    """
    low, high = value_range
    largest = max(abs(low), abs(high))
    if not high - low > max(_LEAST_RELATIVE_WIDTH * largest, float(np.finfo(np.float32).tiny)):
        raise InvalidInputError(
            f"Samples must differ by more than a ten-thousandth of their values. Received: values "
            f"from {low:g} to {high:g}. Subtract their mean, or rescale them."
        )


def to_scale(
    x: np.ndarray, value_range: tuple[float, float], name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Brings samples to the scale of the data they belong to, or refuses them.

    Integers that fill their dtype, such as uint8 pictures beside samples in [0, 1], have a range of
    their own and are mapped from that. Others outside of the data's range would be clipped.

    Args:
        x: Samples, shape ``(n, height, width, channels)``.
        value_range: The value range of the data.
        name: What messages call the samples.

    Returns:
        The samples in `value_range`, and what was done to them.

    Raises:
        InvalidInputError: If most samples lie outside of the range, or all of twenty or more in a
            tenth of it.

    Example:
        >>> x, notes = to_scale(np.full((1, 1, 2, 1), 255, np.uint8), (0.0, 1.0), "more")
        >>> x.ravel().tolist()
        [1.0, 1.0]
    """
    finding = off_scale(x, value_range)
    if not finding:
        return x, narrow_note(x, value_range, name)
    low, high = value_range
    if fills_dtype(x):
        first, last = natural_range(x)
        scaled = low + (x.astype(np.float64) - first) * ((high - low) / (last - first))
        note = (
            f"The {x.dtype} values of `{name}` were mapped from [{first:g}, {last:g}] to the "
            f"data's value range [{low:g}, {high:g}]."
        )
        return scaled.astype(np.float32), (note,)
    raise InvalidInputError(
        f"`{name}` must have the data's value range, [{low:g}, {high:g}]. Received: {finding}. "
        "Rescale them, or set `value_range` (--value-range)."
    )


def off_scale(x: np.ndarray, value_range: tuple[float, float]) -> str | None:
    """How samples seem to be at another scale than `value_range`, in a few words, or None.

    Args:
        x: Samples, shape ``(n, height, width, channels)``.
        value_range: Where their values should lie.
    """
    if not x.size:
        return None
    low, high = value_range
    width = high - low
    axes = tuple(range(1, x.ndim))
    smallest, largest = (ends.astype(np.float64) for ends in (x.min(axis=axes), x.max(axis=axes)))
    outside = (smallest < low - _TOLERANCE * width) | (largest > high + _TOLERANCE * width)
    found = f"values from {smallest.min():g} to {largest.max():g}"
    if outside.mean() > _MOST_ROWS_OUTSIDE:
        return found
    if len(x) >= _ENOUGH_ROWS and 0 < largest.max() - smallest.min() < _LEAST_EXTENT * width:
        return f"{found}, all in a tenth of it"
    return None


def narrow_note(x: np.ndarray, value_range: tuple[float, float], name: str) -> tuple[str, ...]:
    """Asks about many samples that take half of the data's value range or less.

    Args:
        x: Samples, shape ``(n, height, width, channels)``.
        value_range: The value range of the data.
        name: What the note calls the samples.

    Returns:
        A note, or nothing.
    """
    if len(x) < _ENOUGH_ROWS:
        return ()
    low, high = value_range
    smallest, largest = float(x.min()), float(x.max())
    if largest - smallest > _USUAL_EXTENT * (high - low):
        return ()
    return (
        f"The values of `{name}` go from {smallest:g} to {largest:g} only, the data's value range "
        f"from {low:g} to {high:g}. Are they at another scale?",
    )


def value_warnings(x: np.ndarray, rows: np.ndarray, value_range: tuple[float, float]) -> list[str]:
    """Warns of samples that show nothing, and of values that encoding clips.

    Args:
        x: Samples, shape ``(n, height, width, channels)``.
        rows: The numbers of those that count.
        value_range: The raw values that mean black and white.

    Returns:
        Sentences, or none.
    """
    low, high = value_range
    axes = tuple(range(1, x.ndim))
    smallest, largest = (
        ends.astype(np.float64)[rows] for ends in (x.min(axis=axes), x.max(axis=axes))
    )
    found = []
    flat = int((largest - smallest <= FLAT_SHARE_OF_RANGE * (high - low)).sum())
    if flat:
        found.append(f"{flat} samples are almost constant.")
    outside = int(((smallest < low) | (largest > high)).sum())
    if outside:
        found.append(
            f"{outside} samples have values outside of [{low:g}, {high:g}]; they are clipped."
        )
    return found
