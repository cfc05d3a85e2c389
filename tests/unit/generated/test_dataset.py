"""Live generation, and the real side of a mixture."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.noise import noise_rows
from keras_ganaccel.generated.dataset import GeneratedDataset, RefreshGenerated, array_dataset
from keras_ganaccel.mixing.mix import mix_datasets
from keras_ganaccel.seeds import derive_seed


def first(dataset, count):
    x, y = next(iter(dataset.batch(count)))
    return x.numpy(), y.numpy()


def test_live_samples_are_the_gans(gan):
    live = GeneratedDataset.live(gan, num_classes=3, seed=4, batch_size=30)
    assert int(live.cardinality()) == tf.data.INFINITE_CARDINALITY
    x, y = first(live, 75)
    assert np.bincount(y[:30]).tolist() == [10, 10, 10]
    latents = noise_rows(derive_seed(4, "live", "noise"), np.arange(75), 6).numpy()
    expected = gan.generate_from_latents(latents, y)
    np.testing.assert_allclose(x, expected, atol=1e-5)


def test_a_new_iteration_goes_on_with_new_samples(gan):
    live = GeneratedDataset.live(gan, num_classes=3, batch_size=16)
    one, two = first(live, 16)[0], first(live, 16)[0]
    assert np.abs(one - two).reshape(16, -1).max(axis=1).min() > 0


@pytest.mark.train
def test_the_copy_follows_only_when_refreshed(gan):
    live = GeneratedDataset.live(gan, num_classes=3, batch_size=8)
    again = GeneratedDataset.live(gan, num_classes=3, batch_size=8)
    weights = gan.ema_generator.get_weights()
    try:
        gan.ema_generator.set_weights([weight * 0 for weight in weights])
        assert np.ptp(first(live, 8)[0]) > 0
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="one")])
        model.compile("sgd", "mse")
        model.fit(
            np.zeros((6, 1)), np.zeros(6), batch_size=2, verbose=0,
            callbacks=[RefreshGenerated(again, every=3)],
        )  # fmt: skip
        np.testing.assert_allclose(first(again, 8)[0], 0.5, atol=1e-6)
    finally:
        gan.ema_generator.set_weights(weights)
    with pytest.raises(InvalidInputError, match="every"):
        RefreshGenerated(again, every=0)


@pytest.mark.train
def test_live_in_a_mixture(gan):
    x = np.zeros((20, 8, 8, 1), np.float32)
    real = array_dataset(x, np.arange(20) % 3)
    live = GeneratedDataset.live(gan, num_classes=3, batch_size=8)
    mixed = mix_datasets(real, live, 0.5, with_source=True)
    for _ in range(2):
        samples = list(mixed.as_numpy_iterator())
        assert len(samples) == 40
        assert sum(int(source) for *_, source in samples) == 20


def test_live_is_refused_under_a_strategy(gan):
    with (
        tf.distribute.OneDeviceStrategy("CPU:0").scope(),
        pytest.raises(InvalidInputError, match="outside of the scope"),
    ):
        GeneratedDataset.live(gan, num_classes=3)


def test_array_dataset_has_a_pools_spec(clouds):
    x, y = clouds
    hard = array_dataset(x, y)
    assert len(hard) == len(x)
    assert [spec.dtype for spec in hard.element_spec] == [tf.float32, tf.int64]

    def teacher(x):
        return np.full((len(x), 3), 1 / 3)

    _, soft = next(array_dataset(x, y, teacher).as_numpy_iterator())
    np.testing.assert_allclose(soft["teacher_logits"], np.log(1 / 3), rtol=1e-6)
    assert soft["label"] == y[0]
