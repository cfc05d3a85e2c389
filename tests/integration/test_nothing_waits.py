"""A training ends when its last step is done, not at tf.data's next tuning period.

The tuner's periods end 0.01, 0.03, 0.07, ..., 1.27, 2.55 and 5.11 s after a pipeline starts, and
the end of its iterator waits for the present one. Each training here sleeps in its last step until
it is well inside of one: with the tuner on it would return seconds later.
"""

import gc
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.classifier.distill import Distiller
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.compression.finetune import FineTuner, training_stream
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.train import train_gan

pytestmark = pytest.mark.train

PERIOD, PATIENCE = 2.56, 1.0
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 1, (32, 2, 2, 1)).astype("float32")
Y = np.arange(32) % 2


class Sleeper(keras.callbacks.Callback):
    """Sleeps in the last step until a third of a long tuning period is over."""

    def __init__(self, steps, starts):
        super().__init__()
        self.steps, self.starts, self.ended = steps, starts, None

    def on_train_batch_end(self, batch, logs=None):
        self.note(batch + 1)

    def note(self, step, _=None):
        if step >= self.steps:
            time.sleep(self._inside_a_period() - time.perf_counter())
            self.ended = time.perf_counter()

    def _inside_a_period(self):
        started, period = self.starts[-1], PERIOD
        while started + 1.3 * period < time.perf_counter():
            period *= 2
        return started + 1.3 * period


def classifier():
    return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])


def gan():
    latent, label = keras.Input((3,)), keras.Input((), dtype="int32")
    image = keras.layers.Concatenate()([latent, keras.layers.Embedding(2, 3)(label)])
    image = keras.layers.Reshape((2, 2, 1))(keras.layers.Dense(4, "tanh")(image))
    shown, judged = keras.Input((2, 2, 1)), keras.Input((), dtype="int32")
    logit = keras.layers.Reshape(())(keras.layers.Dense(1)(keras.layers.Flatten()(shown)))
    return ConditionalGAN(
        keras.Model([latent, label], image), keras.Model([shown, judged], logit), 3, 2
    )


def trains_gan(sleeper):
    train_gan(gan(), X, Y, steps=4, batch_size=8, steps_per_execution=1, callbacks=[sleeper])


def fits_gan_on_arrays(sleeper):
    model = gan()
    model.compile()
    model.fit(X, Y, batch_size=8, callbacks=[sleeper], verbose=0)


def trains_classifier_on_arrays(sleeper):
    train_classifier(
        classifier(), (X, Y), steps=4, batch_size=8, steps_per_execution=1, callbacks=[sleeper]
    )


def trains_classifier_on_a_users_dataset(sleeper):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).map(
        lambda x, y: (x, y), num_parallel_calls=tf.data.AUTOTUNE
    )
    data = data.batch(8).prefetch(tf.data.AUTOTUNE)
    train_classifier(classifier(), data, steps=4, steps_per_execution=1, callbacks=[sleeper])


def fits_distiller(sleeper):
    distiller = Distiller(classifier())
    distiller.compile("adam")
    distiller.fit(X, Y, batch_size=8, callbacks=[sleeper], verbose=0)


def trains_trainee(sleeper):
    recipe = Recipe(steps=4, batch_size=8, augmentation=())
    torn = lambda x: np.full((len(x), 2), 0.5)  # noqa: E731
    samples = TransferSet.for_recipe(recipe, torn, X, Y, num_classes=2)
    trainee = Trainee(classifier(), recipe, steps_per_execution=1)
    trainee.train(samples, callbacks=[sleeper])


def fine_tunes_on(data):
    def fine_tune(sleeper):
        import tf_keras

        model = tf_keras.Sequential(
            [tf_keras.Input((2, 2, 1)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(2)]
        )
        inputs = ModelInputs.of(classifier())
        stream, distil = training_stream(data, None, classes=2, batch_size=8, seed=0, inputs=inputs)
        tuner = FineTuner(stream, "logits", 2, distil)
        sleeper.steps = 50
        tuner.run(
            model,
            variables=model.trainable_variables,
            steps=50,
            learning_rate=0.01,
            on_progress=sleeper.note,
        )

    return fine_tune


TRAININGS = {
    "train_gan": trains_gan,
    "ConditionalGAN.fit": fits_gan_on_arrays,
    "train_classifier": trains_classifier_on_arrays,
    "train_classifier on a dataset": trains_classifier_on_a_users_dataset,
    "Distiller.fit": fits_distiller,
    "Trainee.train": trains_trainee,
    "fine-tuning": fine_tunes_on((X, Y)),
    "fine-tuning on a dataset": fine_tunes_on(tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_ends_with_its_last_step(name, pipeline_starts):
    sleeper = Sleeper(4, pipeline_starts)
    # What was there before is not looked through, so that collecting takes no time of its own.
    gc.collect()
    gc.freeze()
    try:
        TRAININGS[name](sleeper)
        gc.collect()
        waited = time.perf_counter() - sleeper.ended
    finally:
        gc.unfreeze()
    assert waited < PATIENCE, f"{name} waited {waited:.1f} s after its last step"
