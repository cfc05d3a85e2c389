"""From labelled data to the most accurate small Keras model.

``import keras_ganaccel as ga`` gives the whole journey (`accelerate`) and its stages. Names are
loaded when they are first used, so that the import itself stays light.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from keras_ganaccel import onednn
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.saved_classes import register_when_keras_loads
from keras_ganaccel.version import __version__

_EXPORTS = {
    "AccelerationResult": "journey.result",
    "accelerate": "journey.accelerate",
    "RunConfig": "config",
    "preset": "config",
    "load_config": "config",
    "with_values": "config",
    "make_strategy": "distribution",
    "DataSpec": "data.spec",
    "LabelledData": "data.sources",
    "load_data": "data.sources",
    "ConditionalGAN": "gan.conditional_gan",
    "build_generator": "gan.generator",
    "build_discriminator": "gan.discriminator",
    "train_gan": "gan.train",
    "TrainedGenerator": "gan.trained",
    "GeneratedDataset": "mixing.generated",
    "mix_datasets": "mixing.mix",
    "write_pool": "mixing.pool",
    "GanSource": "mixing.sources",
    "make_source": "mixing.sources",
    "TeacherAgreement": "mixing.filters",
    "ConfidenceBand": "mixing.filters",
    "NearDuplicates": "mixing.filters",
    "build_classifier": "classifier.build",
    "Distiller": "classifier.distill",
    "Ensemble": "classifier.teacher",
    "build_teacher": "classifier.teacher",
    "train_classifier": "classifier.train",
    "utility_gate": "gate.decide",
    "compress": "export.techniques",
    "export_saved_model": "export.saved_model",
    "export_tflite": "export.tflite",
    "export_c_array": "export.c_array",
    "inspect_tflite": "export.inspect",
    "predict": "export.predict",
    "verify": "export.verify",
    "write_manifest": "export.manifest",
    "check_manifest": "export.manifest",
    "Ledger": "report.ledger",
    "GanAccelError": "errors",
}

__all__ = ["__version__", *_EXPORTS]


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
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    globals()[name] = value
    onednn.mention_once()
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
