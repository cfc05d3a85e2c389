"""Runs a TFLite file in a process of its own first: a damaged one can crash the interpreter."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from keras_ganaccel.errors import VerificationError
from keras_ganaccel.json_files import read_json

# The file comes on standard input: what is tried out are the very bytes that were read. It runs as
# it will be run, and once more without delegates, which keep the shapes in between to themselves.
_PROGRAM = """
import json
import sys
try:
    import resource
    for limit, most in ((resource.RLIMIT_AS, sys.argv[1]), (resource.RLIMIT_CPU, sys.argv[2])):
        resource.setrlimit(limit, (int(most), int(most)))
except (ImportError, ValueError, OSError):
    pass
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

content = sys.stdin.buffer.read()

def run(**options):
    interpreter = Interpreter(model_content=content, num_threads=1, **options)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    interpreter.invoke()
    return interpreter

run()
tried = run(
    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    experimental_preserve_all_tensors=True,
)
json.dump(
    [
        [int(d["index"]), [int(n) for n in d["shape"]], np.dtype(d["dtype"]).name]
        for d in tried.get_tensor_details()
    ],
    sys.stdout,
)
"""
_ADDRESS_SPACE = 4 * 2**30
_PER_BYTE = 16
_SECONDS = 60
_MOST_REPORT_BYTES = 2**26


@dataclass(frozen=True)
class Trial:
    """What the interpreter found when it ran a file once, on zeros.

    Args:
        shapes: The shape of each tensor of the first subgraph, by its number.
        dtypes: Its type, as NumPy spells it.
        bytes: What these tensors take together.
    """

    shapes: dict[int, tuple[int, ...]]
    dtypes: dict[int, str]
    bytes: int


def try_out(content: bytes, name: str) -> Trial | None:
    """Lets a throwaway process of limited time and memory load a file and run it on zeros.

    A flatbuffer may be well-formed and still describe something that the interpreter, which
    trusts it, crashes or hangs on.

    Args:
        content: The bytes of a ``.tflite`` file that `flatbuffer.parse` has found valid.
        name: What to call it in errors.

    Returns:
        What it found; None if the interpreter itself refuses the file, or cannot run it without
        its delegates.

    Raises:
        VerificationError: If the process is killed by a signal, or does not end.
    """
    limits = [str(_ADDRESS_SPACE + _PER_BYTE * len(content)), str(_SECONDS)]
    try:
        finished = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *limits],
            input=content,
            capture_output=True,
            timeout=2 * _SECONDS,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationError(
            f"{name} must run. Received: no answer within {2 * _SECONDS} s. Export it again."
        ) from error
    if finished.returncode < 0:
        raise VerificationError(
            f"{name} must run. Received: the interpreter crashed on it, or took more than "
            f"{_SECONDS} s or {int(limits[0]) >> 20} MB (signal {-finished.returncode}). "
            "Export it again."
        )
    if finished.returncode:
        return None
    return _report(finished.stdout)


def _report(printed: bytes) -> Trial:
    found = read_json(printed, most_bytes=_MOST_REPORT_BYTES)
    return Trial(
        shapes={index: tuple(shape) for index, shape, _ in found},
        dtypes={index: dtype for index, _, dtype in found},
        bytes=sum(_bytes_of(shape, dtype) for _, shape, dtype in found),
    )


def _bytes_of(shape: list[int], dtype: str) -> int:
    return math.prod(shape) * (np.dtype(dtype).itemsize or 1)
