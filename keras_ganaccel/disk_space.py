"""A disk or a quota that is full: told from other failures, and what is free."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from keras_ganaccel.errors import chain_of

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
# HDF5, TensorFlow and NumPy tell of a full disk in words of their own.
_FULL_WORDS = re.compile(
    r"no space left on device|quota exceeded|errno = (?:28|122)\b|requested and \d+ written", re.I
)


def out_of_space(error: BaseException) -> bool:
    """Whether an error, or one that led to it, tells that the disk or a quota is full.

    Example:
        >>> out_of_space(OSError(28, "No space left on device")), out_of_space(OSError(2, "none"))
        (True, False)
    """
    return any(
        (isinstance(each, OSError) and each.errno in _FULL) or _FULL_WORDS.search(str(each))
        for each in chain_of(error)
    )


def free_space(path: str | os.PathLike[str]) -> str:
    """Says how much can still be written at a place that need not exist yet."""
    place = Path(os.path.abspath(path))
    while not place.exists():
        place = place.parent
    return f"{shutil.disk_usage(place).free / 1000:.0f} kB free"
