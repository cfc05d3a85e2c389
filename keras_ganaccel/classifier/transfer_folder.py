"""The folder of a transfer set: what it holds, how far it is, and what is read back from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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

FACTS = "transfer_set.json"
_SCHEMA = 1
_MOST_BYTES = 2**26


@dataclass(frozen=True)
class Entry:
    """What ``transfer_set.json`` says of a part.

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
        entries = self._entries() if (self.path / FACTS).is_file() else {}
        entry = entries.get(name, Entry(dict(request), size, layout.shape, layout.num_classes))
        self._check_request(entry.request, request)
        shards = whole_shards(self.path, entry.shards)
        if entry.finished and len(shards) < len(entry.shards):
            raise _damaged(self.path / entry.shards[len(shards)]["file"])
        if not entry.finished:
            for leftover in self.path.glob(".tmp*"):
                leftover.unlink()
            for shard in write_shards(self.path, name, layout, size, made_from, source, shards):
                shards.append(shard)
                entries[name] = _with(entry, shards, finished=False)
                self._save(entries)
            entries[name] = _with(entry, shards, finished=True)
            self._save(entries)
        return self._part(entries[name])

    def read(self) -> tuple[dict[str, Entry], dict[str, StoredPart]]:
        """Reads what is finished.

        Returns:
            The entries and the parts, by name.

        Raises:
            MissingFileError: There is no finished transfer set, or a shard is missing.
            DamagedFileError: ``transfer_set.json`` is damaged.
        """
        if not (self.path / FACTS).is_file():
            raise _unfinished(self.path)
        entries = self._entries()
        if not entries or not all(entry.finished for entry in entries.values()):
            raise _unfinished(self.path)
        for entry in entries.values():
            for shard in entry.shards:
                if not (self.path / shard["file"]).is_file():
                    raise MissingFileError(
                        "A shard of the transfer set is missing. Received: "
                        f"{shown(self.path / shard['file'])!r}. Write the set anew."
                    )
        return entries, {name: self._part(entry) for name, entry in entries.items()}

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

    def _save(self, entries: Mapping[str, Entry]) -> None:
        parts = {name: vars(entry) for name, entry in entries.items()}
        write_json(self.path / FACTS, {"schema": _SCHEMA, "parts": parts})

    def _entries(self) -> dict[str, Entry]:
        path = self.path / FACTS
        try:
            values = read_json(path.read_bytes(), most_bytes=_MOST_BYTES)
            if values["schema"] != _SCHEMA:
                raise ValueError
            return {
                name: Entry(
                    **{
                        **entry,
                        "shape": tuple(entry["shape"]),
                        "shards": tuple(
                            {key: shard[key] for key in ("file", "samples", "sha256")}
                            for shard in entry["shards"]
                        ),
                    }
                )
                for name, entry in values["parts"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(path) from None


def digest_of(*arrays: Any) -> str:
    """A short checksum of the contents of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def _with(entry: Entry, shards: list[Mapping[str, Any]], finished: bool) -> Entry:
    return Entry(entry.request, entry.size, entry.shape, entry.num_classes, tuple(shards), finished)


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(
        f"A file of the transfer set is damaged. Received: {shown(path)!r}. Restore it, or delete "
        "the folder to have the set written anew."
    )


def _unfinished(path: Path) -> MissingFileError:
    return MissingFileError(
        f"No finished transfer set. Received: {shown(path)!r}. Name a folder that "
        "TransferSet.make finished."
    )
