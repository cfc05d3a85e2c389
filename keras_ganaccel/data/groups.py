"""Groups of rows that must stay on one side of every split: given as such, or read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.errors import InvalidInputError, MissingFileError, reason_of


def read_groups(groups: Any) -> np.ndarray:
    """Returns one group per row.

    Args:
        groups: An array or a list of them, or the path of a file: .npy, or text with a group a
            line.

    Returns:
        The groups, shape ``(n,)`` where they are well-formed; `make_splits` checks them.

    Raises:
        MissingFileError: There is no such file.
        InvalidInputError: It cannot be read.

    Example:
        >>> read_groups(["anna", "bert", "anna"]).shape
        (3,)
    """
    if not isinstance(groups, (str, Path)):
        return np.asarray(groups)
    path = Path(groups).expanduser()
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        return np.array(path.read_text(encoding="utf-8-sig").splitlines())
    except OSError as error:
        raise MissingFileError(
            f"There are no groups to read. Received: {str(path)!r} ({error.strerror}). "
            "Name a column of the data, or a file with one group per row."
        ) from None
    except ValueError as error:
        raise InvalidInputError(
            f"The groups cannot be read. Received: {str(path)!r} ({reason_of(error)}). "
            "Give an .npy file of numbers or text, or a text file with one group a line."
        ) from None
