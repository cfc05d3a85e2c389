"""Copies what is deployed out of a run folder."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.export.manifest import write_manifest

_DEPLOYED = ("student_pruned_int8.tflite", "student_int8.tflite", "student_float32.tflite")


def publish(run: Path, target: Path, files: tuple[str, ...] = _DEPLOYED) -> Path:
    """Copies the deployable artefacts and the ledger, and writes a manifest over them.

    Args:
        run: A finished run folder.
        target: The folder to make; it appears by one rename, and must not exist.
        files: Which files of ``artifacts/``.

    Returns:
        `target`.

    Raises:
        InvalidInputError: `target` exists already.
        MissingFileError: The run is not finished.
    """
    if target.exists():
        raise InvalidInputError(
            f"The place to publish to exists already. Received: {str(target)!r}. "
            "Choose another name, or remove it."
        )
    if not (run / "ledger.json").is_file():
        raise MissingFileError(
            f"Only a finished run can be published. Received: {str(run)!r}. Resume it first."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir()
        for name in files:
            shutil.copyfile(run / "artifacts" / name, temporary / name)
        shutil.copyfile(run / "ledger.json", temporary / "ledger.json")
        write_manifest(temporary)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target
