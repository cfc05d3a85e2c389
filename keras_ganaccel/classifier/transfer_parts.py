"""The parts of a transfer set: samples with their labels and answers, in memory or as shards.

A part is read in blocks, from arrays or from TFRecord files of one block per record. Whatever
reads blocks does not know which.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.transfer import LOGITS, AugmentedSamples
from keras_ganaccel.files import atomic_save, sha256
from keras_ganaccel.mixing.interleave import BLOCK, Blocks
from keras_ganaccel.pipelines import PARALLEL_CALLS

_BLOCK_BYTES, _SHARD_BYTES = 2**22, 2**26
_MOST_BLOCKS = 32
_SOURCE = "source"

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Layout:
    """What a sample of a part consists of.

    Args:
        shape: Shape of an encoded sample.
        num_classes: The number of classes.
    """

    shape: tuple[int, ...]
    num_classes: int

    @property
    def columns(self) -> dict[str, tuple[tf.DType, tuple[int, ...]]]:
        """Dtype and shape of each column."""
        classes = (self.num_classes,)
        return {
            "x": (tf.float32, self.shape),
            "label": (tf.float32, classes),
            LOGITS: (tf.float32, classes),
            "weight": (tf.float32, ()),
            _SOURCE: (tf.int32, ()),
        }

    @property
    def nbytes(self) -> int:
        """Bytes of a sample."""
        return sum(dtype.size * math.prod(shape) for dtype, shape in self.columns.values())

    @property
    def block(self) -> int:
        """Samples of a block: 4 MB, and no more than 256."""
        return int(np.clip(_BLOCK_BYTES // self.nbytes, 1, BLOCK))

    @property
    def shard(self) -> int:
        """Samples of a shard: about 64 MB, a whole number of blocks."""
        blocks = int(np.clip(_SHARD_BYTES // (self.block * self.nbytes), 1, _MOST_BLOCKS))
        return blocks * self.block


class TransferPart(Protocol):
    """Samples with their labels and the teacher's answers: arrays, or shards on disk.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> torn = lambda x: np.full((len(x), 2), 0.5)
        >>> x, y = np.zeros((4, 8, 8, 1), np.float32), np.array([0, 1, 1, -1])
        >>> part: ga.TransferPart = ga.TransferSet.make(torn, x, y, num_classes=2, size=6).real
        >>> part.size
        6
    """

    @property
    def size(self) -> int:
        """Samples."""

    @property
    def layout(self) -> Any:
        """What a sample consists of."""

    def blocks(self) -> Any:
        """Reads the part, some samples at a time."""


@dataclass(frozen=True, eq=False)
class MemoryPart:
    """A part held as arrays.

    Args:
        layout: What a sample consists of.
        arrays: The columns, of equal length.
    """

    layout: Layout
    arrays: Columns

    @property
    def size(self) -> int:
        """Samples."""
        return len(self.arrays["x"])

    @cached_property
    def _tensors(self) -> dict[str, tf.Tensor]:
        with tf.device("CPU:0"):
            return {name: tf.convert_to_tensor(array) for name, array in self.arrays.items()}

    def blocks(self) -> Blocks:
        """Reads the part."""
        block, tensors = self.layout.block, self._tensors

        @tf.autograph.experimental.do_not_convert
        def cut(start: tf.Tensor) -> dict[str, tf.Tensor]:
            return {name: tensor[start : start + block] for name, tensor in tensors.items()}

        starts = tf.data.Dataset.range(0, self.size, block)
        return Blocks(starts.map(cut), self.size, block)


@dataclass(frozen=True, eq=False)
class StoredPart:
    """A part held as shards.

    Args:
        layout: What a sample consists of.
        paths: The shards, in order.
        size: Samples.
    """

    layout: Layout
    paths: tuple[Path, ...]
    size: int

    def blocks(self) -> Blocks:
        """Reads the part."""
        columns = self.layout.columns
        features = {name: tf.io.FixedLenFeature([], tf.string) for name in columns}

        @tf.autograph.experimental.do_not_convert
        def decode(record: tf.Tensor) -> dict[str, tf.Tensor]:
            values = tf.io.parse_single_example(record, features)
            return {
                name: tf.reshape(tf.io.decode_raw(values[name], dtype), [-1, *shape])
                for name, (dtype, shape) in columns.items()
            }

        records = tf.data.TFRecordDataset([str(path) for path in self.paths])
        decoded = records.map(decode, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
        return Blocks(decoded, self.size, self.layout.block)


def layout_of(samples: AugmentedSamples) -> Layout:
    """What a sample consists of that is made by `AugmentedSamples`."""
    return Layout(samples.shape, samples.num_classes)


def held_part(layout: Layout, size: int, made: Iterable[Columns], source: int) -> MemoryPart:
    """Gathers samples in memory.

    Args:
        layout: What a sample consists of.
        size: Samples in all.
        made: Their columns, some samples at a time.
        source: The number of the source that they come from.
    """
    arrays = {
        name: np.empty((size, *shape), dtype.as_numpy_dtype)
        for name, (dtype, shape) in layout.columns.items()
    }
    arrays[_SOURCE][:] = source
    start = 0
    for columns in made:
        stop = start + len(columns["x"])
        for name, values in columns.items():
            arrays[name][start:stop] = values
        start = stop
    return MemoryPart(layout, arrays)


def write_shards(
    folder: Path,
    name: str,
    layout: Layout,
    size: int,
    made_from: Callable[[int], Iterator[Columns]],
    source: int,
    done: Sequence[Mapping[str, Any]] = (),
) -> Iterator[dict[str, Any]]:
    """Writes the shards of a part that are still missing; each appears when it is complete.

    Args:
        folder: Where they go.
        name: How their names begin.
        layout: What a sample consists of.
        size: Samples in all.
        made_from: From the number of a sample to the columns from that sample on.
        source: The number of the source that the samples come from.
        done: What this function said of the shards that are there.

    Yields:
        ``{"file", "samples", "sha256"}`` of each shard.
    """
    first = len(done) * layout.shard
    blocks = _whole_blocks(made_from(first), layout, source) if first < size else iter(())
    for number in range(len(done), -(-size // layout.shard)):
        path = folder / f"{name}-{number:05d}.tfrecord"
        samples = min(layout.shard, size - number * layout.shard)

        def save(temporary: Path, count: int = -(-samples // layout.block)) -> None:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for block in itertools.islice(blocks, count):
                    features = {key: _bytes(values) for key, values in block.items()}
                    example = tf.train.Example(features=tf.train.Features(feature=features))
                    writer.write(example.SerializeToString(deterministic=True))

        atomic_save(path, save)
        yield {"file": path.name, "samples": samples, "sha256": sha256(path)}


def whole_shards(folder: Path, shards: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the first shards that lie in the folder as they were written."""
    return list(
        itertools.takewhile(
            lambda shard: (
                (folder / shard["file"]).is_file()
                and sha256(folder / shard["file"]) == shard["sha256"]
            ),
            shards,
        )
    )


def _whole_blocks(
    made: Iterable[Columns], layout: Layout, source: int
) -> Iterator[dict[str, np.ndarray]]:
    """Joins and cuts columns to blocks of the layout's size; the last one is what is left."""
    kept: list[Columns] = []
    held = 0
    for columns in made:
        kept.append(columns)
        held += len(columns["x"])
        while held >= layout.block:
            joined = {name: np.concatenate([each[name] for each in kept]) for name in columns}
            whole = held - held % layout.block
            for start in range(0, whole, layout.block):
                yield _with_source(
                    {key: value[start : start + layout.block] for key, value in joined.items()},
                    layout,
                    source,
                )
            kept, held = [{key: value[whole:] for key, value in joined.items()}], held - whole
    if held:
        joined = {name: np.concatenate([each[name] for each in kept]) for name in kept[0]}
        yield _with_source(joined, layout, source)


def _with_source(
    columns: dict[str, np.ndarray], layout: Layout, source: int
) -> dict[str, np.ndarray]:
    columns[_SOURCE] = np.full(len(columns["x"]), source)
    return {
        name: columns[name].astype(dtype.as_numpy_dtype, copy=False)
        for name, (dtype, _) in layout.columns.items()
    }


def _bytes(values: np.ndarray) -> tf.train.Feature:
    data = np.ascontiguousarray(values).tobytes()
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
