"""Real and generated samples in one `tf.data` stream, interleaved sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
from keras_ganaccel.mixing.interleave import (
    BLOCK,
    Merger,
    default_window,
    generated_count,
    interleaved,
)
from keras_ganaccel.mixing.order import (
    Choices,
    PassCounter,
    Schedule,
    ScheduledChoices,
    even_choices,
    locate,
)
from keras_ganaccel.mixing.selection import class_counts, select_per_class
from keras_ganaccel.pipelines import without_autotuner


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
    window = shuffle_window or default_window(real.element_spec, _is_endless(plan.generated))
    shuffled = window > 1
    window = window if shuffled else BLOCK
    epoch, start, skip = locate(plan.choices, start_index)
    counter = PassCounter(plan.choices, window, epoch, start, skip)

    def generated_of(epoch: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        # What went before this pass and was not real, was generated.
        return _of_this_pass(generated, plan, epoch, start - epoch * plan.real).batch(BLOCK)

    merge = Merger(window, seed if shuffled else None, generated_weight, with_source)
    mixed = interleaved(counter.passes(), real.batch(BLOCK), generated_of, merge).unbatch()
    if isinstance(plan.choices, np.ndarray) and skip == 0:
        mixed = mixed.apply(tf.data.experimental.assert_cardinality(len(plan.choices)))
    return without_autotuner(mixed)


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


def _is_endless(size: int) -> bool:
    return size == tf.data.INFINITE_CARDINALITY


def _of_this_pass(
    generated: tf.data.Dataset, plan: _Plan, epoch: tf.Tensor, offset: tf.Tensor
) -> tf.data.Dataset:
    """The generated source from where the last pass stopped, wrapping round."""
    if plan.wanted is not None:
        endless = _is_endless(plan.generated)
        return select_per_class(generated, plan.wanted, plan.available, endless, epoch)
    if plan.generated <= 0:
        return generated
    offset %= plan.generated
    return generated.skip(offset).concatenate(generated.take(offset))
