"""Adversarial objectives and the LeCam regulariser, as pure functions of logits.

Every function takes logits of shape ``(batch,)`` or ``(batch, heads)``, computes in float32 and
returns one value per sample, the mean over the heads: how samples are averaged (over replicas,
over accumulated batches) is the trainer's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, nearest

PairLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """An adversarial game: what the discriminator and what the generator minimise.

    Both losses take ``(real_logits, fake_logits)`` of equal shape and return ``(batch,)``.

    Args:
        name: How it is asked for.
        discriminator_loss: The discriminator's loss per pair of a real and a generated sample.
        generator_loss: The generator's loss per pair.
        generator_uses_real: Whether ``generator_loss`` depends on ``real_logits``. Where it does
            not, the generator's update needs no discriminator pass over real samples, and
            ``real_logits`` may be anything.
    """

    name: str
    discriminator_loss: PairLoss
    generator_loss: PairLoss
    generator_uses_real: bool = False


def head_mean(values: tf.Tensor) -> tf.Tensor:
    """Averages over the heads of a discriminator, in float32.

    Args:
        values: Shape ``(batch,)`` or ``(batch, heads)``, any float dtype.

    Returns:
        float32, shape ``(batch,)``.
    """
    values = tf.cast(values, tf.float32)
    return values if values.shape.rank == 1 else tf.reduce_mean(values, axis=-1)


def _relativistic_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return head_mean(tf.nn.softplus(_float(fake_logits) - _float(real_logits)))


def _relativistic_generator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return head_mean(tf.nn.softplus(_float(real_logits) - _float(fake_logits)))


def _logistic_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return head_mean(tf.nn.softplus(-_float(real_logits)) + tf.nn.softplus(_float(fake_logits)))


def _non_saturating_generator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    del real_logits
    return head_mean(tf.nn.softplus(-_float(fake_logits)))


def _minimax_generator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    del real_logits
    return head_mean(-tf.nn.softplus(_float(fake_logits)))


def _hinge_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return head_mean(tf.nn.relu(1.0 - _float(real_logits)) + tf.nn.relu(1.0 + _float(fake_logits)))


def _least_squares_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return head_mean(
        0.5 * tf.square(_float(real_logits) - 1.0) + 0.5 * tf.square(_float(fake_logits))
    )


def _least_squares_generator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    del real_logits
    return head_mean(0.5 * tf.square(_float(fake_logits) - 1.0))


def _wasserstein_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return head_mean(_float(fake_logits) - _float(real_logits))


def _critic_generator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    del real_logits
    return head_mean(-_float(fake_logits))


def _float(logits: tf.Tensor) -> tf.Tensor:
    return tf.cast(logits, tf.float32)


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        objective.name: objective
        for objective in (
            # Jolicoeur-Martineau, arXiv 1807.00734, in the pairing form of R3GAN, arXiv 2501.05441.
            Objective(
                "relativistic",
                _relativistic_discriminator,
                _relativistic_generator,
                generator_uses_real=True,
            ),
            # Goodfellow et al., arXiv 1406.2661: the heuristic loss and the game it stands for.
            Objective("non_saturating", _logistic_discriminator, _non_saturating_generator),
            Objective("minimax", _logistic_discriminator, _minimax_generator),
            # Lim and Ye, arXiv 1705.02894.
            Objective("hinge", _hinge_discriminator, _critic_generator),
            # Mao et al., arXiv 1611.04076, with the targets 0 and 1.
            Objective("least_squares", _least_squares_discriminator, _least_squares_generator),
            # Arjovsky et al., arXiv 1701.07875; wants the WGAN-GP penalty.
            Objective("wasserstein", _wasserstein_discriminator, _critic_generator),
        )
    }
)


def get_objective(name: str) -> Objective:
    """Returns the objective of that name.

    Args:
        name: A key of `OBJECTIVES`.

    Raises:
        InvalidInputError: The name is unknown.

    Example:
        >>> get_objective("hinge").generator_uses_real
        False
    """
    if name not in OBJECTIVES:
        raise InvalidInputError(
            f"Unknown objective. Received: {name!r}. {nearest(name, OBJECTIVES)}"
        )
    return OBJECTIVES[name]


def lecam(
    real_logits: tf.Tensor,
    fake_logits: tf.Tensor,
    real_anchor: tf.Tensor | float,
    fake_anchor: tf.Tensor | float,
) -> tf.Tensor:
    """LeCam regularisation of a discriminator trained on few samples (arXiv 2104.03310).

    Keeps the logits of real samples from running away from the past mean of generated ones, and
    the other way round; one-sided, as its authors implement it.

    Args:
        real_logits: Shape ``(batch,)`` or ``(batch, heads)``.
        fake_logits: The same shape.
        real_anchor: Moving average of the real logits, a scalar (see `moving_anchor`).
        fake_anchor: Moving average of the generated samples' logits, a scalar.

    Returns:
        float32, shape ``(batch,)``, at least 0; to be weighted and added to the discriminator's
        loss.
    """
    real = tf.square(tf.nn.relu(_float(real_logits) - fake_anchor))
    fake = tf.square(tf.nn.relu(real_anchor - _float(fake_logits)))
    return head_mean(real + fake)


def moving_anchor(
    anchor: tf.Tensor | float, logits_mean: tf.Tensor, decay: float = 0.99
) -> tf.Tensor:
    """Moves a LeCam anchor towards the mean logit of a batch.

    Args:
        anchor: The moving average so far, a scalar.
        logits_mean: Mean logit over the whole (global) batch, a scalar.
        decay: Share of the old value that stays, in [0, 1).

    Returns:
        float32 scalar without gradient.
    """
    return tf.stop_gradient(decay * anchor + (1.0 - decay) * _float(logits_mean))
