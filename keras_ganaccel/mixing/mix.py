"""Real and generated samples in one `tf.data` stream, interleaved sample by sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.mixing.checks import (
    check_enough,
    check_labels,
    check_numbers,
    checked_fraction,
    matched_sources,
)
from keras_ganaccel.mixing.order import (
    GENERATED,
    REAL,
    Choices,
    PassCounter,
    Schedule,
    ScheduledChoices,
    even_choices,
)
from keras_ganaccel.mixing.selection import class_counts, select_per_class
from keras_ganaccel.pipelines import without_autotuner
from keras_ganaccel.seeds import derive_seed

_BLOCK = 256
_WINDOW_BYTES = 2**25
_LARGEST_WINDOW, _LARGEST_LIVE_WINDOW = 2**15, 2**11
# Keeps the seeds of windows apart.
_WINDOW_STRIDE = 2**32
_RAN_DRY = (
    "`real` holds fewer samples than it did before.",
    "`generated` has run dry: it holds fewer samples than the mixture needs. "
    "Write a larger pool or lower `generated_fraction`.",
)


@dataclass(frozen=True)
class _Plan:
    """How many generated samples go where.

    Args:
        real: Real samples per pass.
        generated: Samples of the generated source, or TensorFlow's negative number if unknown or
            endless.
        choices: Those of every pass, or a function from the start of a pass to its choices.
        wanted: Generated samples per class, if the classes were asked for one by one.
        available: Samples per class in the generated source, if they were counted.
    """

    real: int
    generated: int
    choices: np.ndarray | Choices
    wanted: Mapping[int, int] | None = None
    available: Mapping[int, int] | None = None


def mix_datasets(
    real: tf.data.Dataset,
    generated: tf.data.Dataset,
    generated_fraction: float | Mapping[int, float] | Schedule,
    seed: int = 0,
    *,
    generated_weight: float | None = None,
    with_source: bool = False,
    start_index: int = 0,
    shuffle_window: int | None = None,
) -> tf.data.Dataset:
    """Interleaves real and generated samples, evenly spread, in an order given by seed and epoch.

    A pass yields every real sample once and exactly ``round(n * f / (1 - f))`` generated ones, n
    being the number of real samples. Every new iteration is the next epoch: it has another order,
    and goes on in the generated source where the last one stopped (wrapping round, never twice
    within a pass), so that a large pool is seen whole. The order is a pure function of (seed,
    epoch) as long as the two sources are.

    The number of passes is counted when an iterator delivers its first sample, inside the graph.

    Args:
        real: Unbatched finite dataset of ``(x, y)`` or ``(x, y, weight)``; `y` is an integer
            label, or a dict with ``"label"`` and ``"teacher_logits"``. Where its cardinality is
            unknown, it is read once to count it.
        generated: Dataset of the same element spec, such as `GeneratedDataset.pool(folder)`;
            integers of another width become those that hold both, and floats are cast to the real
            ones'. An endless one (live generation) is expected to go on by itself from pass to
            pass.
        generated_fraction: The share of generated samples in the stream. A number in [0, 1); or
            a mapping from class to such a number, which gives ``round(n_c * f_c / (1 - f_c))``
            generated samples of each class c (none of a class left out; labels are counted by
            reading both sources once); or a schedule: called in graph mode with the global
            sample index, a scalar int64 tensor that goes on over epochs, it returns the share
            there, in [0, 1]. With a schedule passes differ in length, and a pass ends with its
            last real sample.
        seed: Seed of the order.
        generated_weight: Adds a sample weight to the elements: this one for generated samples
            and 1 for real ones (an existing weight is multiplied).
        with_source: Append an int32 to the elements: 0 real, 1 generated.
        start_index: Global sample index to start at: the first iteration yields what remains of
            that index' pass. To go on exactly after s samples, pass s.
        shuffle_window: The order of each source is random inside consecutive windows of so many
            samples of the mixture. None: as many as fit 32 MB (fewer with an endless source), so
            that small data are shuffled whole. 1: keep the sources' own order.

    Returns:
        An unbatched dataset. Its cardinality is known, except with a schedule and with a
        `start_index` inside a pass.

    Raises:
        InvalidInputError: The specs differ, a number is out of range, or `generated` is known
            to be too small. One whose size is unknown raises an error when it runs dry.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tensorflow as tf
        >>> real = tf.data.Dataset.from_tensor_slices(([[0.0]] * 6, [0, 1, 2, 3, 4, 5]))
        >>> generated = tf.data.Dataset.from_tensor_slices(([[1.0]] * 9, [0] * 9))
        >>> mixed = ga.mix_datasets(real, generated, generated_fraction=0.25, seed=0)
        >>> len(mixed), sum(int(x[0]) for x, _ in mixed)
        (8, 2)
    """
    real, generated = matched_sources(real, generated)
    check_numbers(generated_weight, start_index, shuffle_window)
    plan = _make_plan(real, generated, generated_fraction)
    window = shuffle_window or _default_window(real.element_spec, plan.generated)
    shuffled = window > 1
    window = window if shuffled else _BLOCK
    epoch, start, skip = _locate(plan, start_index)
    counter = PassCounter(plan.choices, window, epoch, start, skip)

    @tf.autograph.experimental.do_not_convert
    def blocks_of(epoch: tf.Tensor, start: tf.Tensor, skip: tf.Tensor, windows: tf.Tensor) -> Any:
        """The pass as windows of choices and the blocks of samples that they are about."""
        # What went before this pass and was not real, was generated.
        taken = _of_this_pass(generated, plan, epoch, start - epoch * plan.real)
        pass_facts = tf.data.Dataset.from_tensors((epoch, skip)).repeat()
        rows = tf.data.Dataset.from_tensor_slices(windows).enumerate()
        sources = (_blocks(real, windows, REAL), _blocks(taken, windows, GENERATED))
        return tf.data.Dataset.zip((pass_facts, rows, sources))

    merge = _Merger(
        real.element_spec, seed if shuffled else None, generated_weight, with_source, window
    )
    mixed = counter.passes().flat_map(blocks_of).map(merge).unbatch()
    if isinstance(plan.choices, np.ndarray) and skip == 0:
        mixed = mixed.apply(tf.data.experimental.assert_cardinality(len(plan.choices)))
    return without_autotuner(mixed)


def generated_count(real_count: int, fraction: float) -> int:
    """The number of generated samples beside `real_count` real ones: round(n * f / (1 - f))."""
    return round(real_count * fraction / (1 - fraction))


def _make_plan(
    real: tf.data.Dataset,
    generated: tf.data.Dataset,
    fraction: float | Mapping[int, float] | Schedule,
) -> _Plan:
    if isinstance(fraction, Mapping):
        return _plan_per_class(real, generated, fraction)
    if not callable(fraction):
        fraction = checked_fraction(fraction, "`generated_fraction`")
    count, size = int(real.cardinality()), int(generated.cardinality())
    if count < 0:
        count = int(without_autotuner(real).reduce(np.int64(0), lambda number, _: number + 1))
    if callable(fraction):
        choices = ScheduledChoices(fraction, count)
        needed = _scheduled_length(choices, fraction) - count
        plan = _Plan(count, size, choices)
    else:
        needed = generated_count(count, fraction)
        plan = _Plan(count, size, even_choices(count, needed))
    check_enough(size, needed, "")
    return plan


def _plan_per_class(
    real: tf.data.Dataset, generated: tf.data.Dataset, fractions: Mapping[int, float]
) -> _Plan:
    check_labels(real)
    checked = {
        int(label): checked_fraction(fraction, f"`generated_fraction` of class {label}")
        for label, fraction in fractions.items()
    }
    reals = class_counts(real)
    wanted = {
        label: generated_count(reals.get(label, 0), fraction) for label, fraction in checked.items()
    }
    available, size = None, int(generated.cardinality())
    if size >= 0:
        available = class_counts(generated)
        for label, needed in wanted.items():
            check_enough(available.get(label, 0), needed, f" of class {label}")
    count = sum(reals.values())
    return _Plan(count, size, even_choices(count, sum(wanted.values())), wanted, available)


def _scheduled_length(choices: ScheduledChoices, schedule: Schedule) -> int:
    """The length of the first pass, and a check of the schedule there."""
    try:
        return int(tf.size(choices(tf.constant(0, tf.int64))))
    except tf.errors.InvalidArgumentError:
        raise InvalidInputError(
            "`generated_fraction` must be a schedule with values in [0, 1] that lets real samples "
            f"through. Received: {schedule!r}. Let it return a number in [0, 1] at every index."
        ) from None


def _locate(plan: _Plan, index: int) -> tuple[int, int, int]:
    """Returns the epoch of a global index, the start of its pass, and its place in the pass."""
    if isinstance(plan.choices, np.ndarray):
        length = max(len(plan.choices), 1)
        return index // length, index // length * length, index % length
    epoch, start = 0, 0
    while True:
        end = start + int(tf.size(plan.choices(tf.constant(start, tf.int64))))
        if index < end or end == start:
            return epoch, start, index - start
        epoch, start = epoch + 1, end


def _of_this_pass(
    generated: tf.data.Dataset, plan: _Plan, epoch: tf.Tensor, offset: tf.Tensor
) -> tf.data.Dataset:
    """The generated source from where the last pass stopped, wrapping round."""
    if plan.wanted is not None:
        endless = plan.generated == tf.data.INFINITE_CARDINALITY
        return select_per_class(generated, plan.wanted, plan.available, endless, epoch)
    if plan.generated <= 0:
        return generated
    offset %= plan.generated
    return generated.skip(offset).concatenate(generated.take(offset))


def _blocks(dataset: tf.data.Dataset, windows: tf.Tensor, kind: int) -> tf.data.Dataset:
    """Cuts a source into one block per window, empty ones where it has run dry."""
    sizes = tf.reduce_sum(tf.cast(windows == kind, tf.int64), axis=1)
    empty = tf.nest.map_structure(
        lambda item: tf.zeros([0, *[size or 0 for size in item.shape]], item.dtype),
        dataset.element_spec,
    )
    blocks = dataset.batch(_BLOCK).rebatch(sizes)
    return blocks.concatenate(tf.data.Dataset.from_tensors(empty).repeat())


class _Merger:
    """Puts a window together: shuffles the samples of each kind and follows the choices.

    Args:
        spec: Specification of the elements.
        seed: Seed of the order inside the window; None keeps the sources' own.
        generated_weight: Sample weight of generated samples, or None to add no weight.
        with_source: Append the choices to the elements.
        window: Samples per window.
    """

    def __init__(
        self,
        spec: Any,
        seed: int | None,
        generated_weight: float | None,
        with_source: bool,
        window: int,
    ) -> None:
        self._has_weight = len(spec) == 3
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
            given = tf.cast(samples[2], tf.float32) if self._has_weight else 1.0
            samples = (*samples[:2], given * factors)
        if self._with_source:
            samples = (*samples, kinds)
        return samples


def _default_window(spec: Any, generated: int) -> int:
    sizes = [
        math.prod(size or 1 for size in item.shape) * item.dtype.size
        for item in tf.nest.flatten(spec)
    ]
    # An endless source is generated while one waits for the window.
    largest = _LARGEST_LIVE_WINDOW if generated == tf.data.INFINITE_CARDINALITY else _LARGEST_WINDOW
    return int(np.clip(_WINDOW_BYTES // max(sum(sizes), 1), 16, largest))
