"""oneDNN: the CPU kernels that TensorFlow leaves off where the CPU has no AVX-512.

There they matter most, see docs/cpu.md. The variable counts until TensorFlow is loaded: the command
line sets it before that, the library can only say what it would bring.
"""

from __future__ import annotations

import logging
import os
import platform
import sys

logger = logging.getLogger(__name__)

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_X86 = ("x86_64", "amd64", "x64")

_mentioned = False


def prefer() -> None:
    """Switches oneDNN on for this process and its children, unless the user has decided."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(VARIABLE, "1")


def is_on() -> bool:
    """Tells whether TensorFlow computes with oneDNN; loads TensorFlow."""
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def mention_once() -> None:
    """Logs once that TensorFlow has been loaded without oneDNN, and what it would bring.

    Says nothing where TensorFlow is not loaded yet, where the user has set the variable, and on
    other CPUs than x86.
    """
    global _mentioned
    if _mentioned or "tensorflow" not in sys.modules:
        return
    _mentioned = True
    if VARIABLE in os.environ or platform.machine().lower() not in _X86 or is_on():
        return
    logger.warning(
        "TensorFlow computes without oneDNN, as it does on CPUs without AVX-512. Training is up to "
        "twice as fast with it: set %s=1 before TensorFlow is imported.",
        VARIABLE,
    )
