"""Differentiable augmentation of real and generated samples alike, and its adaptive strength.

DiffAugment (Zhao et al., arXiv 2006.10738) with the per-policy probability of ADA (Karras et al.,
arXiv 2006.06676). Every sample's parameters come out of its own row of uniforms, which the caller
draws: so a sample's augmentation does not depend on the replica or batch that it is in. What the
policies do belongs to the modality of the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import tensorflow as tf

from keras_ganaccel.gan.losses import head_mean
from keras_ganaccel.modality.policies import all_policies, suited_policies

#: Uniform numbers of a sample: what all policies of a modality may take.
AUGMENT_UNIFORMS = 12


def diff_augment(
    samples: tf.Tensor,
    policies: Iterable[str],
    uniforms: tf.Tensor,
    strength: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """Augments samples so that gradients flow through to them.

    Args:
        samples: Relaxed, shape ``(batch, *sample_shape)``; the sizes are static.
        policies: Names out of the modality's `game_policies`, such as translation, cutout, colour
            and flip for images; those of other modalities are passed over.
        uniforms: Shape ``(batch, AUGMENT_UNIFORMS)``, float32 in [0, 1): independent rows for real
            and generated samples.
        strength: Probability with which each policy is applied to a sample, in [0, 1].

    Returns:
        float32, the shape of ``samples``.

    Raises:
        InvalidInputError: A policy is unknown.
    """
    samples = tf.cast(samples, tf.float32)
    axes = len(samples.shape) - 1
    suited = suited_policies(policies, axes, game=True)
    for name, (apply, first) in _slots(axes).items():
        if name in suited:
            changed = apply(samples, uniforms[:, first + 1 :])
            gate = tf.reshape(uniforms[:, first], (-1, *[1] * axes))
            samples = tf.where(gate < strength, changed, samples)
    return samples


def _slots(axes: int) -> dict[str, tuple[Callable[[tf.Tensor, tf.Tensor], tf.Tensor], int]]:
    """Each policy and the first column of its uniforms: its gate, before its parameters.

    The columns are fixed, whichever policies are active, so that switching one on leaves the
    others' draws as they were.
    """
    slots, first = {}, 0
    for name, policy in suited_policies(all_policies(game=True), axes, game=True).items():
        slots[name] = policy.apply, first
        first += 1 + policy.uniforms
    return slots


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
