"""Rows of raw samples, which are an array or a pandas frame: taken, joined and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_CHUNK = 1024


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
