"""The average of the generator's weights over training, which is what generates samples."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.clones import copy_state


def averaging_copy(generator: keras.Model) -> keras.Model:
    """Makes the model that will hold the averaged weights.

    Args:
        generator: A functional model.

    Returns:
        A functional model of the same structure, names and present weights that computes in
        float32 whatever the precision of training, so that a sample does not depend on its batch.
    """
    average = keras.models.clone_model(generator, clone_function=_float32_copy)
    copy_state(generator, average)
    average.trainable = False
    return average


def _float32_copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    if layer.dtype_policy.compute_dtype != layer.dtype_policy.variable_dtype:
        config["dtype"] = layer.dtype_policy.variable_dtype
    return type(layer).from_config(config)


def average_decay(
    half_life: float, warm_up: float, samples_seen: tf.Tensor, batch_size: tf.Tensor
) -> tf.Tensor:
    """The share of the old average that stays after a batch.

    Early in training the half-life grows with the samples seen (Karras et al., arXiv 2006.06676),
    so that the random first weights do not linger in the average.

    Args:
        half_life: Samples after which an old weight counts half; 0 for no averaging.
        warm_up: The half-life is at most this share of the samples seen.
        samples_seen: Samples seen including this batch, integer scalar.
        batch_size: Samples in this batch, integer scalar.

    Returns:
        float32 scalar in [0, 1).
    """
    seen = tf.cast(samples_seen, tf.float32)
    samples = tf.minimum(tf.cast(half_life, tf.float32), warm_up * seen)
    return tf.math.divide_no_nan(1.0, 2.0 ** (tf.cast(batch_size, tf.float32) / samples)) * tf.cast(
        samples > 0, tf.float32
    )


def update_average(average: keras.Model, model: keras.Model, decay: tf.Tensor) -> None:
    """Moves the averaged weights towards the present ones.

    The moving statistics of batch norm are averaged like the weights that they belong to;
    variables that are no floats (counters, seeds) are copied.

    Args:
        average: The model made by `averaging_copy`.
        model: The model in training.
        decay: Share of the old average that stays, a scalar in [0, 1].
    """
    for old, new in zip(average.variables, model.variables, strict=True):
        value: Any = tf.convert_to_tensor(new)
        if value.dtype.is_floating:
            old.assign_add((value - old) * tf.cast(1.0 - decay, value.dtype))
        else:
            old.assign(value)
