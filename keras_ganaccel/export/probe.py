"""Runs a TFLite file in a process of its own first: a damaged one can crash the interpreter."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_ganaccel.errors import VerificationError
from keras_ganaccel.json_files import read_json

# The file comes on standard input: what is tried out are the very bytes that were read.
_LIMITS = """
import io
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

content = sys.stdin.buffer.read(int(sys.argv[3]))
"""
# It runs as it will be run, and once more without delegates, which keep the shapes in between to
# themselves.
_TRIAL = """
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
_ANSWERS = """
interpreter = Interpreter(model_content=content, num_threads=1)
interpreter.allocate_tensors()
details = interpreter.get_input_details()
samples = io.BytesIO(sys.stdin.buffer.read())
inputs = [np.load(samples, allow_pickle=False) for _ in details]
step, output = details[0]["shape"][0], interpreter.get_output_details()[0]["index"]
answers = []
for start in range(0, len(inputs[0]), step):
    interpreter.reset_all_variables()
    for detail, values in zip(details, inputs):
        interpreter.set_tensor(detail["index"], values[start : start + step])
    interpreter.invoke()
    answers.append(interpreter.get_tensor(output))
found = io.BytesIO()
np.save(found, np.concatenate(answers), allow_pickle=False)
sys.stdout.buffer.write(found.getvalue())
"""
_ADDRESS_SPACE = 4 * 2**30
_PER_BYTE = 16
_SECONDS = 60
_SECONDS_PER_SAMPLE = 0.05
_MOST_REPORT_BYTES = 2**26


@dataclass(frozen=True)
class Trial:
    """What the interpreter found when it ran a file once, on zeros.

    Args:
        shapes: The shape of each tensor of the first subgraph, by its number.
        dtypes: Its type, as NumPy spells it.
    """

    shapes: dict[int, tuple[int, ...]]
    dtypes: dict[int, str]


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
    finished = _in_process(_TRIAL, content, b"", name, _SECONDS)
    return None if finished.returncode else _report(finished.stdout)


def run_apart(content: bytes, name: str, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Lets a throwaway process of limited time and memory compute the first output of samples.

    Args:
        content: The bytes of a ``.tflite`` file that was tried out.
        name: What to call it in errors.
        inputs: Per input an array ``(n, ...)`` of its tensor's type, n whole batches.

    Returns:
        ``(n, ...)``, of the output's own type.

    Raises:
        VerificationError: If the process fails, is killed by a signal, or does not end.
    """
    samples = io.BytesIO()
    for values in inputs:
        np.save(samples, values, allow_pickle=False)
    seconds = _SECONDS + math.ceil(_SECONDS_PER_SAMPLE * len(inputs[0]))
    finished = _in_process(_ANSWERS, content, samples.getvalue(), name, seconds)
    if finished.returncode:
        reason = finished.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise VerificationError(
            f"{name} must run on every sample. Received: {reason[:200]}. Export it again."
        )
    return np.load(io.BytesIO(finished.stdout), allow_pickle=False)


def _in_process(
    program: str, content: bytes, more: bytes, name: str, seconds: int
) -> subprocess.CompletedProcess[bytes]:
    memory = _ADDRESS_SPACE + _PER_BYTE * len(content) + 4 * len(more)
    try:
        finished = subprocess.run(
            [sys.executable, "-c", _LIMITS + program, *map(str, (memory, seconds, len(content)))],
            input=content + more,
            capture_output=True,
            timeout=2 * seconds,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationError(
            f"{name} must run. Received: no answer within {2 * seconds} s. Export it again."
        ) from error
    if finished.returncode < 0:
        raise VerificationError(
            f"{name} must run. Received: the interpreter crashed on it, or took more than "
            f"{seconds} s or {memory >> 20} MB (signal {-finished.returncode}). Export it again."
        )
    return finished


def _report(printed: bytes) -> Trial:
    found = read_json(printed, most_bytes=_MOST_REPORT_BYTES)
    return Trial(
        shapes={index: tuple(shape) for index, shape, _ in found},
        dtypes={index: dtype for index, _, dtype in found},
    )
