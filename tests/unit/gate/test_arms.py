import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gate.arms import Arm, arm_pool, filtered, with_pool
from keras_ganaccel.generated.candidates import (
    Pool,
    class_agreement,
    most_doubted,
    without_held_out,
)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def _images(random, count):
    return random.random((count, 4, 4, 1)).astype("float32")


def _teacher(x):
    bright = x.mean(axis=(1, 2, 3))
    return np.stack([bright, 1 - bright], axis=1)


def _read(transfer, steps, batch_size):
    """The stream of a training: samples, labels, answers, weights, sources."""
    batches = transfer.batches(steps, batch_size, with_source=True).as_numpy_iterator()
    parts = [(x, y["label"], y["teacher_logits"], w, source) for x, y, w, source in batches]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def test_arms_differ_by_the_pool_alone(random):
    x, y = _images(random, 30), np.arange(30) % 2
    real = TransferSet.make(_teacher, x, y, num_classes=2, augmentation=(), seed=0)
    pool = Pool(_images(random, 12), np.full(12, -1))
    arm = Arm("pool", pool, 0.25, generated_weight=0.5)
    mixed = with_pool(real, arm, pool, _teacher, 160, seed=1)
    samples, labels, logits, weights, sources = _read(mixed, 20, 8)
    assert mixed.sources == ("real", "pool")
    generated = sources == 1
    # Evenly spread: any stretch holds its share of the pool, to a sample.
    reached = np.cumsum(generated)
    assert np.all(np.abs(reached - 0.25 * np.arange(1, 161)) <= 1.0)
    assert generated.sum() == 40
    # A pass has every real sample once, in the order that it has without the pool.
    alone = _read(real, 20, 8)[0]
    np.testing.assert_array_equal(samples[~generated], alone[:120])
    # Every sample of the pool comes once before one comes twice.
    drawn = [int(np.flatnonzero((pool.x == one).all(axis=(1, 2, 3)))[0])
             for one in samples[generated]]  # fmt: skip
    counts = np.bincount(drawn, minlength=12)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(weights, np.where(generated, 0.5, 1.0))
    np.testing.assert_allclose(np.exp(logits), _teacher(samples), atol=1e-6)
    assert not labels[generated].any()
    np.testing.assert_array_equal(labels[~generated].sum(axis=1), 1)


def test_generated_first_begins_with_twice_the_share_and_ends_with_none(random):
    x, y = _images(random, 100), np.arange(100) % 2
    real = TransferSet.make(_teacher, x, y, num_classes=2, augmentation=())
    pool = Pool(_images(random, 50), np.zeros(50, int))
    arm = Arm("pool", pool, 0.4, schedule="generated_first")
    sources = _read(with_pool(real, arm, pool, _teacher, 10_000, 0), 100, 100)[4]
    assert sources.mean() == pytest.approx(0.4, abs=0.001)
    assert sources[:500].mean() == pytest.approx(0.78, abs=0.02)
    assert sources[-500:].mean() == pytest.approx(0.02, abs=0.01)


def test_a_pool_is_augmented_as_the_real_samples_are(random):
    x, y = _images(random, 30), np.arange(30) % 2
    pool = Pool(_images(random, 12), np.arange(12) % 2)
    real = TransferSet.make(
        _teacher, x, y, num_classes=2, size=1600, augmentation=("shift", "mixup")
    )
    mixed = with_pool(real, Arm("a", pool, 0.5), pool, _teacher, 3200, 0)
    samples, labels, logits, _, sources = _read(mixed, 50, 64)
    extra = labels[sources == 1]
    assert len(extra) == mixed.generated.size == 1600
    assert (extra.max(axis=1) < 1).any()
    np.testing.assert_allclose(np.exp(logits), _teacher(samples), atol=1e-6)


def test_samples_nearest_to_a_held_out_one_are_left_out(random):
    training, held_out = _images(random, 20), _images(random, 10)
    pool = Pool(_images(random, 200), np.zeros(200, int))
    kept = without_held_out(pool, training, held_out)
    both = np.concatenate([training, held_out]).reshape(30, -1)
    nearest = (
        NearestNeighbors(n_neighbors=1)
        .fit(both)
        .kneighbors(pool.x.reshape(200, -1), return_distance=False)[:, 0]
    )
    np.testing.assert_array_equal(kept, nearest < 20)
    memorised = Pool(held_out + 0.01, np.zeros(10, int))
    assert not without_held_out(memorised, training, held_out).any()


def test_an_arms_pool_is_fitted_on_what_it_is_given_or_kept_from_what_is_held_out(random):
    x, held_out = _images(random, 20), _images(random, 10)
    y = np.zeros(20, int)
    copies = Pool(np.concatenate([x, held_out]), np.zeros(30, int))
    assert len(arm_pool(Arm("a", copies, 0.5), x, y, 0, held_out=held_out).x) == 20
    assert len(arm_pool(Arm("a", copies, 0.5), x, y, 0).x) == 30
    stranger = Arm("a", copies, 0.5, learnt_from_labels=False)
    assert len(arm_pool(stranger, x, y, 0, held_out=held_out).x) == 30
    fitted = Arm("a", lambda x, y, seed: Pool(x[:seed], y[:seed]), 0.5)
    assert len(arm_pool(fitted, x, y, 7, held_out=held_out).x) == 7


class Bright:
    """Keeps what its teacher finds bright."""

    def __init__(self, teacher, least=0.5):
        self.teacher, self.least = teacher, least

    def mask(self, x, y):
        return self.teacher(x)[:, 0] > self.least


def test_filters_ask_the_pairs_teacher_and_a_pool_refused_whole_is_used_whole(random):
    pool = Pool(_images(random, 50), np.zeros(50, int))
    expected = _teacher(pool.x)[:, 0] > 0.5
    kept = filtered(Arm("a", pool, 0.5, filter=Bright), pool, _teacher)
    np.testing.assert_array_equal(kept.x, pool.x[expected])
    strict = Arm("a", pool, 0.5, filter=lambda teacher: Bright(teacher, 2.0))
    assert filtered(strict, pool, _teacher) is pool


def test_class_agreement_is_cohens_kappa(random):
    pool = Pool(_images(random, 400), random.integers(0, 2, 400))
    seen = _teacher(pool.x).argmax(axis=1)
    right = Pool(pool.x, np.where(np.arange(400) % 3 == 0, pool.y, seen))
    both, agreed = np.stack([right.y, seen]), np.mean(right.y == seen)
    chance = np.prod(both.mean(axis=1)) + np.prod(1 - both.mean(axis=1))
    expected = (agreed - chance) / (1 - chance)
    assert class_agreement(right, _teacher) == pytest.approx(expected)
    assert abs(class_agreement(pool, _teacher)) < 0.15
    assert class_agreement(Pool(pool.x, seen), _teacher) == 1
    assert class_agreement(Pool(pool.x, np.full(400, -1)), _teacher) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"generated_fraction": 1.0},
        {"generated_fraction": 0.0},
        {"schedule": "generated_last"},
        {"pool": None},
    ],
)
def test_arms_out_of_range_are_refused(random, arguments):
    pool = Pool(_images(random, 3), np.zeros(3, int))
    with pytest.raises(InvalidInputError):
        Arm(**{"name": "a", "pool": pool, "generated_fraction": 0.5, **arguments})


def test_pools_without_a_label_per_sample_are_refused(random):
    for count in (0, 2):
        with pytest.raises(InvalidInputError):
            Pool(_images(random, count), np.zeros(3 if count else 0))


def test_what_a_student_doubts_is_left_of_a_pool_without_its_classes():
    x = np.random.default_rng(0).random((4000, 2, 2, 1)).astype(np.float32)
    pool = Pool(x, np.zeros(4000, np.int64))
    bright = x.mean(axis=(1, 2, 3)) > 0.5

    def student(images):
        told = np.full((len(images), 2), [0.9, 0.1], np.float32)
        told[images.mean(axis=(1, 2, 3)) > 0.5] = [0.5, 0.5]
        return told

    def teacher(images):
        return np.full((len(images), 2), [0.9, 0.1], np.float32)

    left = most_doubted(pool, teacher, student, 0.2, 3)
    assert len(left.x) == pytest.approx(800, rel=0.15)
    assert np.all(left.x.mean(axis=(1, 2, 3)) > 0.5)
    assert bright.sum() > 1500
    assert np.all(left.y == -1)
    again = most_doubted(pool, teacher, student, 0.2, 3)
    np.testing.assert_array_equal(left.x, again.x)


def test_a_student_without_doubts_takes_the_pool_whole():
    pool = Pool(np.random.default_rng(0).random((50, 2, 2, 1)).astype(np.float32), np.zeros(50))

    def sure(images):
        return np.full((len(images), 2), [0.9, 0.1], np.float32)

    assert len(most_doubted(pool, sure, sure, 0.2, 0).x) == 50


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_the_doubted_share_is_a_share(share):
    pool = Pool(np.zeros((4, 2, 2, 1), np.float32), np.zeros(4))
    with pytest.raises(InvalidInputError, match="doubted"):
        Arm("a", pool, 0.5, doubted=share)
