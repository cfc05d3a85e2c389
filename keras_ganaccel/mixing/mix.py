"""Real and generated samples in one `tf.data` stream, interleaved sample by sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.mixing.checks import (
    check_enough,
    check_labels,
    check_numbers,
    check_sources,
    checked_fraction,
)
from keras_ganaccel.mixing.order import (
    GENERATED,
    REAL,
    PassCounter,
    Schedule,
    ScheduledOrder,
    even_choices,
)
from keras_ganaccel.mixing.selection import class_counts, label_of, select_per_class
from keras_ganaccel.seeds import derive_seed

_WINDOW_BYTES = 2**25
_LARGEST_WINDOW = 2**15
# Keeps the seeds of windows and of epochs apart.
_WINDOW_STRIDE = 2**32


@dataclass(frozen=True)
class _Plan:
    """How many generated samples go where.

    Args:
        choices: From the start of a pass to its stream of choices.
        length: Samples per pass, -1 if unknown, or a function from the start of a pass to its end.
        wanted: Generated samples per class, if the classes were asked for one by one.
        available: Samples per class in the generated source, if they were counted.
    """

    choices: Callable[[tf.Tensor], tf.data.Dataset]
    length: int | Callable[[tf.Tensor], tf.Tensor]
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
            label, or a dict with ``"label"`` and ``"teacher_logits"``.
        generated: Dataset of the same element spec, such as `GeneratedDataset.pool(folder)`. An
            endless one (live generation) is expected to go on by itself from pass to pass.
        generated_fraction: The share of generated samples in the stream. A number in [0, 1); or
            a mapping from class to such a number, which gives ``round(n_c * f_c / (1 - f_c))``
            generated samples of each class c (none of a class left out; labels are counted by
            reading both sources once); or a schedule: called in graph mode with the global
            sample index, a scalar int64 tensor that goes on over epochs, it returns the share
            there, in [0, 1]. With a schedule passes differ in length, and a pass ends with its
            last real sample.
        seed: Of the order.
        generated_weight: Adds a sample weight to the elements: this one for generated samples
            and 1 for real ones (an existing weight is multiplied).
        with_source: Append an int32 to the elements: 0 real, 1 generated.
        start_index: Global sample index to start at: the first iteration yields what remains of
            that index' pass. To go on exactly after s samples, pass s.
        shuffle_window: Each source is shuffled inside consecutive windows of so many samples.
            None: as many as fit 32 MB, so that small data are shuffled whole. 1: keep the
            sources' own order.

    Returns:
        An unbatched dataset. Its cardinality is known if `real`'s is, except with a schedule and
        with a `start_index` inside a pass.

    Raises:
        InvalidInputError: The specs differ, a number is out of range, or `generated` is known
            to be too small. One whose size is unknown raises an error when it runs dry.

    Example:
        >>> real = tf.data.Dataset.from_tensor_slices(([[0.0]] * 6, [0, 1, 2, 3, 4, 5]))
        >>> generated = tf.data.Dataset.from_tensor_slices(([[1.0]] * 9, [0] * 9))
        >>> mixed = mix_datasets(real, generated, generated_fraction=0.25, seed=0)
        >>> len(mixed), sum(int(x[0]) for x, _ in mixed)
        (8, 2)
    """
    check_sources(real, generated)
    check_numbers(generated_weight, start_index, shuffle_window)
    if callable(generated_fraction):
        plan, count = _scheduled(real, generated, generated_fraction)
    elif isinstance(generated_fraction, Mapping):
        plan, count = _per_class(real, generated, generated_fraction)
    else:
        plan, count = _constant(real, generated, generated_fraction)
    epoch, start, skip = _locate(plan, count, start_index)
    counter = PassCounter(epoch, start, skip, plan.length)
    window = shuffle_window or _default_window(real.element_spec)
    decorate = _decorator(real.element_spec, generated_weight, with_source)
    size = int(generated.cardinality())

    def one_pass(
        epoch: tf.Tensor, start: tf.Tensor, length: tf.Tensor, skip: tf.Tensor
    ) -> tf.data.Dataset:
        taken = generated
        if plan.wanted is not None:
            taken = select_per_class(generated, plan.wanted, plan.available, epoch)
        elif size > 0 and count >= 0:
            # What went before this pass and was not real, was generated.
            offset = (start - epoch * count) % size
            taken = generated.skip(offset).concatenate(generated.take(offset)).take(length - count)
        sources = []
        for kind, source, shuffled in (
            (REAL, real, True),
            (GENERATED, taken, size >= 0),
        ):
            key = tf.stack([derive_seed(seed, "mix", kind), epoch])
            ordered = _windows(source, window if shuffled else 1, key, decorate(kind))
            sources.append(ordered)
        sources[GENERATED] = sources[GENERATED].concatenate(_dry(sources[GENERATED].element_spec))
        mixed = tf.data.Dataset.choose_from_datasets(
            sources, plan.choices(start), stop_on_empty_dataset=True
        )
        return mixed.skip(skip)

    mixed = counter.passes().flat_map(one_pass)
    if isinstance(plan.length, int) and plan.length >= 0 and skip == 0:
        mixed = mixed.apply(tf.data.experimental.assert_cardinality(plan.length))
    return mixed


def generated_count(real_count: int, fraction: float) -> int:
    """The number of generated samples beside `real_count` real ones: round(n * f / (1 - f))."""
    return round(real_count * fraction / (1 - fraction))


def _constant(
    real: tf.data.Dataset, generated: tf.data.Dataset, fraction: float
) -> tuple[_Plan, int]:
    fraction = checked_fraction(fraction, "`generated_fraction`")
    count = int(real.cardinality())
    length = -1
    if count >= 0:
        needed = generated_count(count, fraction)
        check_enough(int(generated.cardinality()), needed, "")
        length = count + needed
    return _Plan(lambda start: even_choices(fraction, 1 - fraction), length), count


def _per_class(
    real: tf.data.Dataset, generated: tf.data.Dataset, fractions: Mapping[int, float]
) -> tuple[_Plan, int]:
    check_labels(real)
    checked = {
        int(label): checked_fraction(fraction, f"`generated_fraction` of class {label}")
        for label, fraction in fractions.items()
    }
    reals = class_counts(real)
    count = sum(reals.values())
    wanted = {
        label: generated_count(reals.get(label, 0), fraction) for label, fraction in checked.items()
    }
    available = None
    if int(generated.cardinality()) >= 0:
        available = class_counts(generated)
        for label, needed in wanted.items():
            check_enough(available.get(label, 0), needed, f" of class {label}")
    needed = sum(wanted.values())
    choices = _Plan(
        lambda start: even_choices(needed, max(count, 1)), count + needed, wanted, available
    )
    return choices, count


def _scheduled(
    real: tf.data.Dataset, generated: tf.data.Dataset, schedule: Schedule
) -> tuple[_Plan, int]:
    count = int(real.cardinality())
    if count < 0:
        count = sum(1 for _ in real)
    order = ScheduledOrder(schedule, count)
    try:
        first = int(order.end(tf.constant(0, tf.int64)))
    except tf.errors.InvalidArgumentError:
        raise InvalidInputError(
            "`generated_fraction` must be a schedule with values in [0, 1] that lets real samples "
            f"through. Received: {schedule!r}. Let it return a number in [0, 1] at every index."
        ) from None
    check_enough(int(generated.cardinality()), first - count, "")
    return _Plan(order.choices, order.end), count


def _locate(plan: _Plan, count: int, index: int) -> tuple[int, int, int]:
    """Returns the epoch of a global index, the start of its pass, and its place in the pass."""
    if index == 0:
        return 0, 0, 0
    if count <= 0:
        raise InvalidInputError(
            f"`start_index` needs a real source of known size. Received: {index}. "
            "Apply tf.data.experimental.assert_cardinality(n) to `real`."
        )
    if not callable(plan.length):
        epoch, skip = divmod(index, plan.length)
        return epoch, epoch * plan.length, skip
    epoch, start, end = 0, 0, int(plan.length(tf.constant(0, tf.int64)))
    while end <= index:
        epoch, start, end = epoch + 1, end, int(plan.length(tf.constant(end, tf.int64)))
    return epoch, start, index - start


def _windows(
    dataset: tf.data.Dataset, window: int, key: tf.Tensor, decorate: Callable[..., Any]
) -> tf.data.Dataset:
    """Shuffles inside consecutive windows, by a permutation that depends on `key` alone."""
    if window == 1:
        return dataset.map(decorate)

    def shuffle(number: tf.Tensor, block: Any) -> Any:
        rows = tf.range(tf.shape(tf.nest.flatten(block)[0])[0])
        numbered = key + tf.stack([tf.zeros_like(number), number * _WINDOW_STRIDE])
        order = tf.random.experimental.stateless_shuffle(rows, numbered)
        shuffled = tf.nest.map_structure(lambda item: tf.gather(item, order), block)
        return decorate(*shuffled)

    return dataset.batch(window).enumerate().map(shuffle).unbatch()


def _decorator(
    spec: Any, generated_weight: float | None, with_source: bool
) -> Callable[[int], Callable[..., Any]]:
    """Makes the function that adds the weight and the flag to the elements of a source."""
    weighted = len(spec) == 3

    def decorate(kind: int) -> Callable[..., Any]:
        def apply(*element: Any) -> Any:
            # Rank 0 for single samples, 1 for a window of them.
            shape = tf.shape(label_of(element))[: _rank(element) - _rank(spec)]
            if generated_weight is not None:
                factor = generated_weight if kind == GENERATED else 1.0
                weight = element[2] * factor if weighted else tf.fill(shape, np.float32(factor))
                element = (*element[:2], weight)
            if with_source:
                element = (*element, tf.fill(shape, np.int32(kind)))
            return element

        return apply

    return decorate


def _rank(element: Any) -> int:
    return tf.nest.flatten(element)[0].shape.rank


def _dry(spec: Any) -> tf.data.Dataset:
    """A dataset that raises an error when its first element is asked for."""

    def fail(_: tf.Tensor) -> Any:
        message = (
            "`generated` has run dry: it holds fewer samples than the mixture needs. "
            "Write a larger pool or lower `generated_fraction`."
        )
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tf.nest.map_structure(
                lambda item: tf.zeros([size or 0 for size in item.shape], item.dtype), spec
            )

    return tf.data.Dataset.range(1).map(fail)


def _default_window(spec: Any) -> int:
    sizes = [
        math.prod(size or 1 for size in item.shape) * item.dtype.size
        for item in tf.nest.flatten(spec)
    ]
    return int(np.clip(_WINDOW_BYTES // max(sum(sizes), 1), 16, _LARGEST_WINDOW))
