"""Keeps the native chatter of TensorFlow's converter off the terminal."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def native_stderr_to_log() -> Iterator[None]:
    """Sends what is written to file descriptor 2 to this module's logger, at level DEBUG.

    TensorFlow's C++ code writes there in spite of every log-level variable, so the descriptor
    itself is exchanged. Python warnings are silenced too, and absl's messages below ERROR.

    Yields:
        Nothing. After the block, errors included, descriptor 2 is as it was.

    Example:
        >>> import keras_ganaccel as ga
        >>> import os
        >>> with ga.native_stderr_to_log():
        ...     written = os.write(2, b"Nobody sees this.")
        >>> written
        17
    """
    absl = logging.getLogger("absl")
    level = absl.level
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        absl.setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            absl.setLevel(level)
            captured.seek(0)
            for line in captured.read().decode(errors="replace").splitlines():
                logger.debug("converter: %s", line)
