import json

import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.callbacks import KIDCallback
from keras_ganaccel.metrics.kid import kid

pytestmark = pytest.mark.train


def pixels(images):
    return np.asarray(images).reshape(len(images), -1)


def spoil(gan, scale):
    """Moves the averaged generator away: the larger the scale, the worse its samples."""
    rng = np.random.default_rng(0)
    for variable in gan.ema_generator.variables:
        variable.assign(variable.numpy() + scale * rng.normal(size=variable.shape))


@pytest.fixture
def callback(gan):
    """Measures against the untrained GAN's own samples: any change makes KID worse."""
    labels = np.arange(90) % 3
    return KIDCallback(gan.generate(labels, seed=5), pixels, every=4, labels=labels, samples=60)


def test_measures_what_kid_measures(gan, drive, callback):
    logs = {}
    drive(callback, gan, [4], logs)
    generated = gan.generate(np.arange(60) % 3, seed=0)
    real = gan.generate(np.arange(90) % 3, seed=5)
    expected = kid(pixels(real), pixels(generated))
    assert callback.history == [{"step": 4, "kid": expected.value, "kid_stderr": expected.stderr}]
    assert logs == {"kid": expected.value, "kid_stderr": expected.stderr}
    epoch_logs = {}
    callback.on_epoch_end(0, epoch_logs)
    assert epoch_logs == logs


@pytest.mark.parametrize("restore", [True, False])
def test_the_best_weights_come_back(gan, drive, callback, restore):
    callback.restore_best = restore
    best = gan.ema_generator.get_weights()
    drive(callback, gan, [2, 4])
    spoil(gan, 0.5)
    drive(callback, gan, [8])
    gan.step.assign(10)
    callback.on_train_end()
    assert [row["step"] for row in callback.history] == [4, 8, 10]
    assert callback.best == callback.history[0]
    assert callback.history[1]["kid"] > callback.history[0]["kid"]
    same = [
        np.array_equal(a, b) for a, b in zip(best, gan.ema_generator.get_weights(), strict=True)
    ]
    assert all(same) if restore else not all(same)


def test_a_restored_state_goes_on_like_the_original(gan, drive, callback):
    drive(callback, gan, [4])
    state = callback.get_state()
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    other = KIDCallback(np.zeros((3, 8, 8, 1)), pixels, every=4, samples=60)
    other.set_state({**json.loads(json.dumps(rest)), **arrays})
    best = gan.ema_generator.get_weights()
    spoil(gan, 0.5)
    other._real_features = callback._real_features
    drive(callback, gan, [8])
    drive(other, gan, [8])
    assert other.history[0] == callback.history[0]
    assert other.best == callback.best
    other.on_train_end()
    for restored, expected in zip(gan.ema_generator.get_weights(), best, strict=True):
        np.testing.assert_array_equal(restored, expected)


def test_broken_samples_are_never_best(gan, drive, callback, caplog):
    for variable in gan.ema_generator.variables:
        variable.assign(np.full(variable.shape, np.nan))
    drive(callback, gan, [4])
    assert callback.best is None
    assert "not finite" in caplog.text
    callback.on_train_end()  # nothing to restore


def test_unlabelled_real_images_count_but_ask_for_no_class(gan, drive, real):
    images, labels = real
    labels = np.where(np.arange(60) < 30, -1, labels)
    callback = KIDCallback(images, pixels, every=4, labels=labels)
    drive(callback, gan, [4])
    assert len(callback.history) == 1
    assert callback.samples == 500


def test_refuses_too_few_samples(real):
    with pytest.raises(InvalidInputError, match="60 real images, `samples`=2"):
        KIDCallback(real[0], pixels, samples=2)
    with pytest.raises(InvalidInputError, match="2 real images"):
        KIDCallback(real[0][:2], pixels)
    with pytest.raises(InvalidInputError, match="one label per image"):
        KIDCallback(real[0], pixels, labels=real[1][:3])
