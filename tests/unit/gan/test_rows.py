"""A GAN of rows: samples of one axis, which their specification relaxes and hardens."""

import keras
import numpy as np
import pandas as pd
import pytest

import keras_ganaccel as ga

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    age, job = rng.uniform(20, 60, 120), rng.choice(["clerk", "smith", "cook"], 120)
    income = np.where(age > 40, "high", "low")
    return ga.load_data(pd.DataFrame({"age": age, "job": job, "income": income}), target="income")


def test_a_gan_learns_makes_and_judges_rows_as_it_does_images(data, tmp_path):
    x, y = data.arrays("train")
    noise, label = keras.Input((4,)), keras.Input((), dtype="int32")
    row, judged = keras.Input(x.shape[1:]), keras.Input((), dtype="int32")
    generator = keras.Model([noise, label], keras.layers.Dense(x.shape[1], "tanh")(noise))
    logit = keras.layers.Reshape(())(keras.layers.Dense(1)(row))
    gan = ga.ConditionalGAN(
        generator, keras.Model([row, judged], logit), 4, data.spec.num_classes, spec=data.spec
    )
    gan.compile()
    pictures = ga.SampleGrid(tmp_path / "pictures", every=2)
    distance = ga.KIDCallback(x, lambda rows: rows, every=2, samples=20)
    watchdog = ga.Watchdog(x, y, every=2)
    callbacks = [pictures, distance, watchdog]
    gan.fit(x, np.eye(2)[y], batch_size=16, verbose=0, callbacks=callbacks)
    assert not (tmp_path / "pictures").exists()
    assert np.isfinite(distance.best["kid"])

    made = gan.generate([0, 1, 1, 0], seed=3)
    np.testing.assert_allclose(data.spec.harden(made), made, atol=1e-5)
    live = ga.GeneratedDataset.live(gan, num_classes=2, batch_size=8)
    rows = next(iter(live.batch(4)))[0].numpy()
    np.testing.assert_allclose(data.spec.harden(rows), rows, atol=1e-5)
    assert ga.discriminator_score(gan.discriminator, data.spec)(x[:3], y[:3]).shape == (3,)

    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.forms.spec == data.spec
    np.testing.assert_allclose(loaded.generate([0, 1, 1, 0], seed=3), made, atol=1e-6)
