"""The memory that TFLite Micro needs for a file, measured by TFLite Micro itself."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

# In a process of its own: TFLite Micro reports to file descriptor 2, and may abort on a file that
# it does not support.
_PROGRAM = """
import sys
from tflite_micro.python.tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1]).print_allocations()
"""
_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")
_SECONDS = 60


def arena_bytes(path: str | os.PathLike[str]) -> int | None:
    """Measures the tensor arena of a file by the optional package ``tflite-micro``.

    Args:
        path: A ``.tflite`` file.

    Returns:
        Bytes, or None if the package is not installed or does not support the file.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        return None
    try:
        finished = subprocess.run(
            [sys.executable, "-c", _PROGRAM, os.fspath(path)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return reported_total(finished.stderr + finished.stdout)


def reported_total(report: str) -> int | None:
    """Reads the arena's size out of TFLite Micro's report.

    Example:
        >>> reported_total("[RecordingMicroAllocator] Arena allocation total 3008 bytes")
        3008
    """
    found = _TOTAL.search(report)
    return int(found.group(1)) if found else None
