"""Augmentation of batches inside the training step: pure functions of the batch and its uniforms.

Every sample gets its own row of uniform numbers, drawn statelessly from a seed for the *global*
batch. So a step's augmentation is a pure function of (seed, step, position in the global batch),
whatever the number of replicas. Samples that are mixed are neighbours in the batch (0 with 1, 2
with 3, ...): the stream is shuffled already, and pairs stay on one replica if its batch is even.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_ganaccel.modality.policies import suited_policies
from keras_ganaccel.modality.protocol import Policy

_SWITCH = 1


def batch_uniforms(
    batch_size: tf.Tensor | int,
    seed: tf.Tensor,
    columns: int,
    layout: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tf.Tensor:
    """Draws a replica's rows of the global batch's uniform numbers.

    Args:
        batch_size: Samples on this replica.
        seed: Two integers.
        columns: Numbers per sample.
        layout: The size of the global batch and the position of this replica's first sample in
            it, as `distribution.batch_layout` finds them; None where there is one replica.

    Returns:
        float32 ``(batch_size, columns)`` in [0, 1).
    """
    if layout is None:
        return tf.random.stateless_uniform((batch_size, columns), seed)
    global_batch_size, first = layout
    uniforms = tf.random.stateless_uniform((global_batch_size, columns), seed)
    return uniforms[first : first + tf.cast(batch_size, first.dtype)]


def augment(
    samples: tf.Tensor,
    targets: Sequence[tf.Tensor],
    policies: Sequence[str],
    seed: tf.Tensor,
    layout: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Augments a batch.

    Args:
        samples: Encoded, float32 ``(batch, *sample_shape)``.
        targets: Tensors ``(batch, ...)`` that are mixed linearly where samples are mixed: one-hot
            labels, a teacher's probabilities, sample weights.
        policies: Names out of the modality's `policies`, such as shift, flip, cutout, mixup and
            cutmix for images; those of other modalities are passed over. With two that mix, each
            pair gets one of them.
        seed: Two integers; another pair of numbers at every step.
        layout: Where the batch lies in the global one, see `batch_uniforms`.

    Returns:
        The augmented samples and targets, of the same shapes.
    """
    axes = len(samples.shape) - 1
    suited = suited_policies(policies, axes)
    targets = list(targets)
    if not suited:
        return samples, targets
    columns = sum(policy.uniforms for policy in suited.values()) + _SWITCH
    uniforms = batch_uniforms(tf.shape(samples)[0], seed, columns, layout)
    used = 0
    mixing: list[tuple[Policy, tf.Tensor]] = []
    for policy in suited.values():
        own = uniforms[:, used : used + policy.uniforms]
        used += policy.uniforms
        if policy.mixes:
            mixing.append((policy, own))
        else:
            samples = policy.apply(samples, own)
    if not mixing:
        return samples, targets
    masks, *others = [policy.apply(samples, own) for policy, own in mixing]
    if others:
        switch = tf.reshape(uniforms[:, used], (-1, *[1] * axes)) < 0.5
        masks = tf.where(switch, masks, others[0])
    return mix_neighbours(samples, targets, masks)


def mix_neighbours(
    samples: tf.Tensor, targets: Sequence[tf.Tensor], masks: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Mixes every sample with its neighbour by a mask, and the targets by the mask's mean."""
    batch = tf.shape(samples)[0]
    # 0 <-> 1, 2 <-> 3, ...; the last one of an odd batch stays as it is.
    partner = tf.minimum(tf.bitwise.bitwise_xor(tf.range(batch), 1), batch - 1)
    share = tf.reduce_mean(masks, axis=tuple(range(1, len(masks.shape))))
    samples = masks * samples + (1.0 - masks) * tf.gather(samples, partner)
    mixed = []
    for target in targets:
        own = tf.reshape(share, (-1, *[1] * (len(target.shape) - 1)))
        mixed.append(own * target + (1.0 - own) * tf.gather(target, partner))
    return samples, mixed
