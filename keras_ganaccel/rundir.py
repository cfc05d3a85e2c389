"""The folder of one run: its configuration, its surroundings, what is done, and what came out.

A folder appears under its name only when it already holds `config.yaml`; a stage counts as done
when its record is in place. So a run that was killed anywhere can be opened and gone on with.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel import integrity
from keras_ganaccel.config import RunConfig
from keras_ganaccel.config_file import config_yaml, from_dict, load_config, save_config
from keras_ganaccel.disk_space import free_space, out_of_space
from keras_ganaccel.environment import OWN_PACKAGE, differences, environment
from keras_ganaccel.errors import (
    DamagedFileError,
    InvalidInputError,
    MissingFileError,
    RunFailedError,
)
from keras_ganaccel.files import atomic_open, lock, shown
from keras_ganaccel.integrity import CHECKPOINTS, CONFIG, SPLITS
from keras_ganaccel.json_files import write_json
from keras_ganaccel.paths import anchored

_ENVIRONMENT = "environment.json"
_FOLDERS = (CHECKPOINTS, "samples", "artifacts")
# An empty folder that another one cannot be renamed onto: a mount, or in a folder of others.
_FIXED = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS)


def check_out_folder(path: str | os.PathLike[str]) -> Path:
    """Checks that a new run can be written to `path`.

    Returns:
        The path, absolute, with symbolic links followed.

    Raises:
        InvalidInputError: It exists and is not an empty folder, or cannot be written to.
    """
    try:
        place = Path(os.path.realpath(path))
        if os.path.lexists(place):
            if not place.is_dir() or any(place.iterdir()):
                raise _taken(path)
            target = place
        else:
            target = next(parent for parent in place.parents if os.path.lexists(parent))
            _check_names(place.relative_to(target).parts, target)
        usable = target.is_dir() and os.access(target, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise _unusable(path, error) from None
    if not usable:
        raise _unusable(path)
    return place


def _check_names(parts: Iterable[str], folder: Path) -> None:
    """Lets the file system itself refuse names that are too long or have characters it lacks."""
    for part in parts:
        try:
            os.lstat(folder / part)
        except FileNotFoundError:
            continue


def _taken(path: str | os.PathLike[str]) -> InvalidInputError:
    return InvalidInputError(
        f"The out folder must be new or empty. Received: {os.fspath(path)!r}. "
        "Choose another, or go on with an earlier run by --resume."
    )


def _unusable(path: str | os.PathLike[str], error: Exception | None = None) -> InvalidInputError:
    why = f" ({getattr(error, 'strerror', None) or error})" if error else ""
    received = os.fspath(path)
    received = received if len(received) <= 100 else f"{received[:60]}...{received[-30:]}"
    return InvalidInputError(
        f"The out folder cannot be written. Received: {received!r}{why}. "
        "Choose a folder that you may write to."
    )


class RunFolder:
    """A run folder that exists and holds a configuration.

    Args:
        path: The folder. Use `create` for a new one.

    Raises:
        MissingFileError: There is no run in that folder.
        InvalidInputError: Its configuration cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))
        if not self._holds_run():
            raise MissingFileError(
                f"There is no run to go on with. Received: {os.fspath(path)!r}. "
                "Name a folder that `ganaccel run` made."
            )

    def _holds_run(self) -> bool:
        return os.path.isfile(self.path / CONFIG) or (
            not os.path.lexists(self.path / CONFIG)
            and os.path.isdir(self.path / CHECKPOINTS)
            and integrity.read_beginning(self.path) is not None
        )

    @cached_property
    def config(self) -> RunConfig:
        """The resolved configuration; its relative paths start where the run was begun."""
        begun = integrity.read_beginning(self.path)
        if (self.path / CONFIG).is_file():
            config = load_config(self.path / CONFIG)
        else:
            config = from_dict(integrity.beginning(self.path).config)
        return config if begun is None else anchored(config, begun.folder)

    def config_text(self) -> str:
        """The configuration as `config.yaml` has it."""
        path = self.path / CONFIG
        if path.is_file():
            load_config(path)
            return path.read_text(encoding="utf-8")
        return config_yaml(from_dict(integrity.beginning(self.path).config))

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
            RunFailedError: The disk is full.
        """
        place = check_out_folder(path)
        made = [parent for parent in (place, *place.parents) if not parent.exists()][1:]

        def fill(folder: Path) -> None:
            for name in _FOLDERS:
                (folder / name).mkdir(parents=True)
            save_config(config, folder / CONFIG)
            write_json(folder / _ENVIRONMENT, environment())
            if prepare is not None:
                prepare(folder)
            integrity.write_beginning(folder)

        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            _appear(place, fill)
        except OSError as error:
            if isinstance(error, InvalidInputError):
                raise
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise _taken(path) from None
            if out_of_space(error):
                raise RunFailedError(
                    f"The disk is full. Received: {os.fspath(path)!r}, {free_space(place)}. "
                    "Make space, or choose another folder."
                ) from error
            raise _unusable(path, error) from None
        finally:
            _remove_empty(made)
        return cls(place)

    @property
    def artifacts(self) -> Path:
        """The folder of what is delivered."""
        return self.path / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """The folder of what a resumed run needs."""
        return self.path / CHECKPOINTS

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
        """Returns what a finished stage recorded, or None if it is still to do.

        Raises:
            DamagedFileError: The record is damaged, or another run's.
        """
        return integrity.read_record(self.path, stage)

    def finish(
        self, stage: str, record: Mapping[str, Any], files: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Marks a stage as done, and returns its record as it will be read back.

        Args:
            stage: The stage.
            record: What it found, as JSON can hold it.
            files: What it wrote, relative to the folder; a later change of these is noticed.
        """
        integrity.write_record(self.path, stage, record, files)
        return self.record(stage) or {}

    @contextmanager
    def written(self) -> Iterator[list[str]]:
        """Finds out what is written meanwhile: afterwards, the list holds the files' names."""
        before = integrity.file_times(self.path)
        found: list[str] = []
        yield found
        after = integrity.file_times(self.path)
        found += [name for name, changed in after.items() if before.get(name) != changed]

    def check(self) -> integrity.Loss | None:
        """Checks everything that going on relies on.

        Returns:
            What must be done again because it is missing, or None.

        Raises:
            DamagedFileError: A file is damaged, or was changed after the run was begun.
            InvalidInputError: The run is another version's.
        """
        begun = integrity.beginning(self.path)
        integrity.check_config(self.path, begun)
        path = self.path / SPLITS
        if os.path.lexists(path) and not self.has_splits(integrity.read_splits(path)):
            raise DamagedFileError(
                f"The run's splits were changed. Received: {shown(path)!r}. "
                "Restore the file, or delete it: it is then written anew."
            )
        if self.finished and integrity.find_loss(self.path, delivered_only=True) is None:
            return None
        self._check_version()
        return integrity.find_loss(self.path)

    def has_splits(self, splits: Mapping[str, np.ndarray]) -> bool:
        """Whether the run was begun with these row numbers of its splits."""
        return integrity.beginning(self.path).splits == integrity.splits_digest(splits)

    def restore(self, splits: Mapping[str, np.ndarray], loss: integrity.Loss | None) -> None:
        """Puts back what is missing, so that the run can go on.

        Args:
            splits: The row numbers of the data that the run goes on with.
            loss: What `check` found.
        """
        begun = integrity.beginning(self.path)
        for name in _FOLDERS:
            (self.path / name).mkdir(exist_ok=True)
        if not (self.path / CONFIG).is_file():
            save_config(from_dict(begun.config), self.path / CONFIG)
        if not (self.path / _ENVIRONMENT).is_file():
            write_json(self.path / _ENVIRONMENT, begun.environment)
        if not (self.path / SPLITS).is_file():
            save_splits(self.path, splits)
        if loss is not None:
            integrity.forget(self.path, loss)

    def other_surroundings(self) -> str | None:
        """Says in one line what is not as it was when the run was begun, or returns None."""
        changed = differences(read_environment(self.path), environment())
        if not changed:
            return None
        told = ", ".join(f"{name} {old} then, {new} now" for name, (old, new) in changed.items())
        return (
            f"The run was begun elsewhere or with other versions ({told}): its figures may differ "
            "from those of an uninterrupted run."
        )

    def _check_version(self) -> None:
        then = read_environment(self.path)["packages"].get(OWN_PACKAGE)
        now = environment()["packages"][OWN_PACKAGE]
        if then != now:
            raise InvalidInputError(
                f"The run was begun with another version of {OWN_PACKAGE}. Received: {then}, this "
                f"is {now}. Go on with that version (pip install {OWN_PACKAGE}=={then}), or start "
                "a new run."
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other process out of the folder.

        Raises:
            InvalidInputError: Another one is at work in it, or it cannot be written to.
        """
        with ExitStack() as block:
            try:
                self.checkpoints.mkdir(exist_ok=True)
                mine = block.enter_context(lock(self.checkpoints / "lock"))
            except OSError as error:
                raise InvalidInputError(
                    f"The run folder cannot be written. Received: {shown(self.path)!r} "
                    f"({error.strerror}: {error.filename}). Make it writable to go on."
                ) from None
            if not mine:
                raise InvalidInputError(
                    f"Another process is at work in the run folder. Received: "
                    f"{shown(self.path)!r}. Wait until it is done, or stop it first."
                )
            yield


def _appear(place: Path, fill: Callable[[Path], None]) -> None:
    """Fills a folder beside its place and renames it there; in place where that cannot be."""
    beside = place.with_name(f".ganaccel-{uuid.uuid4().hex[:8]}.tmp")
    try:
        try:
            beside.mkdir()
            fill(beside)
            os.replace(beside, place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        if error.errno not in _FIXED or not place.is_dir():
            raise
        _fill_in_place(place, fill)


def _fill_in_place(place: Path, fill: Callable[[Path], None]) -> None:
    """Fills an empty folder, the configuration last; whoever makes `inside` first has it."""
    inside = place / ".ganaccel.tmp"
    inside.mkdir()
    moved = []
    try:
        fill(inside)
        for name in sorted(os.listdir(inside), key=lambda name: name == CONFIG):
            os.replace(inside / name, place / name)
            moved.append(place / name)
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Removes folders, innermost first, as long as they are empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def read_environment(folder: Path) -> Mapping[str, Any]:
    """Reads a run's `environment.json`; where it is missing, what the run was begun with.

    Raises:
        DamagedFileError: It is damaged.
    """
    path = folder / _ENVIRONMENT
    if not os.path.lexists(path):
        return integrity.beginning(folder).environment
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found["packages"].get(OWN_PACKAGE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedFileError(
            f"The description of the run's surroundings is damaged. Received: {shown(path)!r}. "
            "Restore the file, or delete it: it is then written anew."
        ) from None
    return found


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads `metrics.jsonl`; a last line that a kill cut short is left out.

    Raises:
        DamagedFileError: Another line is damaged, or the file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    # Each line ends in a line feed; what follows the last one was cut short.
    try:
        *whole, _ = Path(path).read_bytes().split(b"\n")
        for line in whole:
            rows.append(json.loads(line))
            if not isinstance(rows[-1], dict):
                raise ValueError
    except (OSError, ValueError, RecursionError):
        raise DamagedFileError(
            f"The training curves are damaged. Received: {shown(path)!r}, line {len(rows) + 1}. "
            "Restore the file, or delete it: nothing but curves in the report is lost."
        ) from None
    return rows


def save_splits(folder: Path, splits: Mapping[str, np.ndarray]) -> None:
    """Writes `splits.npz`: the row numbers of `train`, `validation` and `test`."""
    with atomic_open(folder / SPLITS) as file:
        arrays: dict[str, Any] = {name: rows.astype(np.int64) for name, rows in splits.items()}
        np.savez(file, **arrays)
