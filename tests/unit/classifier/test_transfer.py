import numpy as np
import pytest

from keras_ganaccel.classifier.transfer import transfer_set
from keras_ganaccel.errors import InvalidInputError


def _teacher(x):
    """Knows only how bright an image is."""
    bright = x.mean(axis=(1, 2, 3))
    return np.stack([bright, 1 - bright], axis=1)


def _samples(count=10):
    x = np.random.default_rng(0).random((count, 4, 4, 1)).astype("float32")
    return x, np.arange(count) % 2


def test_without_augmentation_it_is_the_samples_and_the_teachers_answers():
    x, y = _samples()
    images, targets = transfer_set(_teacher, x, y, num_classes=2, augmentation=())
    assert images.shape == x.shape
    order = [int(np.flatnonzero((x == image).all(axis=(1, 2, 3)))[0]) for image in images]
    assert sorted(order) == list(range(10))
    np.testing.assert_array_equal(targets["label"], np.eye(2)[y[order]])
    np.testing.assert_allclose(np.exp(targets["teacher_logits"]), _teacher(images), atol=1e-6)


def test_the_teacher_is_asked_about_the_augmented_images():
    x, y = _samples()
    images, targets = transfer_set(
        _teacher, x, y, num_classes=2, size=3000, augmentation=("shift", "mixup"), seed=1
    )
    np.testing.assert_allclose(np.exp(targets["teacher_logits"]), _teacher(images), atol=1e-6)
    np.testing.assert_allclose(targets["label"].sum(axis=1), 1, atol=1e-5)


def test_a_third_is_moved_and_mixed_a_third_moved_and_a_third_mixed():
    x, y = _samples(400)
    images, targets = transfer_set(
        _teacher, x, y, num_classes=2, size=3000, augmentation=("shift", "mixup"), seed=1
    )
    mixed = targets["label"].max(axis=1) < 1
    # Half of the mixed pairs have two classes.
    assert mixed.mean() == pytest.approx(0.5 * 2 / 3, abs=0.03)
    known = {image.tobytes() for image in x}
    still = np.array([image.tobytes() in known for image in images])
    # One shift in nine is none.
    assert still.mean() == pytest.approx(1 / 3 / 9, abs=0.015)
    few, _ = transfer_set(_teacher, x, y, num_classes=2, size=300, augmentation=("shift",), seed=1)
    still = np.array([image.tobytes() in known for image in few])
    assert still.mean() == pytest.approx(1 / 3 + 2 / 3 / 9, abs=0.06)


def test_samples_come_equally_often_and_by_seed():
    x, y = _samples()
    draws = [
        transfer_set(_teacher, x, y, num_classes=2, size=45, augmentation=(), seed=seed)[0]
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    counts = [(draws[0] == image).all(axis=(1, 2, 3)).sum() for image in x]
    assert sorted(counts) == [4] * 5 + [5] * 5


def test_missing_labels_stay_missing():
    x, y = _samples()
    _, targets = transfer_set(
        _teacher, x, np.full_like(y, -1), num_classes=2, size=2048, augmentation=("mixup",)
    )
    assert not targets["label"].any()


def test_the_size_is_bounded_by_memory_and_by_need():
    large = np.zeros((2, 512, 512, 3), "float32")
    images, _ = transfer_set(
        lambda x: np.full((len(x), 2), 0.5), large, [0, 1], num_classes=2, most=3
    )
    assert len(images) == 3


def test_no_samples_are_refused():
    with pytest.raises(InvalidInputError, match="none"):
        transfer_set(_teacher, np.zeros((0, 4, 4, 1)), [], num_classes=2)
