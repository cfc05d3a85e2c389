"""How this process was started, so that the words of a hint work when they are pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

_PROGRAM = "ganaccel"


def command_line(*words: str | os.PathLike[str]) -> str:
    """Returns a `ganaccel` command as this environment's shell takes it.

    Args:
        words: What follows `ganaccel`, unquoted.

    Returns:
        The program as it was called, by its path where it is not the one that the shell finds, or
        this interpreter with ``-m keras_ganaccel``; then the words, quoted.
    """
    parts = [*_program(), *(os.fspath(word) for word in words)]
    return subprocess.list2cmdline(parts) if os.name == "nt" else shlex.join(parts)


def _program() -> list[str]:
    called = sys.argv[0] if sys.argv else ""
    if os.path.basename(called).removesuffix(".exe") == _PROGRAM:
        path = shutil.which(called)
        found = shutil.which(_PROGRAM)
        if found is not None and (path is None or os.path.samefile(path, found)):
            return [_PROGRAM]
        if path is not None:
            return [os.path.abspath(path)]
    return [sys.executable or "python3", "-m", "keras_ganaccel"]
