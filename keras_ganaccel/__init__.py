"""From labelled data to the most accurate small Keras model.

``import keras_ganaccel as ga`` gives the whole journey (`accelerate`) and its stages. Names are
loaded when they are first used, so that the import itself stays light; `__init__.pyi` lists them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import lazy_loader

from keras_ganaccel import onednn
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.saved_classes import register_when_keras_loads
from keras_ganaccel.version import __version__ as __version__

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _require_tensorflow_backend() -> None:
    """Refuses to go on where Keras computes with something else than TensorFlow."""
    if "keras" in sys.modules and hasattr(sys.modules["keras"], "backend"):
        backend = sys.modules["keras"].backend.backend()
    else:
        backend = os.environ.get("KERAS_BACKEND") or _configured_backend()
    if backend != "tensorflow":
        raise InvalidInputError(
            f"keras_ganaccel needs Keras on TensorFlow. Received: KERAS_BACKEND={backend}. "
            "Set KERAS_BACKEND=tensorflow before Python starts."
        )


def _configured_backend() -> str:
    """Reads the backend out of Keras' own configuration file, as Keras itself does."""
    home = os.environ.get("KERAS_HOME")
    folder = Path(home) if home else Path("~").expanduser() / ".keras"
    try:
        return str(json.loads((folder / "keras.json").read_text()).get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def _is_command_line() -> bool:
    """Whether the command line is what imports the package: a script of its name, or `-m`."""
    return Path(sys.argv[0]).stem == "ganaccel" or sys.orig_argv[1:3] == ["-m", __name__]


try:
    _require_tensorflow_backend()
except InvalidInputError as _error:
    if not _is_command_line():
        raise
    # Too early for the command line's own handling: it begins by importing this package.
    sys.stderr.write(f"ganaccel: {_error}\n")
    sys.exit(_error.exit_code)
register_when_keras_loads()


def __getattr__(name: str) -> Any:
    value = _load(name)
    onednn.mention_once()
    return value
