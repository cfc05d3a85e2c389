"""The objectives against NumPy, their gradients, and what each is invariant to."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.losses import OBJECTIVES, get_objective, lecam, moving_anchor

REAL = np.array([-30.0, -1.5, 0.0, 0.3, 2.0, 40.0], np.float32)
FAKE = np.array([25.0, 0.5, 0.0, -0.7, -3.0, -50.0], np.float32)


def softplus(x):
    return np.logaddexp(0.0, x.astype(np.float64))


def relu(x):
    return np.maximum(x, 0.0)


REFERENCE = {
    "relativistic": (lambda r, f: softplus(f - r), lambda r, f: softplus(r - f)),
    "non_saturating": (lambda r, f: softplus(-r) + softplus(f), lambda r, f: softplus(-f)),
    "minimax": (lambda r, f: softplus(-r) + softplus(f), lambda r, f: -softplus(f)),
    "hinge": (lambda r, f: relu(1 - r) + relu(1 + f), lambda r, f: -f),
    "least_squares": (
        lambda r, f: ((r - 1.0) ** 2 + f**2) / 2,
        lambda r, f: (f - 1.0) ** 2 / 2,
    ),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_both_losses_equal_their_closed_forms(name):
    objective = get_objective(name)
    discriminator, generator = REFERENCE[name]
    np.testing.assert_allclose(
        objective.discriminator_loss(REAL, FAKE), discriminator(REAL, FAKE), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        objective.generator_loss(REAL, FAKE), generator(REAL, FAKE), rtol=1e-5, atol=1e-6
    )


def test_every_objective_has_a_reference():
    assert set(OBJECTIVES) == set(REFERENCE)


@pytest.mark.parametrize("name", REFERENCE)
def test_gradients_pull_the_logits_apart_and_stay_finite(name):
    real, fake = tf.constant(REAL), tf.constant(FAKE)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        discriminator = OBJECTIVES[name].discriminator_loss(real, fake)
        generator = OBJECTIVES[name].generator_loss(real, fake)
    by_real, by_fake = tape.gradient(discriminator, [real, fake])
    generator_by_fake = tape.gradient(generator, fake)
    assert np.isfinite(np.stack([by_real, by_fake, generator_by_fake])).all()
    undecided = slice(2, 3)  # real and generated sample have the same logit
    assert by_real[undecided] < 0
    assert by_fake[undecided] >= 0
    assert generator_by_fake[undecided] < 0


def test_relativistic_loss_is_blind_to_the_common_mode_and_the_others_are_not():
    for name, objective in OBJECTIVES.items():
        shifted = objective.discriminator_loss(REAL + 3, FAKE + 3)
        blind = np.allclose(shifted, objective.discriminator_loss(REAL, FAKE), atol=1e-5)
        assert blind == (name in ("relativistic", "wasserstein"))


@pytest.mark.parametrize("name", REFERENCE)
def test_generator_uses_real_says_whether_the_real_logits_matter(name):
    objective = OBJECTIVES[name]
    other = objective.generator_loss(REAL + 1, FAKE)
    same = np.array_equal(other, objective.generator_loss(REAL, FAKE))
    assert same != objective.generator_uses_real


@pytest.mark.parametrize("name", REFERENCE)
def test_heads_are_averaged_after_the_loss(name):
    real, fake = REAL.reshape(2, 3), FAKE.reshape(2, 3)
    objective = OBJECTIVES[name]
    expected = np.reshape(objective.discriminator_loss(REAL, FAKE), (2, 3)).mean(1)
    np.testing.assert_allclose(objective.discriminator_loss(real, fake), expected, rtol=1e-5)
    expected = np.reshape(objective.generator_loss(REAL, FAKE), (2, 3)).mean(1)
    np.testing.assert_allclose(objective.generator_loss(real, fake), expected, rtol=1e-5)


def test_low_precision_logits_are_computed_in_float32():
    real, fake = tf.cast([300.0], tf.bfloat16), tf.cast([299.0], tf.bfloat16)
    for objective in OBJECTIVES.values():
        assert objective.discriminator_loss(real, fake).dtype == tf.float32
        assert objective.generator_loss(real, fake).dtype == tf.float32


def test_unknown_objective_names_the_nearest():
    with pytest.raises(InvalidInputError, match="Did you mean 'hinge'"):
        get_objective("hing")


def test_lecam_penalises_one_sidedly():
    real, fake = np.array([2.0, -1.0], np.float32), np.array([-3.0, 4.0], np.float32)
    value = lecam(real, fake, real_anchor=1.0, fake_anchor=-0.5)
    np.testing.assert_allclose(value, [2.5**2 + 4.0**2, 0.0 + 0.0])
    heads = lecam(real[None], fake[None], 1.0, -0.5)
    np.testing.assert_allclose(heads, [(2.5**2 + 4.0**2) / 2])


def test_anchor_moves_by_the_decay_and_carries_no_gradient():
    mean = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(mean)
        moved = moving_anchor(1.0, mean, decay=0.75)
    assert float(moved) == pytest.approx(1.5)
    assert tape.gradient(moved, mean) is None
