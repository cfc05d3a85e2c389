"""Which source each sample of a mixed pass comes from, and where each pass starts.

A pass is described by a stream of choices: 0 takes the next real sample, 1 the next generated
one. Everything here is integer or correctly rounded arithmetic on positions, so that an order can
be taken up again anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

REAL, GENERATED = 0, 1
Schedule = Callable[[tf.Tensor], Any]

_CHUNK = 1024
_ENDLESS = 2**62
# Fractions of a schedule are summed in fixed point, so that sums do not depend on where they start.
_ONE = 2**32
# A schedule that stays at 1 never ends its pass; this many samples per pass are looked through.
_LONGEST_PASS = 10**8


def even_choices(numerator: float, denominator: float) -> tf.data.Dataset:
    """Spreads generated samples evenly: after i real ones, round(i * numerator / denominator).

    Args:
        numerator: Generated share, such as ``f`` or a number of generated samples.
        denominator: Real share, such as ``1 - f`` or a number of real samples.

    Returns:
        An endless dataset of int64 scalars, `REAL` or `GENERATED`; the pass ends where real
        samples end.
    """
    top = tf.constant(numerator, tf.float64)
    bottom = tf.constant(denominator, tf.float64)

    def due(count: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.round(tf.cast(count, tf.float64) * top / bottom), tf.int64)

    def chunk(first: tf.Tensor) -> tf.Tensor:
        index = tf.range(first, first + _CHUNK)
        followers = due(index + 1) - due(index)
        lengths = tf.reshape(tf.stack([tf.ones_like(followers), followers], axis=1), [-1])
        return tf.repeat(tf.tile(tf.constant([REAL, GENERATED], tf.int64), [_CHUNK]), lengths)

    return tf.data.Dataset.range(0, _ENDLESS, _CHUNK).map(chunk).unbatch()


class ScheduledOrder:
    """The order that a schedule from the global sample index gives.

    The fractions are summed up, and a generated sample is due whenever the sum passes the next
    whole number (first-order noise shaping): any stretch of samples holds its generated ones to
    within one sample. A pass ends with its last real sample.

    Args:
        schedule: Called in graph mode with a scalar int64 tensor, the global sample index;
            returns the fraction of generated samples there, in [0, 1].
        real_count: Real samples per pass.
    """

    def __init__(self, schedule: Schedule, real_count: int) -> None:
        self._real_count = tf.constant(real_count, tf.int64)
        self._scalar = tf.function(
            lambda index: tf.reshape(tf.cast(schedule(index), tf.float64), [])
        )

    def choices(self, start: tf.Tensor) -> tf.data.Dataset:
        """The choices of the pass that starts at the global index `start`."""
        state = (tf.constant(_ONE // 2, tf.int64), tf.constant(0, tf.int64))

        def chunk(state: tuple[tf.Tensor, tf.Tensor], first: tf.Tensor) -> Any:
            total, reals = state
            choices, total = self._chunk(first, total)
            after = reals + tf.cumsum(1 - choices)
            before = after - (1 - choices)
            return (total, after[-1]), tf.boolean_mask(choices, before < self._real_count)

        chunks = tf.data.Dataset.range(start, _ENDLESS, _CHUNK).scan(state, chunk)
        return chunks.take_while(lambda choices: tf.size(choices) > 0).unbatch()

    @tf.function
    def end(self, start: tf.Tensor) -> tf.Tensor:
        """The global index at which the pass that starts at `start` ends."""
        limit = start + self._real_count + _LONGEST_PASS

        def unfinished(first: tf.Tensor, total: tf.Tensor, reals: tf.Tensor, end: Any) -> tf.Tensor:
            del total, end
            return (reals < self._real_count) & (first < limit)

        def step(first: tf.Tensor, total: tf.Tensor, reals: tf.Tensor, end: tf.Tensor) -> Any:
            del end
            choices, total = self._chunk(first, total)
            after = reals + tf.cumsum(1 - choices)
            length = tf.searchsorted(after, self._real_count[None], out_type=tf.int64)[0] + 1
            return first + _CHUNK, total, after[-1], first + length

        zero = tf.constant(0, tf.int64)
        first = tf.convert_to_tensor(start, tf.int64)
        half = tf.constant(_ONE // 2, tf.int64)
        _, _, reals, end = tf.while_loop(unfinished, step, (first, half, zero, first))
        message = "The schedule of `generated_fraction` stays at 1: its pass never ends."
        with tf.control_dependencies([tf.debugging.Assert(reals >= self._real_count, [message])]):
            return tf.identity(end)

    def _chunk(self, first: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        fractions = tf.vectorized_map(self._scalar, tf.range(first, first + _CHUNK))
        message = "`generated_fraction` must be in [0, 1] at every sample index. Received:"
        inside = tf.reduce_all((fractions >= 0) & (fractions <= 1))
        with tf.control_dependencies([tf.debugging.Assert(inside, [message, fractions])]):
            increments = tf.cast(tf.round(fractions * _ONE), tf.int64)
        totals = total + tf.cumsum(increments)
        choices = totals // _ONE - (totals - increments) // _ONE
        return choices, totals[-1] % _ONE


class PassCounter:
    """Counts the passes that have been started, inside the `tf.data` graph.

    A hash table and not a variable: a variable made under `strategy.scope()` would be mirrored.

    Args:
        first_epoch: Number of the first pass.
        first_start: Global sample index at which that pass starts.
        first_skip: Samples of that pass to leave out.
        length: Samples per pass (-1 if unknown), or a function from the start of a pass to its
            end.
    """

    _STARTED, _NEXT_START = 0, 1

    def __init__(
        self,
        first_epoch: int,
        first_start: int,
        first_skip: int,
        length: int | Callable[[tf.Tensor], tf.Tensor],
    ) -> None:
        self._table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)
        self._table.insert([self._STARTED, self._NEXT_START], [0, first_start])
        self._first_epoch, self._first_skip, self._length = first_epoch, first_skip, length

    def passes(self) -> tf.data.Dataset:
        """A dataset of one element, made anew at each iteration.

        Returns:
            ``(epoch, start, length, skip)``, int64 scalars: the number of the pass, the global
            index of its first sample, its samples (-1 if unknown), and how many to leave out.
        """
        return tf.data.Dataset.range(1).map(self._begin)

    def _begin(self, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        keys = tf.constant([self._STARTED, self._NEXT_START], tf.int64)
        started, start = tf.unstack(self._table.lookup(keys), num=2)
        if callable(self._length):
            length = self._length(start) - start
        else:
            length = tf.constant(self._length, tf.int64)
        self._table.insert(keys, tf.stack([started + 1, start + tf.maximum(length, 0)]))
        skip = tf.where(started == 0, tf.constant(self._first_skip, tf.int64), 0)
        return self._first_epoch + started, start, length, skip
