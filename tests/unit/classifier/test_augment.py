import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.classifier.augment import augment, batch_uniforms, mix_neighbours
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.policies import (
    CLASSIFIER_POLICIES,
    cutmix_masks,
    cutout,
    flip,
    mixup_masks,
    shift,
)

POLICIES = tuple(CLASSIFIER_POLICIES)
SEED = tf.constant([3, 5])


@pytest.fixture
def images():
    return np.random.default_rng(0).random((6, 8, 10, 3)).astype("float32")


def _shifted(image, down, right):
    """Output pixel (i, j) is input pixel (i + down, j + right), zero outside."""
    result = np.zeros_like(image)
    height, width = image.shape[:2]
    for i in range(height):
        for j in range(width):
            if 0 <= i + down < height and 0 <= j + right < width:
                result[i, j] = image[i + down, j + right]
    return result


def test_shift_moves_by_whole_pixels_over_its_whole_range(images):
    uniforms = np.linspace(0, 0.999, 12).reshape(6, 2).astype("float32")
    received = shift(images, uniforms, fraction=0.25).numpy()
    reaches = round(8 * 0.25), round(10 * 0.25)
    for image, result, row in zip(images, received, uniforms, strict=True):
        down, right = (
            int(u * (2 * reach + 1)) - reach for u, reach in zip(row, reaches, strict=True)
        )
        np.testing.assert_array_equal(result, _shifted(image, down, right))
    corners = np.array([[0, 0], [0.9999, 0.9999]], "float32")
    first, last = shift(images[:2], corners, fraction=0.25).numpy()
    np.testing.assert_array_equal(first, _shifted(images[0], -2, -2))
    np.testing.assert_array_equal(last, _shifted(images[1], 2, 2))


def test_flip_mirrors_below_a_half(images):
    uniforms = np.array([[0.1], [0.9], [0.49], [0.5], [0.0], [0.7]], "float32")
    received = flip(images, uniforms).numpy()
    for image, result, u in zip(images, received, uniforms[:, 0], strict=True):
        np.testing.assert_array_equal(result, image[:, ::-1] if u < 0.5 else image)


def test_cutout_blanks_one_square_and_nothing_else():
    images = np.ones((2, 8, 8, 3), "float32")
    middle, corner = cutout(images, np.array([[0.5, 0.5], [0.0, 0.0]], "float32"), fraction=0.5)
    expected = np.ones((8, 8, 3))
    expected[2:6, 2:6] = 0
    np.testing.assert_array_equal(middle, expected)
    assert np.sum(corner == 0) == 3 * 4


def test_mixup_is_the_convex_combination_of_neighbours(images):
    uniforms = np.linspace(0.1, 0.9, 6)[:, None].astype("float32")
    targets = np.eye(6, dtype="float32")
    mixed, (soft,) = mix_neighbours(images, [targets], mixup_masks(images, uniforms))
    for i in range(6):
        j, share = i ^ 1, uniforms[i, 0]
        np.testing.assert_allclose(mixed[i], share * images[i] + (1 - share) * images[j], atol=1e-6)
        np.testing.assert_allclose(
            soft[i], share * targets[i] + (1 - share) * targets[j], atol=1e-6
        )


def test_cutmix_labels_follow_the_pixels():
    ones_and_zeros = np.stack([np.full((8, 10, 1), float(i % 2), "float32") for i in range(6)])
    targets = np.array([[1, 0], [0, 1]] * 3, "float32")
    uniforms = np.random.default_rng(0).random((6, 3)).astype("float32")
    masks = cutmix_masks(ones_and_zeros, uniforms)
    mixed, (soft,) = mix_neighbours(ones_and_zeros, [targets], masks)
    assert set(np.unique(masks)) == {0.0, 1.0}
    np.testing.assert_allclose(soft[:, 1], np.mean(mixed, axis=(1, 2, 3)), atol=1e-6)


def test_the_last_of_an_odd_batch_stays(images):
    mixed, (soft,) = augment(images[:5], [np.eye(5, dtype="float32")], ["mixup"], SEED)
    np.testing.assert_allclose(mixed[4], images[4], atol=1e-6)
    np.testing.assert_allclose(soft[4], np.eye(5)[4], atol=1e-6)


@pytest.mark.parametrize("policies", [*[(policy,) for policy in POLICIES], POLICIES])
def test_targets_stay_distributions_and_a_seed_decides_everything(images, policies):
    targets = np.eye(6, dtype="float32")
    one, (soft,) = augment(images, [targets], policies, SEED)
    two, _ = augment(images, [targets], policies, SEED)
    other, _ = augment(images, [targets], policies, tf.constant([3, 6]))
    assert one.shape == images.shape
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(np.sum(soft, axis=1), 1, atol=1e-6)
    assert np.min(one) >= 0
    assert np.max(one) <= 1


def test_replicas_draw_their_slice_of_the_global_batch():
    whole = batch_uniforms(10, SEED, 4).numpy()
    parts = [
        batch_uniforms(size, SEED, 4, (tf.constant(10, tf.int64), tf.constant(first, tf.int64)))
        for first, size in ((0, 6), (6, 4))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_augmented_halves_are_the_halves_of_the_augmented_batch(images):
    targets = np.eye(6, dtype="float32")
    whole, (soft,) = augment(images, [targets], POLICIES, SEED)
    halves = [
        augment(
            images[rows], [targets[rows]], POLICIES, SEED,
            (tf.constant(6, tf.int64), tf.constant(rows.start, tf.int64)),
        )
        for rows in (slice(0, 2), slice(2, 6))
    ]  # fmt: skip
    np.testing.assert_allclose(np.concatenate([half[0] for half in halves]), whole, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([half[1][0] for half in halves]), soft, atol=1e-6)


def test_an_unknown_policy_is_refused(images):
    with pytest.raises(InvalidInputError, match="cutmix"):
        augment(images, [], ["cutmixx"], SEED)
