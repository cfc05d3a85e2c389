import json
import logging

import keras
import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError, RunFailedError
from keras_ganaccel.gan.callbacks import Watchdog

pytestmark = pytest.mark.train

LABELS = np.arange(60, dtype=np.int32) % 3


def watchdog(gan, **options):
    """Takes the untrained GAN's own samples for real ones: it starts out healthy."""
    images = gan.generate(LABELS, seed=7)
    return Watchdog(images, LABELS, **{"every": 4, "warm_up": 8, "patience": 2} | options)


def weights(gan):
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    variables = [v for o in optimizers for v in o.variables if v is not o._learning_rate]
    return [v.numpy() for v in (*gan.generator.weights, *gan.ema_generator.weights, *variables)]


def move(gan, scale=0.1):
    for variable in (*gan.generator.weights, *gan.ema_generator.weights):
        variable.assign(variable + scale)


def collapse(gan):
    for variable in gan.ema_generator.weights:
        variable.assign(np.zeros(variable.shape))


def rates(gan):
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    return np.array([float(optimizer.learning_rate) for optimizer in optimizers])


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_healthy_training_is_left_alone(gan, drive, caplog):
    dog = watchdog(gan)
    before = weights(gan)
    drive(dog, gan, range(4, 41, 4), real_logits=3.0, fake_logits=-3.0, generator_loss=6.0)
    assert dog.events == []
    assert same(weights(gan), before)
    # TensorFlow may have something to say of its own, such as that a function was traced again.
    assert not [record for record in caplog.records if record.name.startswith("keras_ganaccel")]


def test_a_nan_rolls_back_to_the_last_good_state(gan, drive, caplog):
    dog = watchdog(gan)
    drive(dog, gan, [4])
    good, rate = weights(gan), rates(gan)
    gan.samples_seen.assign(640)
    move(gan, np.nan)
    with caplog.at_level(logging.WARNING):
        drive(dog, gan, [6], {"generator_loss": np.nan}, generator_loss=np.nan)
    assert same(weights(gan), good)
    np.testing.assert_allclose(rates(gan), rate / 2)
    assert dog.events == [{"step": 6, "back_to": 4, "reason": "generator_loss is not finite"}]
    said = (
        "Step 6: generator_loss is not finite; back to the state of step 4 at half the learning "
        "rates."
    )
    assert dog.interventions == [said]
    assert said in caplog.text
    # Budget, data order and noise go on; the means start anew.
    assert (int(gan.step), int(gan.samples_seen)) == (6, 640)
    assert np.isfinite(float(gan.metrics[0].result()))


def test_broken_weights_are_never_kept_as_good(gan, drive):
    dog = watchdog(gan)
    drive(dog, gan, [4])
    good = weights(gan)
    gan.generator.weights[0].assign(np.full(gan.generator.weights[0].shape, np.inf))
    drive(dog, gan, [8])  # the losses do not show it yet
    drive(dog, gan, [9], {"generator_loss": np.inf})
    assert dog.events[0]["back_to"] == 4
    assert same(weights(gan), good)


def test_the_collapse_of_one_class_is_found_after_warm_up_and_patience(gan, drive, monkeypatch):
    dog = watchdog(gan)
    generate = gan.generate

    def alike(labels, seed=None):
        images = generate(labels, seed)
        images[labels == 1] = images[labels == 1][:1]
        return images

    monkeypatch.setattr(gan, "generate", alike)
    drive(dog, gan, [4])  # warm-up: taken as good
    drive(dog, gan, [8])
    assert dog.events == []
    drive(dog, gan, [12])
    (event,) = dog.events
    assert (event["step"], event["back_to"]) == (12, 4)
    assert event["reason"] == "class 1 has collapsed to 0% of the real diversity"


def test_a_collapsed_average_is_restored(gan, drive):
    dog = watchdog(gan, patience=1)
    drive(dog, gan, [8])
    good = weights(gan)
    collapse(gan)
    drive(dog, gan, [12])
    assert same(weights(gan), good)


def test_one_bad_check_is_forgiven(gan, drive):
    dog = watchdog(gan)
    good = gan.ema_generator.get_weights()
    for step in range(8, 41, 4):
        if step % 8:
            collapse(gan)
        else:
            gan.ema_generator.set_weights(good)
        drive(dog, gan, [step])
    assert dog.events == []


def test_a_discriminator_has_won_when_the_gap_is_wide_and_the_loss_grows(gan, drive):
    dog = watchdog(gan, largest_gap=10.0)
    for step, (gap, loss) in enumerate(((12, 5), (12, 5), (12, 4), (8, 6), (12, 7), (12, 7)), 1):
        drive(dog, gan, [4 * step], real_logits=gap, fake_logits=0.0, generator_loss=loss)
    assert dog.events == []  # wide but not growing, growing but not wide, or once only
    drive(dog, gan, [28], real_logits=12, fake_logits=0.0, generator_loss=8.0)
    drive(dog, gan, [32], real_logits=12, fake_logits=0.0, generator_loss=9.0)
    (event,) = dog.events
    assert event["step"] == 32
    assert event["reason"].startswith("the discriminator has won (gap of logits 12.0")


def test_each_rollback_is_milder_and_their_number_is_bounded(gan, drive):
    dog = watchdog(gan, max_rollbacks=2)
    rate = rates(gan)
    drive(dog, gan, [2], {"generator_loss": np.nan})
    drive(dog, gan, [3], {"generator_loss": np.nan})  # back to the same state
    np.testing.assert_allclose(rates(gan), rate / 4)
    with pytest.raises(RunFailedError, match=r"after 2 rollbacks.*step 4: generator_loss"):
        drive(dog, gan, [4], {"generator_loss": np.nan})


def test_a_restored_state_goes_on_like_the_original(gan, drive):
    dog, other = watchdog(gan, max_rollbacks=1), watchdog(gan, max_rollbacks=1)
    drive(dog, gan, [4])
    good = weights(gan)
    move(gan)
    drive(dog, gan, [5], {"generator_loss": np.nan})
    state = dog.get_state()
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    other.set_state({**json.loads(json.dumps(rest)), **arrays})
    assert other.events == dog.events
    other.max_rollbacks = 2
    move(gan)
    drive(other, gan, [6], {"generator_loss": np.nan})  # not taken for a good start
    assert same(weights(gan), good)
    assert other.events[-1]["back_to"] == 4


def test_suspicions_survive_a_restart(gan, drive):
    dog, other = watchdog(gan), watchdog(gan)
    drive(dog, gan, [4])
    collapse(gan)
    drive(dog, gan, [8])
    other.set_state(dog.get_state())
    drive(other, gan, [12])
    assert [event["step"] for event in other.events] == [12]


def test_refuses_what_it_cannot_watch(make_gan, real):
    images, labels = real
    with pytest.raises(InvalidInputError, match="no class with two different real samples"):
        Watchdog(images[:3], labels[:3])
    with pytest.raises(InvalidInputError, match="`patience` at least 1"):
        Watchdog(images, labels, patience=0)
    gan = make_gan()
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 100)
    gan.compile(generator_optimizer=keras.optimizers.Adam(schedule))
    dog = Watchdog(images, labels)
    dog.set_model(gan)
    with pytest.raises(InvalidInputError, match="constant learning rates"):
        dog.on_train_begin()
