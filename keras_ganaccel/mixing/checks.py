"""What `mix_datasets` refuses, each with one line that says why."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.mixing.selection import label_of


def check_sources(real: tf.data.Dataset, generated: tf.data.Dataset) -> None:
    """Both are unbatched datasets of equal element spec, and the real one ends."""
    for name, dataset in (("real", real), ("generated", generated)):
        if not isinstance(dataset, tf.data.Dataset):
            raise InvalidInputError(
                f"`{name}` must be a tf.data.Dataset. Received: {type(dataset).__name__}. "
                "Make one with tf.data.Dataset.from_tensor_slices((x, y))."
            )
    spec = real.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise InvalidInputError(
            f"`real` must yield (x, y) or (x, y, weight). Received: {spec}. Map it to that."
        )
    if spec != generated.element_spec:
        raise InvalidInputError(
            f"`real` and `generated` must have equal element specs. Received: {spec} and "
            f"{generated.element_spec}. Cast or reshape one of them."
        )
    if all(item.shape.rank and item.shape[0] is None for item in tf.nest.flatten(spec)):
        raise InvalidInputError(
            f"`real` and `generated` must be unbatched. Received: {spec}. "
            "Call .unbatch() on both, and .batch(n) on the mixture."
        )
    if int(real.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise InvalidInputError(
            "`real` must be finite. Received: an endless dataset. "
            "Mix first and call .repeat() on the mixture."
        )


def check_labels(dataset: tf.data.Dataset) -> None:
    """Elements carry one integer label each."""
    label = label_of(dataset.element_spec)
    if label.shape.rank != 0 or not label.dtype.is_integer:
        raise InvalidInputError(
            "`generated_fraction` per class needs integer labels. "
            f"Received: {label}. Pass class numbers instead of one-hot rows."
        )


def check_numbers(weight: float | None, start_index: int, window: int | None) -> None:
    """The keyword arguments lie in their ranges."""
    if weight is not None and not (math.isfinite(weight) and weight >= 0):
        raise InvalidInputError(
            f"`generated_weight` must be 0 or more. Received: {weight!r}. Pass 1 to weigh alike."
        )
    if start_index < 0:
        raise InvalidInputError(
            f"`start_index` must be 0 or more. Received: {start_index}. Pass 0 to begin anew."
        )
    if window is not None and window < 1:
        raise InvalidInputError(
            f"`shuffle_window` must be 1 or more. Received: {window}. "
            "Pass 1 to keep the sources' own order."
        )


def checked_fraction(fraction: float, name: str) -> float:
    """Returns a fraction that lies in [0, 1)."""
    if not isinstance(fraction, (int, float, np.number)) or not 0 <= fraction < 1:
        raise InvalidInputError(
            f"{name} must be in [0, 1). Received: {fraction!r}. Pass 0 to train on real data only."
        )
    return float(fraction)


def check_enough(size: int, needed: int, which: str) -> None:
    """A source of known size (0 or more) holds what the mixture needs."""
    if 0 <= size < needed:
        raise InvalidInputError(
            f"`generated` must hold at least {needed} samples{which}. Received: {size}. "
            "Write a larger pool or lower `generated_fraction`."
        )
