"""Samples that are read from disk row by row, as arrays are indexed, so that none is held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_ganaccel.generated.pool import read_facts
from keras_ganaccel.generated.shards import RecordFile

CHUNK = 1024


class Rows(Protocol):
    """An array of samples, or what is indexed like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length, and shape of a sample."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The samples of a slice, or of row numbers in any order."""
        ...


class StoredRows:
    """The samples of a pool, read from its shards when they are asked for.

    Rows in ascending order cost a sequential read; the pool's classes are evenly spread, so that
    nothing is gained by another order.

    Args:
        folder: A pool that `write_pool` finished.

    Attributes:
        labels: The classes of all samples, int64.
        in_order: Tells that rows are best read as they lie.
    """

    in_order = True

    def __init__(self, folder: str | Path) -> None:
        facts = read_facts(folder)
        self._files = [
            RecordFile(Path(folder) / shard["file"], facts.shape) for shard in facts.shards
        ]
        self._ends = np.cumsum([shard["samples"] for shard in facts.shards])
        self.labels = np.concatenate([file.labels() for file in self._files])
        self.shape = (facts.size, *facts.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        rows = np.arange(len(self))[rows]
        order = np.argsort(rows, kind="stable")
        found = np.empty((len(rows), *self.shape[1:]), np.float32)
        shards = np.searchsorted(self._ends, rows[order], side="right")
        for shard in np.unique(shards):
            places = order[shards == shard]
            first = self._ends[shard - 1] if shard else 0
            found[places] = self._files[shard].read(rows[places] - first)
        return found


class SelectedRows:
    """Some rows of others, in a given order.

    Args:
        samples: The others.
        rows: Row numbers.
    """

    in_order = True

    def __init__(self, samples: Rows, rows: np.ndarray) -> None:
        self._samples, self._rows = samples, rows
        self.shape = (len(rows), *samples.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._samples[self._rows[rows]]


class JoinedRows:
    """The rows of several in turn: one of each, then the next of each.

    Args:
        parts: Samples of one shape.
    """

    in_order = True

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        self._order = turns([len(part) for part in parts])
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self.shape = (len(self._order), *parts[0].shape[1:])

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, rows: Any) -> np.ndarray:
        places = self._order[rows]
        found = np.empty((len(places), *self.shape[1:]), np.float32)
        for start, part in zip(self._starts, self._parts, strict=False):
            own = (places >= start) & (places < start + len(part))
            found[own] = part[places[own] - start]
        return found


def turns(lengths: Sequence[int]) -> np.ndarray:
    """The rows of several, one after the other numbered, spread evenly over each other.

    Example:
        >>> turns([2, 4]).tolist()
        [2, 0, 3, 4, 1, 5]
    """
    places = np.concatenate([(np.arange(length) + 0.5) / length for length in lengths])
    return np.lexsort((-np.repeat(np.arange(len(lengths)), lengths), places))


def selected(samples: Rows, mask: np.ndarray) -> Rows:
    """The samples of a mask; those of an array as an array."""
    return (
        samples[mask]
        if isinstance(samples, np.ndarray)
        else SelectedRows(samples, np.flatnonzero(mask))
    )


def joined_rows(parts: Sequence[Rows]) -> tuple[Rows, np.ndarray]:
    """The samples of several as one.

    Returns:
        The samples, and where each comes from, numbered over all of them.
    """
    if all(isinstance(part, np.ndarray) for part in parts):
        everything = np.concatenate([np.asarray(part) for part in parts])
        return everything, np.arange(len(everything))
    return JoinedRows(parts), turns([len(part) for part in parts])
