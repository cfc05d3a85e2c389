"""Trains one small GAN under a strategy and saves every variable. Run by the parity tests."""

import argparse
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.checkpoint import model_state
from keras_ganaccel.distribution import is_chief, make_strategy
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.networks import build_discriminator, build_generator
from keras_ganaccel.gan.train import train_gan
from keras_ganaccel.modality.image.spec import DataSpec

SPEC = DataSpec(8, 8, 1, ("a", "b", "c"))


def data(count=90):
    """Smooth pictures of three classes, every sixth without its label."""
    rng = np.random.default_rng(5)
    labels = np.arange(count) % 3
    rows, columns = np.mgrid[0:8, 0:8] / 8
    waves = np.stack([np.sin(6 * rows), np.sin(6 * columns), np.cos(6 * (rows + columns))])
    images = waves[labels] * rng.uniform(0.5, 1, (count, 1, 1)) + rng.normal(0, 0.05, (count, 8, 8))
    labels[::6] = -1
    return (np.clip(images, -1, 1)[..., None].astype(np.float32) + 1) / 2, labels


def smooth(network):
    """Replaces the activations by one without a kink.

    A gradient jumps where an input lies within rounding of a kink, and Adam makes a whole step of
    that: replicas then differ by 1e-3 although each computes what it should.
    """

    def copy(layer):
        if isinstance(layer, keras.layers.LeakyReLU):
            return keras.layers.Activation("silu", name=layer.name)
        return type(layer).from_config(layer.get_config())

    clone = keras.models.clone_model(network, clone_function=copy)
    clone.set_weights(network.get_weights())
    return clone


def make_gan():
    """A GAN with batch norm, every penalty and everything that follows the global batch."""
    gan = ConditionalGAN(
        smooth(build_generator(SPEC, 8, architecture="subpixel", width=8, seed=1)),
        smooth(build_discriminator(SPEC, architecture="convolutional", width=8, seed=2)),
        latent_dim=8,
        num_classes=3,
        r1_weight=0.5,
        r2_weight=0.5,
        wgan_gp_weight=0.1,
        lecam_weight=0.1,
        penalty_interval=2,
        augmentation=("translation", "colour"),
        adaptive_augmentation=True,
        seed=3,
    )
    gan.compile()
    return gan


def train(strategy, steps, folder=None, sharded=None):
    x, y = data()
    if sharded is not None:
        x, y = x[sharded::2], y[sharded::2]
    with strategy.scope():
        gan = make_gan()
    history = train_gan(
        gan,
        x,
        y,
        steps=steps,
        batch_size=16,
        seed=4,
        steps_per_execution=5,
        checkpoint_every=20,
        checkpoint_dir=folder,
        sharded=sharded is not None,
    )
    evaluation = {} if sharded is not None else history.history
    with strategy.scope():
        state = model_state(gan)
    return {
        **state,
        **{f"history/{name}": np.array(values) for name, values in evaluation.items()},
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--strategies", default="default,1,2,4")
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    if arguments.strategies == "multiworker":
        strategy = make_strategy("multiworker")
        state = train(strategy, arguments.steps)
        if is_chief(strategy):
            np.savez(f"{arguments.out}/multiworker.npz", **state)
        return
    make_strategy("cpu:4")
    for name in arguments.strategies.split(","):
        strategy = (
            tf.distribute.get_strategy() if name == "default" else make_strategy(f"cpu:{name}")
        )
        np.savez(f"{arguments.out}/{name}.npz", **train(strategy, arguments.steps))


if __name__ == "__main__":
    main()
