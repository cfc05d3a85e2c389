import keras
import numpy as np
import pytest

from keras_ganaccel.checkpoint import restore_model_state
from keras_ganaccel.gan.callbacks import KIDCallback, MetricsLog, SampleGrid, Watchdog
from keras_ganaccel.gan.train import train_gan
from keras_ganaccel.rundir import read_metrics

pytestmark = pytest.mark.train


class Poison(keras.callbacks.Callback):
    """Breaks the discriminator once."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.step) == self.step:
            for variable in self.model.discriminator.weights:
                variable.assign(np.full(variable.shape, np.nan))


class Kill(Poison):
    """Ends training on the spot."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.step) == self.step:
            raise KeyboardInterrupt


def test_all_callbacks_work_in_fit_over_epochs_and_executions(gan, real, tmp_path):
    x, y = real[0][:48], real[1][:48]
    own = gan.generate(y, seed=7)
    watchdog = Watchdog(own, y, every=4)
    distance = KIDCallback(own, lambda images: images.reshape(len(images), -1), every=10)
    log = MetricsLog(tmp_path / "metrics.jsonl", every=12)
    callbacks = [watchdog, distance, SampleGrid(tmp_path, every=10, columns=2), log, Poison(16)]
    history = gan.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=callbacks).history

    # Executions of four steps, epochs of twelve.
    assert int(gan.step) == 24
    assert [row["step"] for row in distance.history] == [12, 20, 24]
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pictures == [f"step_{step:06d}.png" for step in (12, 20, 24)]
    assert history["kid"] == [distance.history[0]["kid"], distance.history[1]["kid"]]

    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [12, 24]
    for name in ("generator_loss", "discriminator_loss", "real_logits", "fake_logits"):
        # The first epoch is one interval, and its running mean an independent reference.
        np.testing.assert_allclose(rows[0][name], history[name][0], rtol=1e-4, atol=1e-6)

    assert [(event["step"], event["back_to"]) for event in watchdog.events] == [(20, 16)]
    assert all(np.isfinite(weight).all() for weight in gan.get_weights())
    assert np.isfinite(history["generator_loss"][1])


def test_what_callbacks_remember_survives_a_kill(gan, untrained, real, tmp_path):
    x, y = real[0], real[1]
    own = gan.generate(np.arange(60) % 3, seed=7)

    def train(folder, *further):
        """Trains with callbacks made anew, as another process would."""
        restore_model_state(gan, untrained[1])
        folder.mkdir(exist_ok=True)
        watchdog = Watchdog(own, y, every=4, patience=1)
        distance = KIDCallback(own, lambda images: images.reshape(len(images), -1), every=3)
        log = MetricsLog(folder / "metrics.jsonl", every=6)
        callbacks = [*further, watchdog, distance, log]
        options = {"steps": 16, "batch_size": 4, "steps_per_execution": 2, "checkpoint_every": 4}
        train_gan(gan, x, y, callbacks=callbacks, checkpoint_dir=folder / "checkpoints", **options)
        return watchdog, distance, (folder / "metrics.jsonl").read_text(), gan.get_weights()

    watchdog, distance, log, weights = train(tmp_path / "whole", Poison(6))
    assert [(event["step"], event["back_to"]) for event in watchdog.events] == [(8, 4)]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", Poison(6), Kill(14))
    watchdog_2, distance_2, log_2, weights_2 = train(tmp_path / "killed")
    assert watchdog_2.events == watchdog.events
    assert distance_2.history == distance.history
    assert distance_2.best == distance.best
    assert log_2 == log
    for resumed, expected in zip(weights_2, weights, strict=True):
        np.testing.assert_array_equal(resumed, expected)
