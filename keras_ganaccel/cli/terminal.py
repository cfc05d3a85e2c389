"""What the terminal sees: our own lines, and none of TensorFlow's start-up noise."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from typing import Any

from rich.console import Console


def silence_tensorflow() -> None:
    """Keeps the noise of TensorFlow's C++ part off the terminal.

    It writes to file descriptor 2 whatever the log-level variables say. So that descriptor goes
    to a temporary file, and Python's own standard error to a copy of the real one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        descriptor = os.dup(2)
    except OSError:
        return
    sys.stderr = io.TextIOWrapper(
        os.fdopen(descriptor, "wb", 0), encoding="utf-8", errors="replace", write_through=True
    )
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)


def silence_python_libraries() -> None:
    """Keeps warnings that are not ours (absl's, TensorFlow's, Keras') off the terminal."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


def console(json_output: bool) -> Console:
    """Returns where progress is shown: standard output, or standard error beside JSON."""
    return Console(stderr=json_output)


def show_json(value: Any) -> None:
    """Prints a value as JSON for programs."""
    print(json.dumps(value, indent=2, allow_nan=False))


def show_error(text: str) -> None:
    """Prints an error as exactly one line on standard error."""
    line = " ".join(text.split())
    print(f"ganaccel: {line}", file=sys.stderr, flush=True)
