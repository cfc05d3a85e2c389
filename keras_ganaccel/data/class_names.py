"""Names of classes, as reports, terminals and files can show them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from keras_ganaccel.errors import InvalidInputError

# Control characters, halves of characters, and ends of lines and paragraphs.
_UNSHOWN = ("Cc", "Cs", "Zl", "Zp")
# These turn the direction of what follows, which then reads as another name.
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_LONGEST_NAME = 1000


def in_one_line(text: str) -> str:
    r"""Takes white space away around a name, and makes one blank of it within, as ends of lines.

    Example:
        >>> in_one_line(" stop\r\nsign ")
        'stop sign'
    """
    return " ".join(text.split())


def check_class_names(names: Sequence[Any]) -> None:
    """Checks that reports, terminals and files can show the names of classes, and tell them apart.

    Args:
        names: One name per class.

    Raises:
        InvalidInputError: If one is no short string without control characters, or one is another.

    Example:
        >>> check_class_names(("Zürich", "字"))
    """
    for name in names:
        if not _is_name(name):
            raise InvalidInputError(
                "`class_names` must be short strings without control characters. "
                f"Received: {str(name)[:80]!r}. Rename the class."
            )
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise InvalidInputError(
            f"`class_names` must be different. Received: {twice!r} more than once. Name each class."
        )


def _is_name(name: Any) -> bool:
    """Whether a terminal can show a name without being steered by it."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return False
    return not any(
        unicodedata.category(character) in _UNSHOWN
        or unicodedata.bidirectional(character) in _TURNING
        for character in name
    )
