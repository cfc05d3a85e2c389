"""Differentiable augmentation of real and generated samples alike, and its adaptive strength.

DiffAugment (Zhao et al., arXiv 2006.10738) with the per-policy probability of ADA (Karras et al.,
arXiv 2006.06676). Every sample's parameters come out of its own row of uniforms, which the caller
draws: so a sample's augmentation does not depend on the replica or batch that it is in. Nothing
here gathers or scatters: shifts are small matrix products, so gradients of any order are exact
and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.gan.losses import head_mean

# What lies outside of a shifted or under a cut-out image: mid-grey. Black would make a shift
# indistinguishable from a shifted original, which the generator then learns to make.
_FILL = 0.0
_SHIFT_RATIO = 0.125
_CUTOUT_RATIO = 0.5

Policy = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _shift_matrices(size: int, uniforms: tf.Tensor) -> tf.Tensor:
    """One 0/1 matrix per sample that shifts by up to an eighth of the size."""
    reach = max(1, round(size * _SHIFT_RATIO))
    shift = _uniform_integer(uniforms, -reach, reach)
    source = tf.range(size)[None, :] - shift[:, None]
    return tf.one_hot(source, size, dtype=tf.float32)


def _translation(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    _, height, width, _ = images.shape
    rows = _shift_matrices(height, uniforms[:, 0])
    columns = _shift_matrices(width, uniforms[:, 1])
    shape = tf.shape(images)
    flat = tf.reshape(images - _FILL, (shape[0], height, width * images.shape[-1]))
    moved = tf.reshape(tf.matmul(rows, flat), shape)
    return tf.matmul(columns[:, None], moved) + _FILL


def _cutout_span(size: int, uniforms: tf.Tensor) -> tf.Tensor:
    """1.0 at the positions of one side that the square covers, shape ``(batch, size)``."""
    extent = max(1, round(size * _CUTOUT_RATIO))
    start = _uniform_integer(uniforms, -(extent // 2), size - (extent + 1) // 2)
    offset = tf.range(size)[None, :] - start[:, None]
    return tf.cast((offset >= 0) & (offset < extent), tf.float32)


def _cutout(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    rows = _cutout_span(images.shape[1], uniforms[:, 0])
    columns = _cutout_span(images.shape[2], uniforms[:, 1])
    covered = rows[:, :, None, None] * columns[:, None, :, None]
    return images * (1.0 - covered) + _FILL * covered


def _colour(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    brightness, saturation, contrast = (_column(uniforms, index) for index in range(3))
    images = images + (brightness - 0.5)
    if images.shape[-1] > 1:
        grey = tf.reduce_mean(images, axis=-1, keepdims=True)
        images = grey + (images - grey) * (2.0 * saturation)
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * (0.5 + contrast)


def _flip(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    return tf.where(_column(uniforms, 0) < 0.5, images[:, :, ::-1], images)


class _Slot(NamedTuple):
    """A policy and the columns of the uniforms that belong to it: its gate, then its parameters."""

    apply: Policy
    gate: int


# The columns are fixed, whichever policies are active, so that switching one on leaves the others'
# draws as they were.
_POLICIES = {
    "translation": _Slot(_translation, 0),
    "cutout": _Slot(_cutout, 3),
    "colour": _Slot(_colour, 6),
    "flip": _Slot(_flip, 10),
}
AUGMENT_UNIFORMS = 12


def check_policies(policies: Iterable[str]) -> tuple[str, ...]:
    """Returns the policies as a tuple in the order in which they are applied.

    Args:
        policies: Names out of translation, cutout, colour, flip.

    Raises:
        InvalidInputError: A name is unknown.

    Example:
        >>> check_policies(["cutout", "translation"])
        ('translation', 'cutout')
    """
    asked = tuple(policies)
    for name in asked:
        if name not in _POLICIES:
            raise InvalidInputError(
                f"Unknown augmentation policy. Received: {name!r}. {nearest(name, _POLICIES)}"
            )
    return tuple(name for name in _POLICIES if name in asked)


def diff_augment(
    images: tf.Tensor,
    policies: Iterable[str],
    uniforms: tf.Tensor,
    strength: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """Augments samples so that gradients flow through to them.

    Translation moves by whole pixels, up to an eighth of each side (at least one pixel); cutout
    covers a square of half of each side; colour changes brightness by up to a half, saturation by
    a factor in [0, 2) and contrast by one in [0.5, 1.5); flip mirrors left and right.

    Args:
        images: Shape ``(batch, height, width, channels)``, in [-1, 1]; the sizes are static.
        policies: Names out of translation, cutout, colour, flip; none leaves the images alone.
        uniforms: Shape ``(batch, AUGMENT_UNIFORMS)``, float32 in [0, 1): independent rows for real
            and generated samples.
        strength: Probability with which each policy is applied to a sample, in [0, 1].

    Returns:
        float32, the shape of ``images``; colour may leave [-1, 1].

    Raises:
        InvalidInputError: A policy is unknown.
    """
    images = tf.cast(images, tf.float32)
    for name in check_policies(policies):
        apply, gate = _POLICIES[name]
        changed = apply(images, uniforms[:, gate + 1 :])
        images = tf.where(_column(uniforms, gate) < strength, changed, images)
    return images


def overfitting_signal(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """How surely the discriminator tells real from generated samples: ADA's heuristic, paired.

    The sign of the difference instead of ADA's sign of the real logit: relativistic losses leave
    the logits' common mean free to drift, and the difference is blind to it.

    Args:
        real_logits: Shape ``(batch,)`` or ``(batch, heads)``.
        fake_logits: The same shape.

    Returns:
        float32, shape ``(batch,)``, in [-1, 1]: 0 on average where the two cannot be told apart,
        1 where they always can.
    """
    return tf.sign(head_mean(real_logits) - head_mean(fake_logits))


def adapt_strength(
    strength: tf.Tensor | float,
    signal: tf.Tensor | float,
    *,
    samples: int,
    target: float = 0.6,
    samples_to_full: int = 100_000,
    maximum: float = 0.8,
) -> tf.Tensor:
    """One step of adaptive discriminator augmentation (Karras et al., arXiv 2006.06676).

    Args:
        strength: The strength so far, in [0, ``maximum``].
        signal: Mean of `overfitting_signal` over the (global) batches since the last step.
        samples: Real samples seen since the last step.
        target: The signal that the controller steers for, in (0, 1).
        samples_to_full: Samples in which the strength can go from 0 to 1.
        maximum: Clamp; at 1 the original distribution would no longer be seen at all, and
            augmentations leak into the generated samples.

    Returns:
        float32 scalar in [0, ``maximum``].
    """
    direction = tf.sign(tf.cast(signal, tf.float32) - target)
    moved = strength + direction * (samples / samples_to_full)
    return tf.stop_gradient(tf.clip_by_value(moved, 0.0, maximum))


def _uniform_integer(uniforms: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Maps uniforms in [0, 1) to the integers low..high, all equally likely."""
    count = high - low + 1
    # float32 rounding may carry the largest uniform up to `count` itself.
    return low + tf.minimum(tf.cast(uniforms * count, tf.int32), count - 1)


def _column(uniforms: tf.Tensor, index: int) -> tf.Tensor:
    return uniforms[:, index, None, None, None]
