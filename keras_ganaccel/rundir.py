"""The folder of one run: its configuration, its surroundings, what is done, and what came out.

A folder appears under its name only when it already holds `config.yaml`; a stage counts as done
when its record is in place. So a run that was killed anywhere can be opened and gone on with.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.config import RunConfig, load_config, save_config
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.files import atomic_open, write_json

_PACKAGES = (
    "keras-ganaccel", "tensorflow", "keras", "tf_keras", "tensorflow-model-optimization",
    "ai-edge-litert", "numpy", "scikit-learn",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """Describes what a run's figures depend on: versions, processor and system."""
    versions: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "logical_cpus": os.cpu_count(),
        "packages": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def check_out_folder(path: str | os.PathLike[str]) -> Path:
    """Checks that a new run can be written to `path`.

    Raises:
        InvalidInputError: It exists and is not an empty folder, or cannot be written to.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InvalidInputError(
            f"The out folder must be new or empty. Received: {str(path)!r}. "
            "Choose another, or go on with an earlier run by --resume."
        )
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    target = path if path.exists() else parent
    if not (target.is_dir() and os.access(target, os.W_OK | os.X_OK)):
        raise InvalidInputError(
            f"The out folder cannot be written. Received: {str(path)!r}. "
            "Choose a folder that you may write to."
        )
    return path


class RunFolder:
    """A run folder that exists and holds a configuration.

    Args:
        path: The folder. Use `create` for a new one.

    Raises:
        MissingFileError: There is no run in that folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not (self.path / "config.yaml").is_file():
            raise MissingFileError(
                f"There is no run to go on with. Received: {str(path)!r}. "
                "Name a folder that `ganaccel run` made."
            )
        self.config: RunConfig = load_config(self.path / "config.yaml")

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        config: RunConfig,
        prepare: Callable[[Path], None] | None = None,
    ) -> RunFolder:
        """Makes a run folder; it appears by one rename, complete.

        Args:
            path: The folder to make. It must not exist, or be empty.
            config: The resolved configuration.
            prepare: Called with the folder under its temporary name, to put more into it.

        Raises:
            InvalidInputError: The folder is not empty or cannot be written.
        """
        path = check_out_folder(path)
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        temporary = path.absolute().with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            for name in ("checkpoints", "samples", "artifacts"):
                (temporary / name).mkdir(parents=True)
            save_config(config, temporary / "config.yaml")
            write_json(temporary / "environment.json", environment())
            if prepare is not None:
                prepare(temporary)
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(path)

    @property
    def artifacts(self) -> Path:
        """The folder of what is delivered."""
        return self.path / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """The folder of what a resumed run needs."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """The folder of sample pictures."""
        return self.path / "samples"

    @property
    def metrics(self) -> Path:
        """The file of training curves, a JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.record("report") is not None

    def record(self, stage: str) -> dict[str, Any] | None:
        """Returns what a finished stage recorded, or None if it is still to do."""
        path = self.checkpoints / f"{stage}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def finish(self, stage: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Marks a stage as done, and returns its record as it will be read back."""
        write_json(self.checkpoints / f"{stage}.json", dict(record))
        return self.record(stage) or {}

    def log(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows to `metrics.jsonl`."""
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)

    def cut_metrics(self, stage: str) -> None:
        """Takes the rows of an unfinished stage out of `metrics.jsonl`."""
        if not self.metrics.is_file():
            return
        rows = read_metrics(self.metrics)
        kept = [row for row in rows if row.get("stage") != stage]
        if len(kept) < len(rows):
            with atomic_open(self.metrics, "w") as file:
                file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in kept)


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads `metrics.jsonl`; a last line that a kill cut short is left out."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


def save_splits(folder: Path, splits: Mapping[str, np.ndarray]) -> None:
    """Writes `splits.npz`: the row numbers of `train`, `validation` and `test`."""
    with atomic_open(folder / "splits.npz") as file:
        arrays: dict[str, Any] = {name: rows.astype(np.int64) for name, rows in splits.items()}
        np.savez(file, **arrays)


def python_command() -> str:
    """The words that start the command line in this environment, for hints to the user."""
    return (
        "ganaccel" if shutil.which("ganaccel") else f"{Path(sys.executable).name} -m keras_ganaccel"
    )
