"""Random rows that depend on a seed and an index alone, not on batch, replica or worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

_BLOCK = 256


def noise_rows(seed: Any, indices: Any, latent_dim: int) -> tf.Tensor:
    """Draws standard normal rows.

    Rows are drawn in blocks of 256 by a counter-based generator, so that each is a pure function
    of its index, the same on every device and at any batch size.

    Args:
        seed: An integer or integer scalar tensor.
        indices: Global sample indices, integer, shape ``(n,)``, in any order.
        latent_dim: Length of a row.

    Returns:
        float32, shape ``(n, latent_dim)``.

    Example:
        >>> rows = noise_rows(0, [5, 1000, 6], 4)
        >>> bool((rows[1] == noise_rows(0, [1000], 4)[0]).numpy().all())
        True
    """
    return _rows(tf.random.stateless_normal, seed, indices, latent_dim)


def uniform_rows(seed: Any, indices: Any, columns: int) -> tf.Tensor:
    """Draws uniform rows in the way of `noise_rows`.

    Args:
        seed: An integer or integer scalar tensor.
        indices: Global sample indices, integer, shape ``(n,)``, in any order.
        columns: Length of a row.

    Returns:
        float32 in [0, 1), shape ``(n, columns)``.
    """
    return _rows(tf.random.stateless_uniform, seed, indices, columns)


def _rows(draw: Callable[..., tf.Tensor], seed: Any, indices: Any, columns: int) -> tf.Tensor:
    indices = tf.cast(indices, tf.int64)
    blocks, which = tf.unique(indices // _BLOCK)

    def draw_block(block: tf.Tensor) -> tf.Tensor:
        # The algorithm is named because the default one depends on the device.
        key = tf.stack([tf.cast(seed, tf.int64), block])
        return draw((_BLOCK, columns), key, alg="philox")

    table = tf.map_fn(draw_block, blocks, fn_output_signature=tf.float32)
    row = tf.cast(which, tf.int64) * _BLOCK + indices % _BLOCK
    return tf.gather(tf.reshape(table, (-1, columns)), row)
