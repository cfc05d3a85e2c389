"""What the terminal sees: our own lines, and none of TensorFlow's start-up noise."""

from __future__ import annotations

import codecs
import io
import json
import os
import signal
import sys
import threading
from typing import Any

from rich.console import Console

# What a console that knows ASCII only shows instead.
_PLAIN = {
    "±": "+-", "→": "->", "←": "<-", "–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "·": ".",
    "•": "*", "≥": ">=", "≤": "<=", "≈": "~", "ε": "eps", "∞": "inf", "²": "^2", "─": "-", "━": "-",
    "│": "|", "┃": "|", "╸": "-", "╺": "-", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
_ERRORS = "keras_ganaccel.plain"


def prepare_terminal() -> None:
    """Makes the terminal fit for what the commands write, and signals for how they end.

    A sign that the console's encoding lacks is written in plain letters; a request to end the
    process (SIGTERM, SIGHUP) is taken as Ctrl-C is.
    """
    codecs.register_error(_ERRORS, _in_plain_letters)
    silence_tensorflow()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What the user told the process to ignore (nohup) stays ignored.
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _interrupt)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _in_plain_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    plain = (_PLAIN.get(sign) or _escaped(sign) for sign in signs)
    return "".join(plain), error.end


def _escaped(sign: str) -> str:
    return sign.encode("ascii", "backslashreplace").decode("ascii")


def silence_tensorflow() -> None:
    """Keeps the noise of TensorFlow's C++ part off the terminal.

    It writes to file descriptor 2 whatever the log-level variables say. So that descriptor leads
    nowhere, and Python's own standard error to a copy of the real one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        descriptor = os.dup(2)
    except OSError:
        return
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    sys.stderr = io.TextIOWrapper(
        os.fdopen(descriptor, "wb", 0), encoding=encoding, errors="replace", write_through=True
    )
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)


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
    if sys.stderr is not None:
        print(f"ganaccel: {line}", file=sys.stderr, flush=True)
