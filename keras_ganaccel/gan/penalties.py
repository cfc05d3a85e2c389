"""Gradient penalties of the discriminator, one value per sample, in float32.

The zero-centred penalty on real samples is R1, on generated samples R2 (Mescheder et al., arXiv
1801.04406; both together in R3GAN, arXiv 2501.05441); its customary weight is ``gamma / 2``. All
of them differentiate the mean over the discriminator's heads, so that the number of heads does
not change their scale, and presume that a sample's logit depends on that sample alone (no batch
norm in the discriminator).
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_ganaccel.gan.losses import head_mean

LogitsFunction = Callable[[tf.Tensor], tf.Tensor]

# Below this squared norm the root's derivative would overflow; the penalty is flat there.
_SMALLEST_SQUARED_NORM = 1e-12


def logits_and_penalty(
    logits_fn: LogitsFunction, samples: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The discriminator's logits and its zero-centred gradient penalty, from one pass.

    Args:
        logits_fn: From samples to logits, shape ``(batch,)`` or ``(batch, heads)``; with the labels
            (and the augmentation, if gradients are to be taken with respect to the samples
            before it) bound.
        samples: Shape ``(batch, *sample_shape)``.

    Returns:
        The logits as ``logits_fn`` gave them, and the squared norm of the gradient of the logit
        with respect to the sample, float32, shape ``(batch,)``.
    """
    logits, gradient = _input_gradient(logits_fn, samples)
    return logits, _squared_norm(gradient)


def gradient_penalty(logits_fn: LogitsFunction, samples: tf.Tensor) -> tf.Tensor:
    """Zero-centred gradient penalty: R1 on real samples, R2 on generated ones.

    Args:
        logits_fn: From samples to logits, as in `logits_and_penalty`.
        samples: Shape ``(batch, *sample_shape)``.

    Returns:
        float32, shape ``(batch,)``: squared norm of the logit's gradient.

    Example:
        >>> samples = tf.ones((2, 16))
        >>> gradient_penalty(lambda x: tf.reduce_sum(3.0 * x, 1), samples).numpy().tolist()
        [144.0, 144.0]
    """
    return logits_and_penalty(logits_fn, samples)[1]


def wgan_gp(
    logits_fn: LogitsFunction, real: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor
) -> tf.Tensor:
    """WGAN-GP: the gradient's norm should be 1 between real and generated samples.

    Gulrajani et al., arXiv 1704.00028: one point per pair, drawn uniformly on the line between
    the two.

    Args:
        logits_fn: From samples to logits, as in `logits_and_penalty`.
        real: Shape ``(batch, *sample_shape)``.
        fake: The same shape.
        epsilon: Share of the real sample, shape ``(batch,)``, uniform in [0, 1), one draw per
            sample.

    Returns:
        float32, shape ``(batch,)``: ``(norm - 1) ** 2``.
    """
    real, fake = tf.cast(real, tf.float32), tf.cast(fake, tf.float32)
    share = tf.reshape(tf.cast(epsilon, tf.float32), (-1, *[1] * (len(real.shape) - 1)))
    _, gradient = _input_gradient(logits_fn, fake + share * (real - fake))
    norm = tf.sqrt(tf.maximum(_squared_norm(gradient), _SMALLEST_SQUARED_NORM))
    return tf.square(norm - 1.0)


def _input_gradient(logits_fn: LogitsFunction, samples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    samples = tf.cast(samples, tf.float32)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(samples)
        logits = logits_fn(samples)
        # The sum's gradient holds every sample's own gradient in its own row.
        score = tf.reduce_sum(head_mean(logits))
    gradient = tape.gradient(score, samples, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return logits, tf.cast(gradient, tf.float32)


def _squared_norm(gradient: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(gradient), axis=tuple(range(1, len(gradient.shape))))
