"""Which source each sample of a mixed pass comes from, and where each pass starts.

The order of a pass is a vector of choices, one per sample: `REAL` or `GENERATED`. It follows from
integer arithmetic on positions, so that it can be taken up again anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

REAL, GENERATED, PADDING = 0, 1, -1
Schedule = Callable[[tf.Tensor], Any]
Choices = Callable[[tf.Tensor], tf.Tensor]

_CHUNK = 1024
# Fractions of a schedule are summed in fixed point, so that sums do not depend on where they start.
_ONE = 2**32
# A schedule that stays at 1 never ends its pass.
_LONGEST_PASS = 10**7


def even_choices(real: int, generated: int) -> np.ndarray:
    """Spreads generated samples evenly: after i real ones, ``round(i * generated / real)``.

    Args:
        real: Real samples of the pass.
        generated: Generated ones; 0 if there are no real ones.

    Returns:
        int8, shape ``(real + generated,)``.

    Example:
        >>> even_choices(4, 2).tolist()
        [0, 1, 0, 0, 1, 0]
    """
    choices = np.full(real + generated, GENERATED, np.int8)
    index = np.arange(real, dtype=np.int64)
    choices[index + (2 * index * generated + real) // (2 * max(real, 1))] = REAL
    return choices


class ScheduledChoices:
    """The choices that a schedule from the global sample index gives.

    The fractions are summed up, and a generated sample is due whenever the sum passes the next
    whole number (first-order noise shaping): any stretch of samples holds its generated ones to
    within one sample. A pass ends with its last real sample.

    Args:
        schedule: Called in graph mode with a scalar int64 tensor, the global sample index;
            returns the fraction of generated samples there, in [0, 1].
        real: Real samples per pass.
    """

    def __init__(self, schedule: Schedule, real: int) -> None:
        self._real = tf.constant(real, tf.int64)
        self._fraction = tf.function(
            lambda index: tf.reshape(tf.cast(schedule(index), tf.float64), [])
        )
        self._choices = tf.function(
            self._walk, input_signature=[tf.TensorSpec([], tf.int64)], autograph=False
        )

    def __call__(self, start: tf.Tensor) -> tf.Tensor:
        """The choices of the pass that starts at the global index `start`, int8 ``(samples,)``."""
        return self._choices(start)

    def _walk(self, start: tf.Tensor) -> tf.Tensor:
        def unfinished(first: tf.Tensor, total: tf.Tensor, left: tf.Tensor, chunks: Any) -> Any:
            del total, chunks
            return (left > 0) & (first - start < _LONGEST_PASS)

        def step(first: tf.Tensor, total: tf.Tensor, left: tf.Tensor, chunks: Any) -> Any:
            choices, total = self._chunk(first, total)
            before = tf.cumsum(1 - choices, exclusive=True)
            kept = tf.cast(tf.boolean_mask(choices, before < left), tf.int8)
            chunks = chunks.write(chunks.size(), kept)
            return first + _CHUNK, total, left - tf.reduce_sum(1 - choices), chunks

        chunks = tf.TensorArray(
            tf.int8, 0, dynamic_size=True, infer_shape=False, element_shape=[None]
        )
        half = tf.constant(_ONE // 2, tf.int64)
        _, _, left, chunks = tf.while_loop(unfinished, step, (start, half, self._real, chunks))
        message = "The schedule of `generated_fraction` stays at 1: its pass never ends."
        with tf.control_dependencies([tf.debugging.Assert(left <= 0, [message])]):
            return chunks.concat()

    def _chunk(self, first: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        fractions = tf.vectorized_map(self._fraction, tf.range(first, first + _CHUNK))
        message = "`generated_fraction` must be in [0, 1] at every sample index. Received:"
        inside = tf.reduce_all((fractions >= 0) & (fractions <= 1))
        with tf.control_dependencies([tf.debugging.Assert(inside, [message, fractions])]):
            increments = tf.cast(tf.round(fractions * _ONE), tf.int64)
        totals = total + tf.cumsum(increments)
        choices = totals // _ONE - (totals - increments) // _ONE
        return choices, totals[-1] % _ONE


def locate(choices: np.ndarray | Choices, index: int) -> tuple[int, int, int]:
    """Finds the pass that a global sample index lies in.

    Args:
        choices: Those of every pass, or a function from the start of a pass to its choices.
        index: The global sample index.

    Returns:
        The number of the pass, the global index of its first sample, and the place in it.

    Example:
        >>> locate(even_choices(4, 2), 14)
        (2, 12, 2)
    """
    if isinstance(choices, np.ndarray):
        length = max(len(choices), 1)
        return index // length, index // length * length, index % length
    epoch, start = 0, 0
    while True:
        end = start + int(tf.size(choices(tf.constant(start, tf.int64))))
        if index < end or end == start:
            return epoch, start, index - start
        epoch, start = epoch + 1, end


def windows_of(choices: tf.Tensor, size: int) -> tf.Tensor:
    """Cuts choices into rows of `size`, the last filled up with `PADDING`; int8."""
    length = tf.size(choices)
    rows = -(-length // size)
    padded = tf.pad(choices, [[0, rows * size - length]], constant_values=PADDING)
    return tf.reshape(padded, [rows, size])


class PassCounter:
    """Counts the passes that have been started, inside the `tf.data` graph.

    A hash table and not a variable: a variable made under `strategy.scope()` would be mirrored.

    Args:
        choices: From the global index at which a pass starts to its choices.
        window: Samples per row of the choices.
        first_epoch: Number of the first pass.
        first_start: Global sample index at which that pass starts.
        first_skip: Samples of that pass to leave out.
    """

    _STARTED, _NEXT_START = 0, 1

    def __init__(
        self,
        choices: np.ndarray | Choices,
        window: int,
        first_epoch: int,
        first_start: int,
        first_skip: int,
    ) -> None:
        self._table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)
        self._table.insert([self._STARTED, self._NEXT_START], [0, first_start])
        self._first_epoch, self._first_skip, self._window = first_epoch, first_skip, window
        self._choices = choices
        if isinstance(choices, np.ndarray):
            # The same in every pass.
            self._windows = windows_of(tf.constant(choices), window)

    def passes(self) -> tf.data.Dataset:
        """A dataset of one element, another one at each iteration.

        Returns:
            ``(epoch, start, skip, windows)``: the number of the pass, the global index of its
            first sample, how many of its samples to leave out (int64 scalars), and its choices
            as `windows_of` cuts them.
        """
        return tf.data.Dataset.range(1).map(self._begin)

    @tf.autograph.experimental.do_not_convert
    def _begin(self, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        keys = tf.constant([self._STARTED, self._NEXT_START], tf.int64)
        started, start = tf.unstack(self._table.lookup(keys), num=2)
        if isinstance(self._choices, np.ndarray):
            length, windows = tf.constant(len(self._choices), tf.int64), self._windows
        else:
            choices = self._choices(start)
            length, windows = tf.size(choices, tf.int64), windows_of(choices, self._window)
        self._table.insert(keys, tf.stack([started + 1, start + length]))
        skip = tf.where(started == 0, tf.constant(self._first_skip, tf.int64), 0)
        return self._first_epoch + started, start, skip, windows
