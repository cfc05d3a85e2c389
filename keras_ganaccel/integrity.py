"""What a run began with and what its stages left, sealed, so that a later change shows.

`checkpoints/run.json` holds the settings and versions that a run began with, and each stage's
record the SHA-256 of the files that the stage wrote. What is *missing* can be computed again, with
all that was made from it; what was *changed* is never overwritten: the user is told.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.config_file import load_config, to_dict
from keras_ganaccel.environment import environment
from keras_ganaccel.errors import DamagedFileError, InvalidInputError
from keras_ganaccel.files import sha256, shown
from keras_ganaccel.invocation import command_line
from keras_ganaccel.json_files import read_sealed_json, write_sealed_json

CHECKPOINTS = "checkpoints"
SPLITS = "splits.npz"
CONFIG = "config.yaml"
_SEAL = "run.json"
_FORMAT = 1
_ABOUT = "_run"
# Checked by themselves, or of no weight for what is computed.
_UNSEALED = ("metrics.jsonl", "samples", "profile", "environment.json", SPLITS, CONFIG)
# `ganaccel report` writes these anew from the ledger: that they exist is all that counts.
_REWRITABLE = ("report.html", "report.md")
_DELIVERED = ("artifacts", "ledger.json", *_REWRITABLE)


@dataclass(frozen=True)
class Beginning:
    """What a run was begun with.

    Args:
        id: Tells it from every other run.
        config: The resolved configuration, as `to_dict` returns it.
        environment: As `environment` returns it.
        splits: Digest of the row numbers of its splits, or None.
        folder: The working directory, which relative paths in the configuration start from.
    """

    id: str
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    splits: str | None
    folder: str


def write_beginning(folder: Path) -> None:
    """Seals what lies in a new run folder."""
    splits = folder / SPLITS
    begun = Beginning(
        id=uuid.uuid4().hex,
        config=to_dict(load_config(folder / CONFIG)),
        environment=environment(),
        splits=splits_digest(read_splits(splits)) if splits.is_file() else None,
        folder=os.getcwd(),
    )
    write_sealed_json(folder / CHECKPOINTS / _SEAL, {"format": _FORMAT, **vars(begun)})


def read_beginning(folder: Path) -> Beginning | None:
    """Reads what a run was begun with; None where that is not known.

    Raises:
        DamagedFileError: It is damaged, or of another version of this package.
    """
    path = folder / CHECKPOINTS / _SEAL
    if not os.path.lexists(path):
        return None
    try:
        values = read_sealed_json(path)
        if values.pop("format") != _FORMAT:
            raise ValueError
        return Beginning(**values)
    except (DamagedFileError, KeyError, ValueError, TypeError):
        raise DamagedFileError(
            f"What the run was begun with cannot be read. Received: {shown(path)!r}. "
            f"Restore the file, or {_begin_anew(folder)}"
        ) from None


def beginning(folder: Path) -> Beginning:
    """Reads what a run was begun with, where it must be known.

    Raises:
        DamagedFileError: It is not known.
    """
    found = read_beginning(folder)
    if found is None:
        raise DamagedFileError(
            f"What the run was begun with is not known. Received: {shown(folder)!r} without "
            f"{CHECKPOINTS}/{_SEAL}. Restore the file, or {_begin_anew(folder)}"
        )
    return found


def _begin_anew(folder: Path) -> str:
    """The end of a message: words to paste, and so no full stop behind them."""
    return f"start a new run: {command_line('run', '--config', shown(folder / CONFIG))}"


def check_config(folder: Path, begun: Beginning) -> None:
    """Refuses a `config.yaml` that is not what the run was begun with; a missing one is no matter.

    Raises:
        DamagedFileError: It was changed; the message names the settings.
    """
    path = folder / CONFIG
    if not os.path.lexists(path):
        return
    try:
        changed = dict(_changes(begun.config, to_dict(load_config(path))))
    except InvalidInputError as error:
        raise DamagedFileError(
            f"The run's configuration was damaged. Received: {shown(path)!r} ({error}) "
            "Restore it, or delete it: it is then written anew as the run was begun."
        ) from None
    if changed:
        told = ", ".join(f"{name}: {new!r} for {old!r}" for name, (old, new) in changed.items())
        raise DamagedFileError(
            f"A run keeps the settings that it was begun with. Received: {shown(path)!r} with "
            f"{told}. Put them back or delete the file to go on, or {_begin_anew(folder)}"
        )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[Any]:
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}", (before, after)


def read_splits(path: Path) -> dict[str, np.ndarray]:
    """Reads `splits.npz`.

    Raises:
        DamagedFileError: It is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as saved:
            return {name: saved[name] for name in ("train", "validation", "test")}
    # A damaged archive fails in nearly any way.
    except Exception:
        raise DamagedFileError(
            f"The run's splits are damaged. Received: {shown(path)!r}. "
            "Restore the file, or delete it: it is then written anew."
        ) from None


def splits_digest(splits: Mapping[str, np.ndarray]) -> str:
    """Returns a SHA-256 of the row numbers of the splits."""
    digest = hashlib.sha256()
    for name in ("train", "validation", "test"):
        rows = np.ascontiguousarray(splits[name], np.int64)
        digest.update(f"{name}{rows.shape}".encode())
        digest.update(rows.data)
    return digest.hexdigest()


def file_times(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns when each file was changed, and its size, to find out later what a stage wrote."""
    stats = {name: (folder / name).stat() for name in _sealed_files(folder)}
    return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}


def _sealed_files(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        place = Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = place / name
            # The states of a training hold a checksum each, and are not needed once it is done.
            training = path.suffix == ".ckpt"
            record = place == Path(CHECKPOINTS) and path.suffix == ".json"
            if path.parts[0] in _UNSEALED or name.startswith(".") or training or record:
                continue
            yield path.as_posix()


def write_record(
    folder: Path, stage: str, record: Mapping[str, Any], files: Iterable[str] = ()
) -> None:
    """Marks a stage as done.

    Args:
        folder: The run folder.
        stage: Its name.
        record: What it found, as JSON can hold it.
        files: What it wrote, relative to the folder.
    """
    begun = read_beginning(folder)
    about = {
        "id": None if begun is None else begun.id,
        "after": sorted(name for name in _recorded(folder) if name != stage),
        "files": {
            name: None if name in _REWRITABLE else sha256(folder / name) for name in sorted(files)
        },
    }
    write_sealed_json(_record_path(folder, stage), {**record, _ABOUT: about})


def read_record(folder: Path, stage: str) -> dict[str, Any] | None:
    """Returns what a finished stage recorded, or None if it is still to do.

    Raises:
        DamagedFileError: The record is damaged, or another run's.
    """
    path = _record_path(folder, stage)
    if not os.path.lexists(path):
        return None
    record = read_sealed_json(path)
    _about(folder, path, record)
    return record


def _record_path(folder: Path, stage: str) -> Path:
    return folder / CHECKPOINTS / f"{stage}.json"


def _about(folder: Path, path: Path, record: dict[str, Any]) -> Mapping[str, Any]:
    about = record.pop(_ABOUT, None)
    begun = read_beginning(folder)
    if about is None or (begun is not None and about["id"] != begun.id):
        raise DamagedFileError(
            f"The record is not of this run. Received: {shown(path)!r}. "
            "Delete it to have the stage done again."
        )
    return about


def _recorded(folder: Path) -> dict[str, Mapping[str, Any]]:
    """What each finished stage's record says of it, in the order in which they were done."""
    found = {}
    for path in sorted((folder / CHECKPOINTS).glob("*.json")):
        if path.name == _SEAL:
            continue
        record = read_sealed_json(path)
        if _ABOUT in record:
            found[path.stem] = _about(folder, path, record)
    return dict(sorted(found.items(), key=lambda item: len(item[1]["after"])))


@dataclass(frozen=True)
class Loss:
    """What must be done again.

    Args:
        stages: Those whose record or files are missing, and all that were done after them.
        missing: A file that is missing, or the stage whose record is.
    """

    stages: tuple[str, ...]
    missing: str


def find_loss(folder: Path, *, delivered_only: bool = False) -> Loss | None:
    """Looks for what is missing in a run folder, and refuses what was changed.

    Args:
        folder: The run folder.
        delivered_only: Whether only what was delivered counts, as in a finished run.

    Returns:
        What must be done again, or None.

    Raises:
        DamagedFileError: A file or record is damaged or was changed.
    """
    records = _recorded(folder)
    files = {
        name: (stage, digest)
        for stage, about in records.items()
        for name, digest in about["files"].items()
        if not delivered_only or Path(name).parts[0] in _DELIVERED
    }
    lost: dict[str, str] = {
        before: f"the record of the stage {before!r}"
        for about in records.values()
        for before in about["after"]
        if before not in records
    }
    for name, (stage, digest) in files.items():
        path = folder / name
        if not os.path.lexists(path):
            lost.setdefault(stage, name)
        elif not _unchanged(path, digest):
            raise DamagedFileError(
                f"A file of the run is damaged or was changed. Received: {shown(path)!r}. Restore "
                f"it, or delete it: the run then does the stage {stage!r} and those after it again."
            )
    if not lost:
        return None
    stale = {
        stage for stage, about in records.items() if stage in lost or lost.keys() & about["after"]
    }
    return Loss(tuple(stage for stage in records if stage in stale), next(iter(lost.values())))


def _unchanged(path: Path, digest: str | None) -> bool:
    try:
        return path.is_file() and (digest is None or sha256(path) == digest)
    except OSError:
        return False


def forget(folder: Path, loss: Loss) -> None:
    """Takes away the records of stages that must be done again, and what they had written."""
    records = _recorded(folder)
    for stage in reversed(loss.stages):
        _record_path(folder, stage).unlink(missing_ok=True)
        for name in records[stage]["files"]:
            (folder / name).unlink(missing_ok=True)
    for path in (folder / CHECKPOINTS).glob("*.json"):
        # How far a comparison had come that must be made again.
        if path.name != _SEAL and path.stem not in records:
            path.unlink()
