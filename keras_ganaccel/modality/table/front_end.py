"""The front end of a table on a device: its arithmetic in TensorFlow and C, and test vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_ganaccel.modality.table.curve import Curve
from keras_ganaccel.modality.table.front_end_c import c_header, c_source
from keras_ganaccel.modality.table.table_spec import TableSpec

if TYPE_CHECKING:
    import tensorflow as tf

NUMBERS, CATEGORIES, ENCODED = "numbers", "categories", "encoded"
_MOST_VECTORS = 64
_UNKNOWN = -1


@dataclass(frozen=True)
class TableFrontEnd:
    """From the raw form of a row to the encoded one, for devices.

    The raw form has no text: numbers as float32, NaN for a missing one, and for each category the
    index of its value, -1 for one that is not known. `TableSpec.raw_names` says what stands where;
    the C source has a function that looks values up.

    Args:
        spec: The table.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("tables:iris")
        >>> front_end = TableFrontEnd(data.spec)
        >>> front_end.inputs
        (('numbers', (4,), 'float32'),)
        >>> "frontend_encode" in front_end.c_files()["frontend.h"]
        True
    """

    spec: TableSpec

    @property
    def inputs(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        """Name, shape and dtype of what the function takes; an empty input is left out."""
        arithmetic = self.spec.arithmetic
        named = (
            (NUMBERS, (arithmetic.numbers,), "float32"),
            (CATEGORIES, (len(arithmetic.spans),), "int32"),
        )
        return tuple(each for each in named if each[1] != (0,))

    def function(self) -> Callable[..., tf.Tensor]:
        """Returns the arithmetic as a function of TensorFlow tensors, made of TFLite's builtins.

        Returns:
            Takes a tensor ``(batch, ...)`` for each of `inputs` and returns float32
            ``(batch, width)``.
        """
        names = [name for name, _, _ in self.inputs]
        return lambda *tensors: _encode(self.spec, dict(zip(names, tensors, strict=True)))

    def c_files(self) -> dict[str, str]:
        """Returns the texts of ``frontend.h`` and ``frontend.c``: C99, nothing allocated."""
        return {"frontend.h": c_header(self.spec), "frontend.c": c_source(self.spec)}

    def vectors(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Makes test vectors: some rows, then what no row of training need hold.

        Args:
            frame: Rows to take the first ones of.

        Returns:
            ``numbers``, ``categories`` and what they encode to, ``encoded``. The last rows are of
            missing and infinite numbers and of unknown categories.
        """
        numbers, indices = self.spec.raw_form(frame.iloc[:_MOST_VECTORS])
        odd = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
        far = np.array([_UNKNOWN, 2**31 - 1, -(2**31), 0], np.int32)
        numbers = np.concatenate([numbers, np.repeat(odd[:, None], numbers.shape[1], axis=1)])
        # A clock's turns are never infinite, and neither Python nor C have a sine of that.
        for source, _ in self.spec.arithmetic.cycles:
            column = numbers[:, source]
            column[np.isinf(column)] = np.nan
        indices = np.concatenate([indices, np.repeat(far[:, None], indices.shape[1], axis=1)])
        encoded = self.spec.arithmetic.encode(numbers, indices)
        return {NUMBERS: numbers, CATEGORIES: indices, ENCODED: encoded}


def _encode(spec: TableSpec, tensors: dict[str, Any]) -> tf.Tensor:
    import tensorflow as tf

    arithmetic = spec.arithmetic
    parts = []
    if arithmetic.curves:
        sources = [source for source, _ in arithmetic.curves]
        curves = [curve for _, curve in arithmetic.curves]
        parts.append(_curves(tf, tf.gather(tensors[NUMBERS], sources, axis=1), curves))
    if arithmetic.cycles:
        sources = [source for source, _ in arithmetic.cycles]
        values = tf.gather(tensors[NUMBERS], sources, axis=1)
        known = tf.equal(values, values)
        factors = np.array([2 * np.pi / period for _, period in arithmetic.cycles], np.float32)
        turns = tf.where(known, values, tf.zeros_like(values)) * factors
        waves = tf.stack([tf.sin(turns), tf.cos(turns)], axis=2)
        waves *= tf.cast(known, tf.float32)[:, :, tf.newaxis]
        parts.append(tf.reshape(waves, (-1, 2 * len(factors))))
    if arithmetic.flags:
        values = tf.gather(tensors[NUMBERS], arithmetic.flags, axis=1)
        parts.append(tf.cast(tf.not_equal(values, values), tf.float32))
    if arithmetic.spans:
        owners = np.repeat(np.arange(len(arithmetic.spans)), arithmetic.spans)
        slots = np.concatenate([np.arange(size) for size in arithmetic.spans]).astype(np.int32)
        indices = tf.gather(tensors[CATEGORIES], owners, axis=1)
        parts.append(tf.cast(tf.equal(indices, slots), tf.float32))
    return tf.concat(parts, axis=1) if len(parts) > 1 else parts[0]


def _curves(tf: Any, values: tf.Tensor, curves: Sequence[Curve]) -> tf.Tensor:
    """Adds up how far each value has come along each piece of its curve."""
    pieces = max(len(curve.knots) for curve in curves) - 1
    starts, lengths, slopes = np.zeros((3, len(curves), pieces), np.float32)
    for row, curve in enumerate(curves):
        knots = np.array(curve.knots, np.float32)
        count = len(knots) - 1
        starts[row, :count], lengths[row, :count] = knots[:-1], np.diff(knots)
        slopes[row, :count] = np.diff(curve.scores) / np.diff(knots.astype(np.float64))
    first = np.array([curve.scores[0] for curve in curves], np.float32)
    fills = np.array([curve.fill for curve in curves], np.float32)
    known = tf.equal(values, values)
    safe = tf.where(known, values, tf.zeros_like(values))[:, :, tf.newaxis]
    covered = tf.minimum(tf.nn.relu(safe - starts), lengths)
    encoded = first + tf.reduce_sum(covered * slopes, axis=2)
    return tf.where(known, encoded, tf.zeros_like(encoded) + fills)
