"""Gradient penalties against discriminators whose gradient is known."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.gan.penalties import gradient_penalty, logits_and_penalty, wgan_gp

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 4, 3, 2)).astype(np.float32)
WEIGHTS = RNG.normal(size=(4, 3, 2)).astype(np.float32)


def linear(images):
    return tf.reduce_sum(images * WEIGHTS, (1, 2, 3))


def quadratic(images):
    return tf.reduce_sum(WEIGHTS * tf.square(images), (1, 2, 3)) / 2


def test_linear_discriminator_has_the_squared_norm_of_its_weights():
    np.testing.assert_allclose(
        gradient_penalty(linear, IMAGES), np.full(5, np.sum(WEIGHTS**2)), rtol=1e-5
    )


def test_quadratic_discriminator_is_penalised_per_sample():
    expected = np.sum((WEIGHTS * IMAGES) ** 2, (1, 2, 3))
    np.testing.assert_allclose(gradient_penalty(quadratic, IMAGES), expected, rtol=1e-5)


def test_nonlinear_discriminator_agrees_with_finite_differences():
    def logits(images):
        return np.tanh((images * WEIGHTS).sum((1, 2, 3))) + np.sin(images).sum((1, 2, 3))

    def tensor_logits(images):
        return tf.tanh(linear(images)) + tf.reduce_sum(tf.sin(images), (1, 2, 3))

    images, step = IMAGES.astype(np.float64), 1e-5
    squared = np.zeros(5)
    for position in np.ndindex(4, 3, 2):
        nudge = np.zeros((4, 3, 2))
        nudge[position] = step
        squared += ((logits(images + nudge) - logits(images - nudge)) / (2 * step)) ** 2
    np.testing.assert_allclose(gradient_penalty(tensor_logits, IMAGES), squared, rtol=1e-4)


def test_logits_come_from_the_same_pass():
    calls = []

    def counted(images):
        calls.append(1)
        return quadratic(images)

    logits, penalty = logits_and_penalty(counted, IMAGES)
    np.testing.assert_allclose(logits, quadratic(IMAGES))
    assert penalty.shape == (5,)
    assert len(calls) == 1


def test_number_of_heads_does_not_change_the_scale():
    def heads(images):
        return tf.stack([quadratic(images)] * 3, axis=-1)

    np.testing.assert_allclose(
        gradient_penalty(heads, IMAGES), gradient_penalty(quadratic, IMAGES), rtol=1e-5
    )


def test_penalty_is_differentiable_with_respect_to_the_discriminator():
    scale = tf.Variable(1.5)
    with tf.GradientTape() as tape:
        penalty = tf.reduce_sum(gradient_penalty(lambda x: scale * linear(x), IMAGES))
    expected = 2 * 1.5 * len(IMAGES) * np.sum(WEIGHTS**2)
    assert float(tape.gradient(penalty, scale)) == pytest.approx(expected, rel=1e-5)


def test_constant_discriminator_has_none():
    np.testing.assert_array_equal(gradient_penalty(lambda x: tf.zeros(5), IMAGES), np.zeros(5))


def test_low_precision_discriminator_yields_float32():
    def low(images):
        return quadratic(tf.cast(images, tf.bfloat16))

    penalty = gradient_penalty(lambda x: low(x), IMAGES)
    assert penalty.dtype == tf.float32
    np.testing.assert_allclose(penalty, gradient_penalty(quadratic, IMAGES), rtol=0.03)


def test_wgan_gp_of_a_linear_discriminator():
    value = wgan_gp(linear, IMAGES, IMAGES + 1, np.linspace(0, 1, 5))
    expected = (np.sqrt(np.sum(WEIGHTS**2)) - 1) ** 2
    np.testing.assert_allclose(value, np.full(5, expected), rtol=1e-5)


def test_wgan_gp_looks_between_the_pair_at_the_given_share():
    epsilon = np.array([0.0, 0.25, 0.5, 0.75, 1.0], np.float32)
    real, fake = IMAGES, IMAGES[::-1].copy()
    share = epsilon[:, None, None, None]
    between = share * real + (1 - share) * fake
    norm = np.sqrt(np.sum((WEIGHTS * between) ** 2, (1, 2, 3)))
    np.testing.assert_allclose(wgan_gp(quadratic, real, fake, epsilon), (norm - 1) ** 2, rtol=1e-4)


def test_wgan_gp_has_a_finite_gradient_where_the_norm_is_zero():
    scale = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(wgan_gp(lambda x: scale * linear(x), IMAGES, IMAGES, np.zeros(5)))
    assert float(value) == pytest.approx(5.0, rel=1e-4)
    assert np.isfinite(float(tape.gradient(value, scale)))
