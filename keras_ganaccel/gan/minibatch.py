"""One replica's real samples and random draws, addressed by global sample positions."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from keras_ganaccel.classifier.targets import one_hot_targets
from keras_ganaccel.distribution import batch_layout, require
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.augment import AUGMENT_UNIFORMS
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.gan.noise import noise_rows, uniform_rows
from keras_ganaccel.seeds import derive_seed

# Columns of the uniforms of a pair, in front of those of its two augmentations.
_CLASS, _MIXING, _AUGMENTATION = 0, 1, 2


class Batch(NamedTuple):
    """A replica's part of the global batch.

    Attributes:
        samples: Real samples, relaxed, float32, shape ``(n, *sample_shape)``.
        labels: Shape ``(n,)``, int32, -1 for unlabelled.
        positions: Global position of each sample in training, int64, shape ``(n,)``.
        size: Samples of all replicas together, int64 scalar.
    """

    samples: tf.Tensor
    labels: tf.Tensor
    positions: tf.Tensor
    size: tf.Tensor


class Draws(NamedTuple):
    """What is drawn for the pairs of real and generated samples of one update.

    Attributes:
        latents: Standard normal, shape ``(n, latent_dim)``.
        classes: Classes to generate, shape ``(n,)``: the real sample's, or drawn.
        mixing: Uniform, shape ``(n,)``: points on the lines between the pairs.
        real: Uniforms of the real samples' augmentation, shape ``(n, AUGMENT_UNIFORMS)``.
        fake: Those of the generated samples.
    """

    latents: tf.Tensor
    classes: tf.Tensor
    mixing: tf.Tensor
    real: tf.Tensor
    fake: tf.Tensor


def unpack(
    data: Any,
    samples_seen: Any,
    forms: Forms,
    *,
    num_classes: int,
    counted: bool = False,
) -> Batch:
    """Brings what a dataset yields into the form that the steps take.

    Args:
        data: Encoded samples, or ``(samples,)``, ``(samples, labels)``, ``(samples, labels,
            positions)`` with integer positions. Labels are class numbers, ``(n,)`` or
            ``(n, 1)``, or one-hot rows.
        samples_seen: How many samples came before: where no positions are given, they go on from
            there.
        forms: What relaxes the samples.
        num_classes: The number of classes.
        counted: Whether ``samples_seen`` already counts this batch.

    Returns:
        The batch; without labels all samples are unlabelled.

    Raises:
        InvalidInputError: There is something else in the third place, such as sample weights, or
            (where a step runs) a sample or label is out of range.
    """
    parts = data if isinstance(data, tuple | list) else (data,)
    samples, labels, positions = (*parts, None, None)[:3]
    samples = tf.cast(samples, tf.float32)
    count = tf.shape(samples, tf.int64)[0]
    samples = forms.relax(forms.checked(samples))
    labels = tf.fill((count,), -1) if labels is None else _class_numbers(labels, num_classes)
    size, offset = batch_layout(count)
    if positions is None:
        first = samples_seen - size if counted else samples_seen
        positions = first + offset + tf.range(count)
    elif not tf.convert_to_tensor(positions).dtype.is_integer:
        raise InvalidInputError(
            "A GAN takes no sample weights. Received: a third, non-integer element. "
            "Yield (samples, labels), or integer positions in the third place."
        )
    return Batch(
        samples, tf.reshape(tf.cast(labels, tf.int32), (-1,)), tf.cast(positions, tf.int64), size
    )


def _class_numbers(labels: Any, num_classes: int) -> tf.Tensor:
    rows = one_hot_targets(labels, num_classes)
    hard = tf.reduce_all((rows == 0) | (rows == 1))
    rows = require(
        rows, hard, "A sample must have one class. Received: soft labels. Pass class numbers."
    )
    labelled = tf.reduce_any(rows > 0, axis=-1)
    return tf.where(labelled, tf.argmax(rows, axis=-1, output_type=tf.int32), -1)


def deal(batch: Batch, parts: int) -> list[Batch]:
    """Deals a batch out in turn, as cards are.

    Args:
        batch: The replica's batch.
        parts: How many batches to make.

    Returns:
        The parts; together over all replicas, each is the same whatever the number of replicas.
    """
    if parts == 1:
        return [batch]
    dealt = []
    for part in range(parts):
        samples, labels, positions = (value[part::parts] for value in batch[:3])
        size, _ = batch_layout(tf.shape(samples)[0])
        dealt.append(Batch(samples, labels, positions, size))
    return dealt


def draw(
    seed: int, purpose: str, batch: Batch, latent_dim: int, class_probabilities: tf.Tensor
) -> Draws:
    """Draws everything random about one update, as a function of seed, purpose and positions.

    Args:
        seed: Seed of the training.
        purpose: Which update it is for; another one draws independently.
        batch: The real samples.
        latent_dim: Length of the noise vector.
        class_probabilities: Distribution of the classes beside unlabelled samples, shape
            ``(num_classes,)``.

    Returns:
        The draws.
    """
    latents = noise_rows(derive_seed(seed, purpose, "latent"), batch.positions, latent_dim)
    uniforms = uniform_rows(
        derive_seed(seed, purpose, "uniform"),
        batch.positions,
        _AUGMENTATION + 2 * AUGMENT_UNIFORMS,
    )
    return Draws(
        latents=latents,
        classes=_classes(batch.labels, uniforms[:, _CLASS], class_probabilities),
        mixing=uniforms[:, _MIXING],
        real=uniforms[:, _AUGMENTATION : _AUGMENTATION + AUGMENT_UNIFORMS],
        fake=uniforms[:, _AUGMENTATION + AUGMENT_UNIFORMS :],
    )


def _classes(labels: tf.Tensor, uniforms: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Keeps the labels that there are and draws the others."""
    bounds = tf.cumsum(probabilities)[:-1]
    drawn = tf.reduce_sum(tf.cast(uniforms[:, None] >= bounds, tf.int32), axis=1)
    return tf.where(labels >= 0, labels, drawn)
