"""The folder of a transfer set: what it holds, how far it is, and what is read back from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keras_ganaccel.classifier.transfer_parts import (
    Columns,
    Layout,
    StoredPart,
    whole_shards,
    write_shards,
)
from keras_ganaccel.errors import DamagedFileError, InvalidInputError, MissingFileError
from keras_ganaccel.files import shown
from keras_ganaccel.json_files import read_json, write_json

_SCHEMA = 1
_MOST_BYTES = 2**26


@dataclass(frozen=True)
class Entry:
    """What ``NAME.json`` says of the part NAME.

    Args:
        request: What the part was asked for with; tells it from every other one.
        size: Samples.
        shape: Shape of an encoded sample.
        num_classes: The number of classes.
        shards: ``{"file", "samples", "sha256"}`` of those that are written.
        finished: Whether all are.
    """

    request: Mapping[str, Any]
    size: int
    shape: tuple[int, ...]
    num_classes: int
    shards: tuple[Mapping[str, Any], ...] = ()
    finished: bool = False


class TransferFolder:
    """Where a transfer set is kept, part by part.

    Args:
        path: The folder; it is made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self,
        name: str,
        request: Mapping[str, Any],
        layout: Layout,
        size: int,
        made_from: Callable[[int], Iterator[Columns]],
        source: int,
    ) -> StoredPart:
        """Writes a part, going on after the shards that are there.

        Args:
            name: The part's name.
            request: See `Entry`.
            layout: What a sample consists of.
            size: Samples.
            made_from: From the number of a sample to the columns from that sample on.
            source: The number of the source that the samples come from.

        Returns:
            The part.

        Raises:
            InvalidInputError: The folder holds a part of that name that was asked for otherwise.
            DamagedFileError: A shard of a finished part is damaged.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        entry = self._entry(name)
        if entry is None:
            entry = Entry(dict(request), size, layout.shape, layout.num_classes)
        self._check_request(entry.request, request)
        shards = whole_shards(self.path, entry.shards)
        if entry.finished and len(shards) < len(entry.shards):
            raise _damaged(self.path / entry.shards[len(shards)]["file"])
        if not entry.finished:
            for leftover in self.path.glob(".tmp*"):
                leftover.unlink()
            for shard in write_shards(self.path, name, layout, size, made_from, source, shards):
                shards.append(shard)
                self._save(name, entry, shards, finished=False)
            entry = self._save(name, entry, shards, finished=True)
        return self._part(entry)

    def read(self, name: str) -> tuple[Entry, StoredPart] | None:
        """Reads a part that is finished; None if there is none of that name.

        Raises:
            MissingFileError: It is not finished, or a shard is missing.
            DamagedFileError: What is said of it is damaged.
        """
        entry = self._entry(name)
        if entry is None:
            return None
        if not entry.finished:
            raise unfinished(self.path)
        for shard in entry.shards:
            if not (self.path / shard["file"]).is_file():
                raise MissingFileError(
                    "A shard of the transfer set is missing. Received: "
                    f"{shown(self.path / shard['file'])!r}. Write the set anew."
                )
        return entry, self._part(entry)

    def _part(self, entry: Entry) -> StoredPart:
        paths = tuple(self.path / shard["file"] for shard in entry.shards)
        return StoredPart(Layout(entry.shape, entry.num_classes), paths, entry.size)

    def _check_request(self, held: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        different = sorted(key for key in {*held, *asked} if held.get(key) != asked.get(key))
        if different:
            raise InvalidInputError(
                "The folder holds a transfer set that was asked for otherwise "
                f"({', '.join(different)}). Received: {shown(self.path)!r}. Name another folder or "
                "delete this one."
            )

    def _save(
        self, name: str, entry: Entry, shards: list[Mapping[str, Any]], finished: bool
    ) -> Entry:
        entry = replace(entry, shards=tuple(shards), finished=finished)
        write_json(self.path / f"{name}.json", {"schema": _SCHEMA, **vars(entry)})
        return entry

    def _entry(self, name: str) -> Entry | None:
        path = self.path / f"{name}.json"
        if not path.is_file():
            return None
        try:
            values = read_json(path.read_bytes(), most_bytes=_MOST_BYTES)
            if values.pop("schema") != _SCHEMA:
                raise ValueError
            shards = tuple(
                {key: shard[key] for key in ("file", "samples", "sha256")}
                for shard in values.pop("shards")
            )
            return Entry(**{**values, "shape": tuple(values["shape"]), "shards": shards})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(path) from None


def digest_of(*arrays: Any) -> str:
    """A short checksum of the contents of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(
        f"A file of the transfer set is damaged. Received: {shown(path)!r}. Restore it, or delete "
        "the folder to have the set written anew."
    )


def unfinished(path: Path) -> MissingFileError:
    """What is raised where a transfer set is not there, or not whole."""
    return MissingFileError(
        f"No finished transfer set. Received: {shown(path)!r}. Name a folder that "
        "TransferSet.make finished."
    )
