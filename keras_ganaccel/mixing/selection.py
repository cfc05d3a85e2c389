"""Picks given numbers of samples per class out of a stream, evenly and in one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.pipelines import without_autotuner

_BLOCK = 1024
# An endless source that lacks a class would never end a pass.
_LONGEST_DROUGHT = 64


def label_of(element: Any) -> tf.Tensor:
    """Returns the integer label of an element ``(x, y, ...)``; `y` may be a dict with "label"."""
    y = element[1]
    return y["label"] if isinstance(y, Mapping) else y


def class_counts(dataset: tf.data.Dataset) -> dict[int, int]:
    """Counts the samples of each class in one reading of a finite, unbatched dataset."""
    counts: Counter[int] = Counter()
    labelled = dataset.map(lambda *element: label_of(element)).batch(8192)
    for labels in without_autotuner(labelled):
        classes, numbers = np.unique(labels.numpy(), return_counts=True)
        counts.update(dict(zip(classes.tolist(), numbers.tolist(), strict=True)))
    return dict(counts)


def select_per_class(
    dataset: tf.data.Dataset,
    wanted: Mapping[int, int],
    available: Mapping[int, int] | None,
    endless: bool,
    epoch: tf.Tensor,
) -> tf.data.Dataset:
    """Picks ``wanted[c]`` samples of every class c, spread evenly over the stream.

    Of class c, which has M samples, the j-th is taken where ``(j * wanted + phase) // M`` steps
    up. That is exactly `wanted` of them whatever the phase, and the phase moves with the epoch,
    so that later passes see other parts of the source.

    Args:
        dataset: Unbatched ``(x, y, ...)``.
        wanted: Samples to take per class; other classes are left out.
        available: Samples per class in `dataset`; None where they cannot be counted, and the
            samples are then taken as they come, at rates proportional to `wanted` if `endless`.
        endless: Whether the dataset has no end.
        epoch: Number of the pass, int64.

    Returns:
        The dataset of the chosen samples, in their order. It is shorter than asked for where
        the source runs dry.
    """
    classes = sorted(label for label, number in wanted.items() if number > 0)
    if not classes:
        return dataset.take(0)
    quota = np.array([wanted[label] for label in classes], np.int64)
    if available is not None:
        period = np.array([available[label] for label in classes], np.int64)
    else:
        period = np.full_like(quota, quota.max()) if endless else quota
    phase = (epoch * quota) % period

    @tf.autograph.experimental.do_not_convert
    def pick(state: tuple[tf.Tensor, tf.Tensor], block: Any) -> Any:
        seen, drought = state
        labels = tf.cast(label_of(block), tf.int64)
        member = tf.cast(labels[:, None] == tf.constant(classes, tf.int64), tf.int64)
        rank = seen + tf.cumsum(member, exclusive=True)
        steps = ((rank + 1) * quota + phase) // period - (rank * quota + phase) // period
        taken = tf.reduce_any((member == 1) & (steps > 0) & (rank < period), axis=1)
        drought = tf.where(tf.reduce_any(taken), tf.zeros_like(drought), drought + 1)
        message = "`generated` has run dry of a class that `generated_fraction` asks for."
        alive = (drought < _LONGEST_DROUGHT) | (not endless)
        with tf.control_dependencies([tf.debugging.Assert(alive, [message])]):
            rows = tf.reshape(tf.where(taken), [-1])
        chosen = tf.nest.map_structure(lambda item: tf.gather(item, rows), block)
        return (seen + tf.reduce_sum(member, axis=0), drought), chosen

    state = (tf.zeros(len(classes), tf.int64), tf.constant(0, tf.int64))
    chosen = dataset.batch(_BLOCK).scan(state, pick).unbatch()
    return chosen.take(int(quota.sum()))
