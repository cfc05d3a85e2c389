"""Runs a TFLite file in a process of its own first: a damaged one can crash the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

from keras_ganaccel.errors import VerificationError

_PROGRAM = """
import sys
import numpy as np
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
except (ImportError, ValueError, OSError):
    pass
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for detail in interpreter.get_input_details():
    interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
interpreter.invoke()
"""
_ADDRESS_SPACE = 16 * 2**30
_SECONDS = 60


def check_runs(path: str | os.PathLike[str]) -> None:
    """Lets a throwaway process load a file and run it once on zeros.

    A flatbuffer may be well-formed and still describe something that the interpreter, which
    trusts it, crashes or hangs on. Errors that the interpreter reports by itself are left to the
    caller's own run.

    Args:
        path: A ``.tflite`` file that `inspect_tflite` has found valid.

    Raises:
        VerificationError: If the process is killed by a signal, or does not end.
    """
    name = os.path.basename(path)
    try:
        finished = subprocess.run(
            [sys.executable, "-c", _PROGRAM, os.fspath(path), str(_ADDRESS_SPACE)],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationError(
            f"{name} must run. Received: no answer within {_SECONDS} s. Export it again."
        ) from error
    if finished.returncode < 0:
        raise VerificationError(
            f"{name} must run. Received: the interpreter crashed on it (signal "
            f"{-finished.returncode}). Export it again."
        )
