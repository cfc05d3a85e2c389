"""The gradient penalties of one update, weighted and named."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_ganaccel.gan.minibatch import Batch, Draws
from keras_ganaccel.gan.options import GanOptions
from keras_ganaccel.gan.penalties import gradient_penalty, wgan_gp

# From images, labels and the uniforms of their augmentation to logits.
ConditionalLogits = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def weighted_penalties(
    options: GanOptions, logits: ConditionalLogits, batch: Batch, draws: Draws, fake: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Evaluates the penalties that are switched on.

    Args:
        options: Their weights; at least one is not 0.
        logits: The discriminator behind its augmentation.
        batch: The real samples.
        draws: Their augmentation, and the points between real and generated samples.
        fake: The generated samples that they are paired with.

    Returns:
        The weighted sum, float32, shape ``(n,)``, and each penalty by its metric's name.
    """
    real_part = (batch.samples, batch.labels, draws.real)
    fake_part = (fake, batch.labels, draws.fake)

    def penalty(images: tf.Tensor, labels: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        return gradient_penalty(lambda x: logits(x, labels, uniforms), images)

    values = {}
    if options.r1_weight > 0 and options.r2_weight > 0:
        both = [tf.concat(pair, 0) for pair in zip(real_part, fake_part, strict=True)]
        values["r1_penalty"], values["r2_penalty"] = tf.split(penalty(*both), 2)
    elif options.r1_weight > 0:
        values["r1_penalty"] = penalty(*real_part)
    elif options.r2_weight > 0:
        values["r2_penalty"] = penalty(*fake_part)
    if options.wgan_gp_weight > 0:
        values["wgan_gp_penalty"] = wgan_gp(
            lambda x: logits(x, batch.labels, draws.real), batch.samples, fake, draws.mixing
        )
    weights = {
        "r1_penalty": options.r1_weight,
        "r2_penalty": options.r2_weight,
        "wgan_gp_penalty": options.wgan_gp_weight,
    }
    return tf.add_n([weights[name] * value for name, value in values.items()]), values
