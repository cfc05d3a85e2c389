"""How images are changed at random: for classifiers, and for both sides of the GAN's game.

The two kinds differ. A classifier sees encoded images, in [0, 1], where what comes in from outside
is black. The game is played with relaxed ones, in [-1, 1], and what lies outside of a shifted or
under a cut-out image is mid-grey there: black would make a shift indistinguishable from a shifted
original, which the generator then learns to make. Its changes gather and scatter nothing: shifts
are small matrix products, so that gradients of any order are exact and deterministic (DiffAugment,
Zhao et al., arXiv 2006.10738).
"""

from __future__ import annotations

import tensorflow as tf

from keras_ganaccel.modality.protocol import Policy

SHIFT_FRACTION = 0.125
CUTOUT_FRACTION = 0.35
_FILL = 0.0
_SHIFT_RATIO = 0.125
_CUTOUT_RATIO = 0.5
_AXES = 3


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


def mixup_masks(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """How much of each pixel is kept by mixup (Zhang et al., arXiv 1710.09412): a uniform share.

    Args:
        images: ``(batch, height, width, channels)``.
        uniforms: ``(batch, 1)``.

    Returns:
        float32 ``(batch, height, width, 1)`` in [0, 1].
    """
    shape = (tf.shape(images)[0], images.shape[1], images.shape[2], 1)
    return tf.broadcast_to(uniforms[:, :, None, None], shape)


def cutmix_masks(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Which pixels are kept by cutmix (Yun et al., arXiv 1905.04899): those outside of a box.

    Args:
        images: ``(batch, height, width, channels)``.
        uniforms: ``(batch, 3)``: the box's centre and its share of the image.

    Returns:
        float32 ``(batch, height, width, 1)``, 0 or 1.
    """
    return 1.0 - _box(images, uniforms[:, 0], uniforms[:, 1], tf.sqrt(uniforms[:, 2]))


def _box(images: tf.Tensor, center_y: tf.Tensor, center_x: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """A mask ``(batch, height, width, 1)``: 1 inside a box around the centre, 0 outside."""
    inside = []
    for axis, center in ((1, center_y), (2, center_x)):
        length = float(images.shape[axis])
        pixels = tf.range(length)[None] + 0.5
        inside.append(tf.abs(pixels - center[:, None] * length) < side[:, None] * length / 2.0)
    box = inside[0][:, :, None] & inside[1][:, None, :]
    return tf.cast(box, images.dtype)[..., None]


def _shift_matrices(size: int, uniforms: tf.Tensor) -> tf.Tensor:
    """One 0/1 matrix per sample that shifts by up to an eighth of the size."""
    reach = max(1, round(size * _SHIFT_RATIO))
    shift = _uniform_integer(uniforms, -reach, reach)
    source = tf.range(size)[None, :] - shift[:, None]
    return tf.one_hot(source, size, dtype=tf.float32)


def translation(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Moves relaxed images by whole pixels, up to an eighth of each side (at least one pixel)."""
    _, height, width, _ = images.shape
    rows = _shift_matrices(height, uniforms[:, 0])
    columns = _shift_matrices(width, uniforms[:, 1])
    shape = tf.shape(images)
    flat = tf.reshape(images - _FILL, (shape[0], height, width * images.shape[-1]))
    moved = tf.reshape(tf.matmul(rows, flat), shape)
    return tf.matmul(columns[:, None], moved) + _FILL


def _span(size: int, uniforms: tf.Tensor) -> tf.Tensor:
    """1.0 at the positions of one side that the square covers, shape ``(batch, size)``."""
    extent = max(1, round(size * _CUTOUT_RATIO))
    start = _uniform_integer(uniforms, -(extent // 2), size - (extent + 1) // 2)
    offset = tf.range(size)[None, :] - start[:, None]
    return tf.cast((offset >= 0) & (offset < extent), tf.float32)


def grey_cutout(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Covers a square of half of each side."""
    rows = _span(images.shape[1], uniforms[:, 0])
    columns = _span(images.shape[2], uniforms[:, 1])
    covered = rows[:, :, None, None] * columns[:, None, :, None]
    return images * (1.0 - covered) + _FILL * covered


def colour(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Changes brightness by up to a half, saturation in [0, 2), contrast in [0.5, 1.5)."""
    brightness, saturation, contrast = (_column(uniforms, index) for index in range(3))
    images = images + (brightness - 0.5)
    if images.shape[-1] > 1:
        grey = tf.reduce_mean(images, axis=-1, keepdims=True)
        images = grey + (images - grey) * (2.0 * saturation)
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * (0.5 + contrast)


def mirror(images: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Mirrors one relaxed image in two, left to right."""
    return tf.where(_column(uniforms, 0) < 0.5, images[:, :, ::-1], images)


def _uniform_integer(uniforms: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Maps uniforms in [0, 1) to the integers low..high, all equally likely."""
    count = high - low + 1
    # float32 rounding may carry the largest uniform up to `count` itself.
    return low + tf.minimum(tf.cast(uniforms * count, tf.int32), count - 1)


def _column(uniforms: tf.Tensor, index: int) -> tf.Tensor:
    return uniforms[:, index, None, None, None]


CLASSIFIER_POLICIES = {
    "shift": Policy(shift, 2, _AXES),
    "flip": Policy(flip, 1, _AXES),
    "cutout": Policy(cutout, 2, _AXES),
    "mixup": Policy(mixup_masks, 1, _AXES, mixes=True),
    "cutmix": Policy(cutmix_masks, 3, _AXES, mixes=True),
}
GAME_POLICIES = {
    "translation": Policy(translation, 2, _AXES),
    "cutout": Policy(grey_cutout, 2, _AXES),
    "colour": Policy(colour, 3, _AXES),
    "flip": Policy(mirror, 1, _AXES),
}
