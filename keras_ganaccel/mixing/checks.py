"""What `mix_datasets` refuses, each with one line that says why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.mixing.selection import label_of
from keras_ganaccel.pipelines import without_autotuner


def matched_sources(
    real: tf.data.Dataset, generated: tf.data.Dataset
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Both are unbatched datasets of one element spec, and the real one ends and is not empty.

    Integers of different widths, such as the int32 labels of Keras' `image_dataset_from_directory`
    beside the int64 ones of a pool, become those that hold both; of different floats, the generated
    ones are cast to the real ones'. Shapes that a dataset does not tell are those of its first
    element.

    Returns:
        The two datasets, with equal element specs.
    """
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
    real, generated = _of_known_shape("real", real), _of_known_shape("generated", generated)
    real, generated = _of_one_dtype(real, generated)
    if real.element_spec != generated.element_spec:
        raise InvalidInputError(
            f"`real` and `generated` must have equal element specs. Received: {spec} and "
            f"{generated.element_spec}. Cast or reshape one of them."
        )
    size = int(real.cardinality())
    if size == tf.data.INFINITE_CARDINALITY:
        raise InvalidInputError(
            "`real` must be finite. Received: an endless dataset. "
            "Mix first and call .repeat() on the mixture."
        )
    if size == 0:
        raise InvalidInputError(
            "`real` must hold at least one sample. Received: an empty dataset. "
            "Check what it is made of."
        )
    return real, generated


def _of_known_shape(name: str, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset, with the shapes of its first element where it does not tell them itself."""
    spec = dataset.element_spec
    items = tf.nest.flatten(spec)
    if not all(isinstance(item, tf.TensorSpec) for item in items):
        raise InvalidInputError(
            f"`{name}` must yield dense tensors. Received: {spec}. "
            "Resize its samples to one shape, or call .to_tensor() in its map."
        )
    if all(item.shape.rank and item.shape[0] is None for item in items):
        raise InvalidInputError(
            f"`real` and `generated` must be unbatched. Received: {spec} from `{name}`. "
            "Call .unbatch() on both, and .batch(n) on the mixture."
        )
    if all(item.shape.is_fully_defined() for item in items):
        return dataset
    # Such as the outcome of `tf.numpy_function`.
    first = next(iter(without_autotuner(dataset.take(1))), None)
    if first is None:
        return dataset
    shapes = [item.shape for item in tf.nest.flatten(first)]

    @tf.autograph.experimental.do_not_convert
    def ensure(*element: Any) -> Any:
        pairs = zip(tf.nest.flatten(element), shapes, strict=True)
        ensured = [tf.ensure_shape(item, shape) for item, shape in pairs]
        return tf.nest.pack_sequence_as(element, ensured)

    return dataset.map(ensure)


def _of_one_dtype(
    real: tf.data.Dataset, generated: tf.data.Dataset
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Casts within integers and within floats; what cannot be matched so is left as it is."""
    try:
        wanted = tf.nest.map_structure(_common_dtype, real.element_spec, generated.element_spec)
    except (TypeError, ValueError):
        return real, generated

    @tf.autograph.experimental.do_not_convert
    def cast(*element: Any) -> Any:
        return tf.nest.map_structure(
            lambda item, dtype: item if item.dtype == dtype else tf.cast(item, dtype),
            element,
            wanted,
        )

    def of_wanted_dtype(dataset: tf.data.Dataset) -> tf.data.Dataset:
        given = tf.nest.map_structure(lambda item: item.dtype, dataset.element_spec)
        return dataset if given == wanted else dataset.map(cast)

    return of_wanted_dtype(real), of_wanted_dtype(generated)


def _common_dtype(real: tf.TensorSpec, generated: tf.TensorSpec) -> tf.DType:
    """The dtype that both shall have, or the real one's where theirs differ in kind."""
    if real.dtype.is_integer and generated.dtype.is_integer and real.dtype != generated.dtype:
        common = np.promote_types(real.dtype.as_numpy_dtype, generated.dtype.as_numpy_dtype)
        return tf.as_dtype(common) if common.kind in "iu" else real.dtype
    if real.dtype.is_floating and generated.dtype.is_floating:
        return real.dtype
    if real.dtype != generated.dtype:
        raise TypeError("different kinds")
    return real.dtype


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
