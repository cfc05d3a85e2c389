"""Rows of raw samples, which are an array or a pandas frame: taken, joined and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_CHUNK = 1024
# Of a further row that is equal without being a copy; and of different rows among all.
_CHANCE = 0.1
_FEW = 0.25


def is_frame(value: Any) -> bool:
    """Tells whether something is a pandas frame or works like one."""
    return all(hasattr(value, name) for name in ("columns", "dtypes", "drop", "iloc"))


def take_rows(x: Any, rows: np.ndarray) -> Any:
    """Returns some rows of an array or a frame, by their numbers or by a mask.

    Args:
        x: Raw samples: an array ``(n, ...)`` or a pandas frame of n rows.
        rows: Row numbers, integers, or a boolean mask of shape ``(n,)``.

    Returns:
        The rows, of the same type; a frame keeps its index.
    """
    return x.iloc[rows] if is_frame(x) else x[rows]


def join_rows(parts: Sequence[Any]) -> Any:
    """Puts arrays of one shape, or frames of the same columns, one below the other.

    Args:
        parts: At least one; all arrays or all frames.

    Returns:
        An array, or a frame whose index is 0, 1, ....
    """
    if not is_frame(parts[0]):
        return np.concatenate(parts)
    import pandas as pd

    return pd.concat(parts, ignore_index=True)


def row_keys(x: Any) -> np.ndarray:
    """Hashes samples so that equal ones have equal keys.

    Numbers are compared as models will see them, in float32; the columns of a frame as they are.

    Args:
        x: Raw samples: an array ``(n, ...)`` of any real dtype, or a pandas frame.

    Returns:
        uint64 keys, shape ``(n,)``.

    Example:
        >>> keys = row_keys(np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]]))
        >>> bool(keys[0] == keys[1]), bool(keys[0] == keys[2])
        (True, False)
    """
    if is_frame(x):
        from pandas.util import hash_pandas_object

        return hash_pandas_object(x, index=False).to_numpy(np.uint64)
    keys = np.empty(len(x), np.uint64)
    for start in range(0, len(x), _CHUNK):
        # Adding zero turns -0.0 into 0.0.
        chunk = np.ascontiguousarray(x[start : start + _CHUNK], np.float32) + np.float32(0)
        for row, sample in enumerate(chunk, start):
            digest = hashlib.blake2b(sample.data, digest_size=8).digest()
            keys[row] = int.from_bytes(digest, "little")
    return keys


def copy_keys(x: Any) -> np.ndarray:
    """Hashes samples so that copies of each other have equal keys.

    Of an array all equal samples are copies. Rows of a frame may also be equal by chance: two
    patients of one age and sex are two patients. A row is taken for no copy where a tenth of a
    further one like it, or more, would be expected if its values were independent of each other,
    as often as different rows hold them; and none is in a frame of few different rows.

    Args:
        x: Raw samples: an array ``(n, ...)`` of any real dtype, or a pandas frame.

    Returns:
        uint64 keys, shape ``(n,)``.

    Example:
        >>> import pandas as pd
        >>> len(set(copy_keys(pd.DataFrame({"sex": ["f", "m"] * 50}))))
        100
        >>> sizes = pd.DataFrame({"length": np.arange(99) / 7, "width": np.arange(99) / 3})
        >>> len(set(copy_keys(sizes.iloc[[*range(99), 0]])))
        99
    """
    keys = row_keys(x)
    if is_frame(x) and len(x):
        keys = np.where(_equal_by_chance(x, keys), np.arange(len(x), dtype=np.uint64), keys)
    return keys


def _equal_by_chance(frame: Any, keys: np.ndarray) -> np.ndarray:
    """Tells of each row whether others may well be equal that are no copies of it."""
    different, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if len(different) <= _FEW * len(keys):
        return np.ones(len(keys), bool)
    expected = np.full(len(different), float(len(different)))
    for name in frame.columns:
        values = row_keys(frame[[name]].iloc[first])
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        expected *= (counts[place] - 1) / len(different)
    return (expected >= _CHANCE)[inverse]


def update_digest(digest: Any, x: Any) -> None:
    """Adds samples to a hash: their type, their shape and all of their values.

    Args:
        digest: Such as ``hashlib.sha256()``.
        x: Raw samples: an array or a pandas frame.
    """
    if is_frame(x):
        kinds = [(str(name), str(dtype)) for name, dtype in zip(x.columns, x.dtypes, strict=True)]
        digest.update(repr((len(x), kinds)).encode())
        x = row_keys(x)
    digest.update(f"{x.dtype.str}{x.shape}".encode())
    digest.update(np.ascontiguousarray(x).data)
