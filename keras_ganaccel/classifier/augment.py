"""Augmentation of batches inside the training step: pure functions of the batch and its uniforms.

Every sample gets its own row of uniform numbers, drawn statelessly from a seed for the *global*
batch. So a step's augmentation is a pure function of (seed, step, position in the global batch),
whatever the number of replicas. Samples that are mixed are neighbours in the batch (0 with 1, 2
with 3, ...): the stream is shuffled already, and pairs stay on one replica if its batch is even.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, nearest

POLICIES = ("shift", "flip", "cutout", "mixup", "cutmix")
_COLUMNS = {"shift": 2, "flip": 1, "cutout": 2, "mixup": 1, "cutmix": 3}
_SWITCH_COLUMNS = 1

SHIFT_FRACTION = 0.125
CUTOUT_FRACTION = 0.35


def check_policies(policies: Sequence[str]) -> tuple[str, ...]:
    """Returns the policies in the order in which they are applied.

    Raises:
        InvalidInputError: One of them is unknown.
    """
    for policy in policies:
        if policy not in POLICIES:
            raise InvalidInputError(
                f"Unknown augmentation. Received: {policy!r}. {nearest(str(policy), POLICIES)}"
            )
    return tuple(policy for policy in POLICIES if policy in policies)


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
    images: tf.Tensor,
    targets: Sequence[tf.Tensor],
    policies: Sequence[str],
    seed: tf.Tensor,
    layout: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Augments a batch.

    Args:
        images: float32 ``(batch, height, width, channels)`` in [0, 1].
        targets: Tensors ``(batch, ...)`` that are mixed linearly where images are mixed: one-hot
            labels, a teacher's probabilities, sample weights.
        policies: Out of `POLICIES`. With both mixup and cutmix, each pair gets one of them.
        seed: Two integers; another pair of numbers at every step.
        layout: Where the batch lies in the global one, see `batch_uniforms`.

    Returns:
        The augmented images and targets, of the same shapes.
    """
    policies = check_policies(policies)
    targets = list(targets)
    if not policies:
        return images, targets
    columns = sum(_COLUMNS[policy] for policy in policies) + _SWITCH_COLUMNS
    uniforms = batch_uniforms(tf.shape(images)[0], seed, columns, layout)
    used = 0
    mixed: dict[str, tf.Tensor] = {}
    for policy in policies:
        own = uniforms[:, used : used + _COLUMNS[policy]]
        used += _COLUMNS[policy]
        if policy == "shift":
            images = shift(images, own)
        elif policy == "flip":
            images = flip(images, own)
        elif policy == "cutout":
            images = cutout(images, own)
        else:
            mixed[policy] = own
    if not mixed:
        return images, targets
    if len(mixed) == 1:
        masks = mixing_masks(images, next(iter(mixed)), next(iter(mixed.values())))
    else:
        switch = uniforms[:, used, None, None, None] < 0.5
        both = [mixing_masks(images, policy, own) for policy, own in mixed.items()]
        masks = tf.where(switch, both[0], both[1])
    return mix_neighbours(images, targets, masks)


def shift(images: tf.Tensor, uniforms: tf.Tensor, fraction: float = SHIFT_FRACTION) -> tf.Tensor:
    """Moves each image by whole pixels; what comes in from outside is zero.

    Args:
        images: ``(batch, height, width, channels)``.
        uniforms: ``(batch, 2)`` in [0, 1): vertical and horizontal.
        fraction: Largest shift as a part of the side; at least one pixel.

    Returns:
        Images of the same shape.
    """
    for axis in (1, 2):
        side = images.shape[axis]
        reach = max(1, round(side * fraction))
        offset = tf.cast(uniforms[:, axis - 1] * (2 * reach + 1), tf.int32)
        padding = [[0, 0]] * 4
        padding[axis] = [reach, reach]
        rows = offset[:, None] + tf.range(side)[None]
        padded = tf.pad(images, padding)
        if axis == 1:
            images = tf.gather(padded, rows, axis=1, batch_dims=1)
        else:
            images = tf.transpose(
                tf.gather(tf.transpose(padded, (0, 2, 1, 3)), rows, axis=1, batch_dims=1),
                (0, 2, 1, 3),
            )
    return images


def flip(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Mirrors the images whose uniform number (``(batch, 1)``) is below a half, left to right."""
    return tf.where(uniforms[:, :, None, None] < 0.5, images[:, :, ::-1], images)


def cutout(images: tf.Tensor, uniforms: tf.Tensor, fraction: float = CUTOUT_FRACTION) -> tf.Tensor:
    """Blanks a square of each image (DeVries and Taylor, arXiv 1708.04552).

    Args:
        images: ``(batch, height, width, channels)``.
        uniforms: ``(batch, 2)``: the square's centre, which may lie at the border.
        fraction: The square's side as a part of the image's.

    Returns:
        Images of the same shape.
    """
    hole = _box(images, uniforms[:, 0], uniforms[:, 1], fraction * tf.ones_like(uniforms[:, 0]))
    return images * (1.0 - hole)


def mixing_masks(images: tf.Tensor, policy: str, uniforms: tf.Tensor) -> tf.Tensor:
    """How much of each pixel is kept when an image is mixed with its neighbour.

    Args:
        images: ``(batch, height, width, channels)``.
        policy: ``"mixup"`` (Zhang et al., arXiv 1710.09412; the share is uniform) or ``"cutmix"``
            (Yun et al., arXiv 1905.04899).
        uniforms: ``(batch, 1)`` for mixup, ``(batch, 3)`` for cutmix.

    Returns:
        float32 ``(batch, height, width, 1)`` in [0, 1].
    """
    if policy == "mixup":
        shape = (tf.shape(images)[0], images.shape[1], images.shape[2], 1)
        return tf.broadcast_to(uniforms[:, :, None, None], shape)
    return 1.0 - _box(images, uniforms[:, 0], uniforms[:, 1], tf.sqrt(uniforms[:, 2]))


def mix_neighbours(
    images: tf.Tensor, targets: Sequence[tf.Tensor], masks: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Mixes every image with its neighbour by a mask, and the targets by the mask's mean."""
    batch = tf.shape(images)[0]
    # 0 <-> 1, 2 <-> 3, ...; the last one of an odd batch stays as it is.
    partner = tf.minimum(tf.bitwise.bitwise_xor(tf.range(batch), 1), batch - 1)
    share = tf.reduce_mean(masks, axis=(1, 2, 3))
    images = masks * images + (1.0 - masks) * tf.gather(images, partner)
    mixed = []
    for target in targets:
        own = tf.reshape(share, (-1, *[1] * (len(target.shape) - 1)))
        mixed.append(own * target + (1.0 - own) * tf.gather(target, partner))
    return images, mixed


def _box(images: tf.Tensor, center_y: tf.Tensor, center_x: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """A mask ``(batch, height, width, 1)``: 1 inside a box around the centre, 0 outside."""
    inside = []
    for axis, center in ((1, center_y), (2, center_x)):
        length = float(images.shape[axis])
        pixels = tf.range(length)[None] + 0.5
        inside.append(tf.abs(pixels - center[:, None] * length) < side[:, None] * length / 2.0)
    box = inside[0][:, :, None] & inside[1][:, None, :]
    return tf.cast(box, images.dtype)[..., None]
