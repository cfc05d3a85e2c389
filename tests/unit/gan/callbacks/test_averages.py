import json

import keras
import numpy as np
import pytest

from keras_ganaccel.gan.callbacks.averages import IntervalMeans


@pytest.fixture
def loss():
    return keras.metrics.Mean(name="loss")


def feed(means, loss, values):
    for value in values:
        loss.update_state(value)
        means.update([loss])


def test_intervals_are_apart(loss):
    means = IntervalMeans()
    feed(means, loss, [1.0, 2.0, 6.0])
    assert means.take() == {"loss": pytest.approx(3.0)}
    feed(means, loss, [10.0, 20.0])
    assert means.take() == {"loss": pytest.approx(15.0)}
    assert means.take() == {}


def test_resets_in_between_lose_nothing(loss):
    means = IntervalMeans()
    feed(means, loss, [1.0, 2.0])
    loss.reset_state()
    feed(means, loss, [6.0, 7.0])  # as many again: the count alone does not show the reset
    loss.reset_state()
    means.restart()
    feed(means, loss, [4.0])
    assert means.take() == {"loss": pytest.approx(4.0)}


def test_a_metric_that_rests_is_not_counted_twice(loss):
    means, lazy = IntervalMeans(), keras.metrics.Mean(name="penalty")
    for step in range(8):
        loss.update_state(step)
        if step % 4 == 0:
            lazy.update_state(10.0 + step)
        means.update([loss, lazy])
    assert means.take() == pytest.approx({"loss": 3.5, "penalty": 12.0})


def test_an_unfinished_interval_survives_a_restart(loss):
    values = np.random.default_rng(0).uniform(size=9)
    whole, first, second = IntervalMeans(), IntervalMeans(), IntervalMeans()
    feed(whole, loss, values)
    loss.reset_state()
    feed(first, loss, values[:4])
    second.set_state(json.loads(json.dumps(first.get_state())))
    loss.reset_state()
    feed(second, loss, values[4:])
    assert second.take() == pytest.approx(whole.take())


def test_a_nan_ends_with_its_interval(loss):
    means = IntervalMeans()
    feed(means, loss, [1.0, np.nan])
    assert np.isnan(means.take()["loss"])
    loss.reset_state()
    feed(means, loss, [2.0])
    assert means.take() == {"loss": pytest.approx(2.0)}
