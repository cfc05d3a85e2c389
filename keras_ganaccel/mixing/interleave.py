"""Putting windows of real and generated samples together, block by block.

A source is read in blocks of many samples: slicing and joining those costs next to nothing, where
an element at a time costs more than the training step of a small student.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.mixing.order import (
    GENERATED,
    REAL,
    Choices,
    Schedule,
    ScheduledChoices,
    even_choices,
    locate,
    windows_of,
)
from keras_ganaccel.seeds import derive_seed

BLOCK = 256
_WINDOW_BYTES = 2**25
_LARGEST_WINDOW, _LARGEST_LIVE_WINDOW = 2**15, 2**11
# Keeps the seeds of windows apart.
_WINDOW_STRIDE = 2**32
_RAN_DRY = (
    "`real` holds fewer samples than it did before.",
    "`generated` has run dry: it holds fewer samples than the mixture needs. "
    "Write a larger pool or lower `generated_fraction`.",
)


@dataclass(frozen=True, eq=False)
class Blocks:
    """A source of known size, cut into blocks.

    Args:
        dataset: Yields blocks, mappings of batches, of `block` samples each, the last one of what
            is left.
        size: Samples in all, at least one.
        block: Samples of a block.
    """

    dataset: tf.data.Dataset
    size: int
    block: int

    def endlessly_from(self, offset: tf.Tensor) -> tf.data.Dataset:
        """The blocks from a sample on, over and over; `offset` is an int64 scalar."""
        offset %= self.size
        first, inside = offset // self.block, offset % self.block

        @tf.autograph.experimental.do_not_convert
        def after(block: Any) -> Any:
            return tf.nest.map_structure(lambda item: item[inside:], block)

        begun = self.dataset.skip(first).take(1).map(after)
        return begun.concatenate(self.dataset.skip(first + 1)).concatenate(self.dataset.repeat())


def mixed_batches(
    real: Blocks,
    generated: Blocks | None,
    fraction: float | Schedule,
    *,
    seed: int,
    samples: int,
    batch_size: int,
    start_index: int = 0,
) -> tf.data.Dataset:
    """Batches of real and generated samples in the order of `mix_datasets`, over all its passes.

    Where a pass takes more generated samples than there are, they come again.

    Args:
        real: The real samples.
        generated: The generated ones, of the same structure, or None.
        fraction: As `generated_fraction` of `mix_datasets`, but not per class; 0 without
            generated samples.
        seed: Seed of the order.
        samples: Global sample index to end at.
        batch_size: Samples per batch; batches go across the ends of passes.
        start_index: Global sample index to start at.

    Returns:
        The batches; a function of the sources and the arguments alone.
    """
    choices: np.ndarray | Choices
    if callable(fraction):
        choices = ScheduledChoices(fraction, real.size)
    else:
        choices = even_choices(real.size, generated_count(real.size, fraction))
    window = default_window(
        tf.nest.map_structure(
            lambda item: tf.TensorSpec(item.shape[1:], item.dtype), real.dataset.element_spec
        )
    )

    def generated_of(epoch: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        if generated is None:
            return real.dataset.take(0)
        return generated.endlessly_from(start - epoch * real.size)

    passes = _passes(choices, window, start_index, samples)
    windows = interleaved(passes, real.dataset, generated_of, Merger(window, seed))
    left = samples - start_index
    batches = windows.rebatch(batch_size).take(-(-left // batch_size))
    return batches.apply(tf.data.experimental.assert_cardinality(-(-left // batch_size)))


def generated_count(real_count: int, fraction: float) -> int:
    """The number of generated samples beside `real_count` real ones: round(n * f / (1 - f))."""
    return round(real_count * fraction / (1 - fraction))


def _passes(
    choices: np.ndarray | Choices, window: int, start_index: int, end: int
) -> tf.data.Dataset:
    """What `PassCounter.passes` yields, for all passes up to an index."""
    epoch, start, skip = locate(choices, start_index)
    starts = [start]
    if isinstance(choices, np.ndarray):
        starts = list(range(start, max(end, start + 1), len(choices)))
    else:
        while True:
            start += int(tf.size(choices(tf.constant(start, tf.int64))))
            if start >= end:
                break
            starts.append(start)
    skips = np.zeros(len(starts), np.int64)
    skips[0] = skip
    epochs = np.arange(epoch, epoch + len(starts), dtype=np.int64)
    same = windows_of(tf.constant(choices), window) if isinstance(choices, np.ndarray) else None

    @tf.autograph.experimental.do_not_convert
    def begin(epoch: tf.Tensor, start: tf.Tensor, skip: tf.Tensor) -> Any:
        if same is not None:
            return epoch, start, skip, same
        assert not isinstance(choices, np.ndarray)
        return epoch, start, skip, windows_of(choices(start), window)

    begun = tf.data.Dataset.from_tensor_slices((epochs, np.array(starts, np.int64), skips))
    return begun.map(begin)


def interleaved(
    passes: tf.data.Dataset,
    real: tf.data.Dataset,
    generated_of: Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset],
    merge: Merger,
) -> tf.data.Dataset:
    """Puts the windows of passes together.

    Args:
        passes: Yields ``(epoch, start, skip, windows)``, see `PassCounter.passes`.
        real: Blocks of all real samples.
        generated_of: From epoch and start of a pass to blocks of its generated samples; they may
            go on after what the pass takes.
        merge: Puts a window together.

    Returns:
        The windows, batched.
    """

    @tf.autograph.experimental.do_not_convert
    def blocks_of(epoch: tf.Tensor, start: tf.Tensor, skip: tf.Tensor, windows: tf.Tensor) -> Any:
        """The pass as windows of choices and the blocks of samples that they are about."""
        pass_facts = tf.data.Dataset.from_tensors((epoch, skip)).repeat()
        rows = tf.data.Dataset.from_tensor_slices(windows).enumerate()
        sources = (
            _per_window(real, windows, REAL),
            _per_window(generated_of(epoch, start), windows, GENERATED),
        )
        return tf.data.Dataset.zip((pass_facts, rows, sources))

    return passes.flat_map(blocks_of).map(merge)


def _per_window(blocks: tf.data.Dataset, windows: tf.Tensor, kind: int) -> tf.data.Dataset:
    """Cuts a source into one block per window, empty ones where it has run dry."""
    sizes = tf.reduce_sum(tf.cast(windows == kind, tf.int64), axis=1)
    empty = tf.nest.map_structure(
        lambda item: tf.zeros([0, *[size or 0 for size in item.shape[1:]]], item.dtype),
        blocks.element_spec,
    )
    return blocks.rebatch(sizes).concatenate(tf.data.Dataset.from_tensors(empty).repeat())


class Merger:
    """Puts a window together: shuffles the samples of each kind and follows the choices.

    Args:
        window: Samples per window.
        seed: Seed of the order inside the window; None keeps the sources' own.
        generated_weight: Sample weight of generated samples, or None to add no weight.
        with_source: Append the choices to the elements.
    """

    def __init__(
        self,
        window: int,
        seed: int | None,
        generated_weight: float | None = None,
        with_source: bool = False,
    ) -> None:
        self._seeds = [None if seed is None else derive_seed(seed, "mix", kind) for kind in (0, 1)]
        self._generated_weight, self._with_source = generated_weight, with_source
        self._window = window

    @tf.autograph.experimental.do_not_convert
    def __call__(self, facts: Any, numbered: Any, sources: Any) -> Any:
        """Merges one window.

        Args:
            facts: ``(epoch, skip)``.
            numbered: ``(number of the window, its choices)``.
            sources: The real and the generated samples of the window.

        Returns:
            The samples, in order, batched.
        """
        (epoch, skip), (number, choices) = facts, numbered
        places, orders = [], []
        for kind in (REAL, GENERATED):
            place = tf.reshape(tf.where(choices == kind), [-1])
            rows = tf.shape(tf.nest.flatten(sources[kind])[0], tf.int64)[0]
            # The plain operation: `tf.debugging.Assert` would bring a conditional with functions
            # of its own, which costs every new iterator some milliseconds.
            full = tf.raw_ops.Assert(
                condition=tf.equal(rows, tf.size(place, tf.int64)), data=[_RAN_DRY[kind]]
            )
            with tf.control_dependencies([full]):
                places.append(tf.cast(place, tf.int32))
            orders.append(self._order(kind, rows, epoch, number))
        reals = tf.size(orders[REAL], tf.int64)
        order = tf.dynamic_stitch(places, [orders[REAL], reals + orders[GENERATED]])
        first = tf.maximum(skip - number * self._window, 0)
        order = order[first:]
        samples = tf.nest.map_structure(
            lambda *items: tf.gather(tf.concat(items, axis=0), order), *sources
        )
        return self._decorated(samples, tf.cast(order >= reals, tf.int32))

    def _order(self, kind: int, rows: tf.Tensor, epoch: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        seed = self._seeds[kind]
        if seed is None:
            return tf.range(rows)
        key = tf.stack([seed + number * _WINDOW_STRIDE, epoch])
        return tf.random.experimental.stateless_shuffle(tf.range(rows), key, alg="philox")

    def _decorated(self, samples: Any, kinds: tf.Tensor) -> Any:
        if self._generated_weight is not None:
            weights = tf.constant([1.0, self._generated_weight], tf.float32)
            factors = tf.gather(weights, kinds)
            given = tf.cast(samples[2], tf.float32) if len(samples) == 3 else 1.0
            samples = (*samples[:2], given * factors)
        if self._with_source:
            samples = (*samples, kinds)
        return samples


def default_window(spec: Any, endless: bool = False) -> int:
    """Samples of a window that take about 32 MB; fewer of a source that is generated meanwhile.

    Args:
        spec: Specification of a sample.
        endless: Whether the generated source is made while one waits for the window.
    """
    sizes = [
        math.prod(size or 1 for size in item.shape) * item.dtype.size
        for item in tf.nest.flatten(spec)
    ]
    largest = _LARGEST_LIVE_WINDOW if endless else _LARGEST_WINDOW
    return int(np.clip(_WINDOW_BYTES // max(sum(sizes), 1), 16, largest))
