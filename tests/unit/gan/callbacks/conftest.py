import numpy as np
import pytest

from keras_ganaccel.checkpoint import model_state, restore_model_state
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.networks import build_discriminator, build_generator
from keras_ganaccel.modality.image.spec import DataSpec

SPEC = DataSpec(8, 8, 1, ("ant", "bee", "cat"))


@pytest.fixture(scope="session")
def make_gan():
    """Makes a tiny real GAN."""

    def make_gan():
        networks = (
            build_generator(SPEC, 4, architecture="transposed", width=4),
            build_discriminator(SPEC, architecture="convolutional", width=4),
        )
        gan = ConditionalGAN(
            *networks, latent_dim=4, num_classes=3, augmentation=(), r1_weight=0.0, r2_weight=0.0
        )
        gan.compile(learning_rate=1e-3, steps_per_execution=4)
        return gan

    return make_gan


@pytest.fixture(scope="session")
def untrained(make_gan):
    """The one GAN of all tests, and its first state: tracing it anew would take too long."""
    gan = make_gan()
    return gan, model_state(gan)


@pytest.fixture
def gan(untrained):
    """A tiny real GAN, compiled, untrained."""
    gan, state = untrained
    restore_model_state(gan, state)
    return gan


@pytest.fixture
def real():
    """Real images in [0, 1] with their labels."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(60, 8, 8, 1)).astype(np.float32), np.arange(60, dtype=np.int32) % 3


@pytest.fixture
def drive():
    """Stands in for `fit`: lets a callback see executions with given losses, without training."""

    def drive(callback, gan, steps, logs=None, **losses):
        callback.set_model(gan)
        callback.on_train_begin()
        logs = {} if logs is None else logs
        for step in steps:
            gan.step.assign(step)
            for metric in gan.metrics:
                if metric.name in losses:
                    metric.update_state(losses[metric.name])
            callback.on_train_batch_end(step - 1, logs)

    return drive
