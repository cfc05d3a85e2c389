"""Augmentations pixel by pixel, their independence of the batch, and the strength's controller."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.augment import (
    AUGMENT_UNIFORMS,
    adapt_strength,
    diff_augment,
    overfitting_signal,
)
from keras_ganaccel.modality.policies import check_policies

EVERY_POLICY = ("translation", "cutout", "colour", "flip")


def uniforms_with(count, **columns):
    """Rows of 0.5 with the columns ``u0``, ``u1``, ... replaced."""
    rows = np.full((count, AUGMENT_UNIFORMS), 0.5, np.float32)
    for name, values in columns.items():
        rows[:, int(name[1:])] = values
    return rows


def random_case(count=16, height=8, width=8, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.uniform(-1, 1, (count, height, width, channels)).astype(np.float32)
    return images, rng.uniform(size=(count, AUGMENT_UNIFORMS)).astype(np.float32)


def shifted(image, rows, columns):
    """Reference: the image moved down and right, grey where nothing came from."""
    result = np.zeros_like(image)
    height, width, _ = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - rows < height and 0 <= column - columns < width:
                result[row, column] = image[row - rows, column - columns]
    return result


def test_translation_moves_by_whole_pixels():
    images, _ = random_case(9)
    draws = uniforms_with(9, u0=0.0, u1=np.repeat([0, 0.5, 0.999], 3), u2=[0, 0.5, 0.999] * 3)
    moved = diff_augment(images, ["translation"], draws)
    for index in range(9):
        expected = shifted(images[index], index // 3 - 1, index % 3 - 1)
        np.testing.assert_allclose(moved[index], expected, atol=1e-6)


@pytest.mark.parametrize(("size", "reach"), [(8, 1), (4, 1), (28, 4), (64, 8)])
def test_translation_reaches_an_eighth_of_the_size(size, reach):
    images = np.zeros((2, size, size, 1), np.float32)
    images[:, size // 2, size // 2] = 1
    draws = uniforms_with(2, u0=0.0, u1=[0.0, np.nextafter(np.float32(1), np.float32(0))])
    moved = diff_augment(images, ["translation"], draws).numpy()
    assert [int(np.argmax(image.sum((1, 2)))) for image in moved] == [
        size // 2 - reach,
        size // 2 + reach,
    ]


def test_translations_are_equally_likely():
    images = np.zeros((6000, 8, 8, 1), np.float32)
    images[:, 4, 4] = 1
    _, draws = random_case(6000)
    moved = diff_augment(images, ["translation"], draws).numpy()
    share = moved.mean(0)[3:6, 3:6, 0]
    np.testing.assert_allclose(share, np.full((3, 3), 1 / 9), atol=0.02)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 6), (28, 28)])
def test_cutout_clears_one_rectangle(height, width):
    images = np.ones((64, height, width, 1), np.float32)
    _, draws = random_case(64, seed=1)
    cut = diff_augment(images, ["cutout"], draws).numpy()[..., 0]
    assert set(np.unique(cut)) == {0.0, 1.0}
    for image in cut:
        rows, columns = np.where(image == 0)
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert area == len(rows)
        assert np.ptp(rows) + 1 <= round(height / 2)
        assert np.ptp(columns) + 1 <= round(width / 2)


def test_colour_follows_its_formula():
    images, draws = random_case(channels=3)
    brightness, saturation, contrast = (draws[:, i, None, None, None] for i in (7, 8, 9))
    expected = images + brightness - 0.5
    grey = expected.mean(-1, keepdims=True)
    expected = grey + (expected - grey) * 2 * saturation
    mean = expected.mean((1, 2, 3), keepdims=True)
    expected = mean + (expected - mean) * (contrast + 0.5)
    np.testing.assert_allclose(diff_augment(images, ["colour"], draws), expected, atol=1e-5)


def test_flip_mirrors_left_and_right_for_half_of_the_samples():
    images, draws = random_case()
    draws[:, 11] = [0.1, 0.9] * 8
    flipped = diff_augment(images, ["flip"], draws)
    np.testing.assert_array_equal(flipped[::2], images[::2, :, ::-1])
    np.testing.assert_array_equal(flipped[1::2], images[1::2])


@pytest.mark.parametrize("policy", EVERY_POLICY)
def test_strength_is_the_share_of_samples_that_change(policy):
    images, draws = random_case(4000, channels=3)
    always = np.asarray(diff_augment(images, [policy], draws))
    touched = np.abs(always - images).max((1, 2, 3)) > 0
    some = np.asarray(diff_augment(images, [policy], draws, 0.3))
    changed = np.abs(some - images).max((1, 2, 3)) > 0
    assert changed[touched].mean() == pytest.approx(0.3, abs=0.04)
    assert not changed[~touched].any()
    np.testing.assert_array_equal(some[changed], always[changed])


def test_no_strength_and_no_policies_leave_the_images_alone():
    images, draws = random_case()
    np.testing.assert_array_equal(diff_augment(images, EVERY_POLICY, draws, 0.0), images)
    np.testing.assert_array_equal(diff_augment(images, [], draws), images)


def test_a_sample_does_not_depend_on_its_batch():
    images, draws = random_case(channels=3)
    together = diff_augment(images, EVERY_POLICY, draws)
    for index in range(len(images)):
        alone = diff_augment(images[index, None], EVERY_POLICY, draws[index, None])
        np.testing.assert_allclose(alone[0], together[index], atol=1e-6)


def test_another_policy_does_not_change_the_draws_of_the_rest():
    images, draws = random_case()
    first = diff_augment(images, ["translation"], draws)
    draws[:, 4:] = np.random.default_rng(9).uniform(size=draws[:, 4:].shape)
    np.testing.assert_array_equal(diff_augment(images, ["translation"], draws), first)


def test_gradient_flows_back_to_where_the_pixels_came_from():
    images, draws = random_case(4)
    inputs = tf.constant(images)
    weights = np.random.default_rng(2).normal(size=images.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        moved = diff_augment(inputs, ["translation", "cutout", "flip"], draws)
        value = tf.reduce_sum(weights * moved)
    gradient = tape.gradient(value, inputs).numpy()
    # These policies are linear in the image but for the grey fill, which is zero.
    assert float(np.sum(gradient * images)) == pytest.approx(float(value), rel=1e-4)
    assert np.abs(gradient).max() > 0


def test_policies_are_checked_and_ordered():
    assert check_policies(reversed(EVERY_POLICY), game=True) == EVERY_POLICY
    with pytest.raises(InvalidInputError, match="Did you mean 'colour'"):
        check_policies(["color"], game=True)


def test_overfitting_signal_is_blind_to_the_common_mode():
    real, fake = np.array([1.0, -5.0, 2.0], np.float32), np.array([0.0, -4.0, 2.0], np.float32)
    np.testing.assert_array_equal(overfitting_signal(real, fake), [1, -1, 0])
    np.testing.assert_array_equal(overfitting_signal(real + 7, fake + 7), [1, -1, 0])
    heads = overfitting_signal(np.array([[3.0, -1.0]]), np.array([[0.0, 0.0]]))
    np.testing.assert_array_equal(heads, [1])


def test_strength_follows_the_signal_and_stays_in_its_range():
    up = adapt_strength(0.1, 0.9, samples=1000, samples_to_full=10_000)
    down = adapt_strength(0.15, 0.2, samples=1000, samples_to_full=10_000)
    assert float(up) == pytest.approx(0.2)
    assert float(down) == pytest.approx(0.05)
    assert float(adapt_strength(0.1, 0.6, samples=1000)) == pytest.approx(0.1)
    assert float(adapt_strength(0.01, 0.0, samples=10**6)) == 0.0
    assert float(adapt_strength(0.79, 1.0, samples=10**6)) == pytest.approx(0.8)
