"""Copies what is deployed out of a run folder, and checks what was copied."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.data.sources import load_data
from keras_ganaccel.errors import InvalidInputError, MissingFileError, VerificationError
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.export.manifest import check_manifest, write_manifest
from keras_ganaccel.export.verify import verify
from keras_ganaccel.report.ledger import Ledger
from keras_ganaccel.rundir import RunFolder

_ACCURACY_TOLERANCE = 0.005
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


def verify_published(folder: Path, data: str | None = None) -> list[dict[str, Any]]:
    """Checks every byte of a folder, and measures its TFLite files against its ledger.

    Args:
        folder: A published folder, or a run folder.
        data: Where the data are; by default the source of the run, or the ledger's data set.

    Returns:
        What `verify` found, one row per TFLite file.

    Raises:
        VerificationError: A byte has changed, or a figure is not the ledger's.
    """
    is_run = (folder / "artifacts").is_dir()
    check_manifest(folder / "artifacts" if is_run else folder)
    ledger = Ledger.load(folder / "ledger.json")
    settings = RunFolder(folder).config.data if is_run else None
    rows = {Path(row["file"]).name: row for row in ledger.values["stages"]}
    found, wrong = [], []
    for path in sorted(folder.rglob("*.tflite")):
        row = rows[path.name]
        metadata = open_artifact(path).metadata
        loaded = load_data(
            data or (settings.source if settings else ledger.values["data"]["name"]),
            image_size=tuple(row["input"]["shape"][1:3]),
            value_range=metadata.value_range,
            skip_corrupt=bool(settings and settings.skip_corrupt),
        )
        low, high = (np.float32(end) for end in metadata.input_range)
        x, y = loaded.arrays("test")
        measured = verify(path, (low + (high - low) * x, y)).as_dict()
        wrong += [
            f"{path.name} has {key} {measured[key]}, the ledger {row[key]}"
            for key in ("bytes", "sparsity", "dtype_in", "dtype_out")
            if measured[key] != row[key]
        ]
        # Another processor rounds floats otherwise, and may tip a sample that lies between classes.
        if abs(measured["accuracy"] - row["accuracy"]) > _ACCURACY_TOLERANCE:
            wrong.append(
                f"{path.name} has accuracy {measured['accuracy']}, the ledger {row['accuracy']}"
            )
        found.append(measured)
    if wrong:
        raise VerificationError(
            f"The files do not reach what the ledger states. Received: {'; '.join(wrong)}. "
            "Export them again, or measure on the data that the ledger was made with."
        )
    return found
