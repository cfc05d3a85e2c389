"""The errors of the package: one base class, and each also is the builtin that it resembles.

The message is always one line: what was wrong, what was received, what to do. The command line
prints exactly that line and exits with `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GanAccelError(Exception):
    """Base class of everything that this package raises on purpose.

    Its text is one printable line, whatever names out of a stranger's file stand in it.

    Example:
        >>> print(GanAccelError("No such class. Received: 'a" + chr(10) + "b'."))
        No such class. Received: 'a b'.
    """

    exit_code = 1

    def __str__(self) -> str:
        line = " ".join(super().__str__().split())
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


class InvalidInputError(GanAccelError, ValueError):
    """An argument, option, array or file does not fit."""

    exit_code = 2


class MissingFileError(InvalidInputError, FileNotFoundError):
    """A file or folder that was named does not exist or cannot be read."""


class DamagedFileError(InvalidInputError):
    """A file that the package wrote is damaged, or is no longer what was written."""


class UnsafeModelError(InvalidInputError):
    """A model file holds code (a lambda) that would run when it is loaded."""


class MissingExtraError(InvalidInputError, ImportError):
    """An optional dependency is needed and not installed."""


class UnsupportedLayerError(InvalidInputError, TypeError):
    """A layer or operation cannot be carried over to another framework or format."""


class RunFailedError(GanAccelError, RuntimeError):
    """Training or another stage could not be brought to a good end."""


class CheckpointError(GanAccelError, OSError):
    """No usable checkpoint was found where one is needed."""

    exit_code = 2


class EquivalenceError(GanAccelError, ArithmeticError):
    """Two models that must compute the same do not."""


class VerificationError(GanAccelError, AssertionError):
    """An exported artefact does not keep what was promised of it."""


class RunInterrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C or by a signal, and can be gone on with.

    Args:
        message: One line with the words that go on with it.
        folder: The run folder.
    """

    def __init__(self, message: str, folder: str) -> None:
        super().__init__(message)
        self.folder = folder


def nearest(name: str, options: Iterable[str]) -> str:
    """Ends an error message with the nearest known name, or with all of them.

    Args:
        name: What was received.
        options: The names that exist.

    Returns:
        A sentence such as ``"Did you mean 'default'?"``.

    Example:
        >>> nearest("defualt", ["quick", "default", "best"])
        "Did you mean 'default'?"
        >>> nearest("zzz", ["quick", "default"])
        "Choose one of 'default', 'quick'."
    """
    known = sorted(options)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return "Choose one of " + ", ".join(repr(option) for option in known) + "."
