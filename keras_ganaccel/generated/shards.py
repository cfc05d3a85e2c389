"""The files of a pool: TFRecord shards of many samples per record, and reading them back.

A record holds a block of samples: their bytes are decoded all at once, so that reading costs
about as little as slicing an array in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from keras_ganaccel.errors import DamagedFileError
from keras_ganaccel.files import atomic_save, shown
from keras_ganaccel.pipelines import PARALLEL_CALLS

SAMPLES_PER_RECORD = 256


def quantize(x: np.ndarray) -> np.ndarray:
    """Brings samples to the values that a pool stores: 0, 1/255, ..., 1.

    Args:
        x: float32 in [0, 1].

    Returns:
        float32 of the same shape, off by 1/510 at most. `write_pool` filters and labels these
        values, so that nothing differs from what a student sees.
    """
    return (np.rint(x * 255.0) / np.float32(255.0)).astype(np.float32)


def write_shard(path: Path, x: np.ndarray, y: np.ndarray, logits: np.ndarray | None) -> None:
    """Writes one shard; it appears under its name only when complete.

    Args:
        path: The file.
        x: Samples, float32, as `quantize` returns them, shape ``(n, height, width, channels)``.
        y: Classes, int64, shape ``(n,)``.
        logits: The teacher's logits, float32, shape ``(n, classes)``, or None.
    """

    def save(temporary: Path) -> None:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for start in range(0, len(x), SAMPLES_PER_RECORD):
                block = slice(start, start + SAMPLES_PER_RECORD)
                columns = {
                    "x": np.rint(x[block] * 255.0).astype(np.uint8),
                    "y": y[block].astype("<i8"),
                }
                if logits is not None:
                    columns["teacher_logits"] = logits[block].astype("<f4")
                features = {name: _bytes(values) for name, values in columns.items()}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString(deterministic=True))

    atomic_save(path, save)


def read_shards(paths: Sequence[Path], shape: Sequence[int], logits: int | None) -> tf.data.Dataset:
    """Reads shards one after the other.

    Args:
        paths: The files, in order.
        shape: ``(height, width, channels)``.
        logits: Classes of the teacher's logits to deliver, or None to leave them out.

    Returns:
        Unbatched ``(x float32 in [0, 1], y int64)``; with logits, y is
        ``{"label": int64, "teacher_logits": float32 (classes,)}``.
    """
    columns = ["x", "y", *(["teacher_logits"] if logits else [])]
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in columns}

    def decode(record: tf.Tensor) -> Any:
        values = tf.io.parse_single_example(record, features)
        pixels = tf.reshape(tf.io.decode_raw(values["x"], tf.uint8), [-1, *shape])
        # Divided, as in `quantize`: a product with 1/255 may round otherwise.
        x = tf.cast(pixels, tf.float32) / 255.0
        y = tf.io.decode_raw(values["y"], tf.int64)
        if logits is None:
            return x, y
        answers = tf.reshape(tf.io.decode_raw(values["teacher_logits"], tf.float32), [-1, logits])
        return x, {"label": y, "teacher_logits": answers}

    records = tf.data.TFRecordDataset([str(path) for path in paths])
    return records.map(decode, num_parallel_calls=PARALLEL_CALLS, deterministic=True).unbatch()


class RecordFile:
    """A shard whose samples are read by their numbers, without TensorFlow's pipelines.

    Args:
        path: The file.
        shape: ``(height, width, channels)``.

    Raises:
        DamagedFileError: It is cut short; what is damaged within is told when it is read.
    """

    # Of a record: its length and the checksum of that; behind it, a checksum of the content.
    _HEADER, _FOOTER = 12, 4

    def __init__(self, path: Path, shape: Sequence[int]) -> None:
        self._path, self._shape = path, tuple(shape)
        self._offsets: list[tuple[int, int]] = []
        end = path.stat().st_size
        with open(path, "rb") as file:
            place = 0
            while place + self._HEADER < end:
                file.seek(place)
                (length,) = struct.unpack("<Q", file.read(8))
                self._offsets.append((place + self._HEADER, length))
                place += self._HEADER + length + self._FOOTER
        if place != end:
            raise self._damaged()

    def labels(self) -> np.ndarray:
        """The classes of all samples, int64."""
        records = (self._record(number) for number in range(len(self._offsets)))
        return np.concatenate([_column(record, "y", "<i8") for record in records])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The samples of row numbers in any order, float32 in [0, 1]."""
        found = np.empty((len(rows), *self._shape), np.float32)
        numbers = rows // SAMPLES_PER_RECORD
        for number in np.unique(numbers):
            own = numbers == number
            pixels = _column(self._record(int(number)), "x", np.uint8).reshape(-1, *self._shape)
            taken = pixels[rows[own] - number * SAMPLES_PER_RECORD]
            # Divided, as in `quantize`.
            found[own] = taken.astype(np.float32) / np.float32(255.0)
        return found

    def _record(self, number: int) -> tf.train.Example:
        offset, length = self._offsets[number]
        with open(self._path, "rb") as file:
            file.seek(offset)
            content = file.read(length)
        try:
            return tf.train.Example.FromString(content)
        except DecodeError:
            raise self._damaged() from None

    def _damaged(self) -> DamagedFileError:
        return DamagedFileError(
            f"A shard of the pool is damaged. Received: {shown(self._path)!r}. "
            "Restore it, or delete the folder to have the pool written anew."
        )


def _column(example: tf.train.Example, name: str, dtype: Any) -> np.ndarray:
    return np.frombuffer(example.features.feature[name].bytes_list.value[0], dtype)


def _bytes(values: np.ndarray) -> tf.train.Feature:
    data = np.ascontiguousarray(values).tobytes()
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
