"""Copies what is deployed out of a run folder, and checks what was copied."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.errors import InvalidInputError, MissingFileError, VerificationError
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.export.manifest import check_manifest, write_manifest
from keras_ganaccel.export.predict import image_size_of
from keras_ganaccel.export.verify import verify
from keras_ganaccel.modality.load import load_data
from keras_ganaccel.report.ledger import Ledger
from keras_ganaccel.rundir import RunFolder

logger = logging.getLogger(__name__)

_ACCURACY_TOLERANCE = 0.005
_EXACT = ("format", "bytes", "parameters", "sparsity", "dtype_in", "dtype_out", "input")
_NEAR = {
    "accuracy": _ACCURACY_TOLERANCE,
    "balanced_accuracy": 2 * _ACCURACY_TOLERANCE,
    "macro_f1": 2 * _ACCURACY_TOLERANCE,
    "gzip_bytes": 0.02,
}
# Earlier ledgers do not have these.
_NEAR_IF_STATED = {
    "log_loss": 0.02,
    "calibration_error": 2 * _ACCURACY_TOLERANCE,
    "auc": 2 * _ACCURACY_TOLERANCE,
}
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
        InvalidInputError: The ledger is no ledger, or has no row for a file.
        VerificationError: A byte has changed, or a figure is not the ledger's.
    """
    is_run = (folder / "artifacts").is_dir()
    place = folder / "artifacts" if is_run else folder
    digests = check_manifest(place)
    ledger = Ledger.load(folder / "ledger.json")
    rows = _rows_of(sorted(name for name in digests if name.endswith(".tflite")), ledger)
    settings = RunFolder(folder).config.data if is_run else None
    found: list[dict[str, Any]] = []
    wrong: list[str] = []
    for name, row in rows.items():
        opened = open_artifact(place / name)
        if opened.digest != digests[name]:
            wrong.append(f"{name} has changed while it was measured")
        loaded = load_data(
            data or (settings.source if settings else ledger.values["data"]["name"]),
            image_size=image_size_of(opened),
            labels_per_class=settings.labels_per_class if settings else None,
            value_range=settings.value_range if settings else None,
            skip_corrupt=bool(settings and settings.skip_corrupt),
        )
        measured = verify(opened, loaded).as_dict()
        wrong += [f"{name} has {lie}" for lie in _lies(row, measured)]
        wrong += _data_lies(ledger.values["data"], loaded) if not found else []
        found.append(measured)
    if wrong:
        raise VerificationError(
            f"The files do not reach what the ledger states. Received: {'; '.join(wrong)}. "
            "Export them again, or measure on the data that the ledger was made with."
        )
    others = [str(row["name"]) for row in ledger.values["stages"] if row not in rows.values()]
    if others:
        logger.warning(
            "The ledger's figures of %s were not measured: only TFLite files are.",
            ", ".join(others),
        )
    return found


def _rows_of(names: list[str], ledger: Ledger) -> dict[str, Mapping[str, Any]]:
    """Returns the ledger's row of each TFLite file."""
    rows: dict[str, Mapping[str, Any]] = {}
    for row in ledger.values["stages"]:
        path = PurePosixPath(str(row["file"]))
        base = path.name
        if str(path.parent) not in (".", "artifacts"):
            raise InvalidInputError(
                "The ledger's files lie in its folder, or in artifacts/ beside it. Received: "
                f"{str(path)!r}. Restore it, or run again."
            )
        if base in rows:
            raise InvalidInputError(
                f"The ledger must have one row per file. Received: two of {base!r}. "
                "Restore it, or run again."
            )
        rows[base] = row
    unknown = [name for name in names if name not in rows]
    if unknown or not names:
        received = f"none of {', '.join(unknown)}" if unknown else "no TFLite file at all"
        raise InvalidInputError(
            f"The ledger must have a row for each TFLite file of the folder. Received: {received}. "
            "Publish what a run made, and nothing else."
        )
    return {name: rows[name] for name in names}


def _lies(row: Mapping[str, Any], measured: Mapping[str, Any]) -> list[str]:
    """Lists the figures of a row that are not those of its file."""
    exact = [key for key in _EXACT if key in row and measured[key] != row[key]]
    # Another processor rounds floats otherwise, and may tip a sample that lies between classes;
    # another zlib compresses to other sizes.
    near = [
        key
        for key, tolerance in _NEAR.items()
        if not isinstance(row[key], (int, float))
        or abs(measured[key] - row[key]) > tolerance * max(1.0, abs(measured[key]))
    ]
    near += [
        key
        for key, tolerance in _NEAR_IF_STATED.items()
        if row.get(key) is not None
        and abs(measured[key] - row[key]) > tolerance * max(1.0, abs(measured[key]))
    ]
    if not _is_near(row["ci95"], measured["ci95"]):
        near.append("ci95")
    return [f"{key} {measured[key]}, the ledger {row[key]}" for key in (*exact, *near)]


def _is_near(stated: Any, interval: list[float]) -> bool:
    return (
        isinstance(stated, list)
        and len(stated) == len(interval)
        and all(isinstance(end, (int, float)) for end in stated)
        and np.allclose(stated, interval, rtol=0, atol=2 * _ACCURACY_TOLERANCE)
    )


def _data_lies(stated: Mapping[str, Any], loaded: LabelledData) -> list[str]:
    held = {"classes": list(loaded.spec.class_names), "test": len(loaded.splits.test)}
    return [
        f"the data have {key} {value}, the ledger {stated[key]}"
        for key, value in held.items()
        if stated[key] != value
    ]
