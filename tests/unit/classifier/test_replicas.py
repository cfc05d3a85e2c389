"""Distillation lands on the same weights on one replica and on two."""

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.train

SCRIPT = textwrap.dedent(
    """
    import numpy as np
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import keras
    from keras_ganaccel.classifier.train import train_classifier
    from keras_ganaccel.classifier.recipe import Recipe
    from keras_ganaccel.classifier.trainee import Trainee
    from keras_ganaccel.classifier.transfer_set import TransferSet

    random = np.random.default_rng(0)
    x = random.random((40, 6, 6, 1)).astype("float32")
    y = random.integers(0, 3, 40)
    y[:5] = -1
    weight = random.random(40).astype("float32")

    def build(units, seed):
        kernel = keras.initializers.GlorotUniform(seed=seed)
        return keras.Sequential([
            keras.Input((6, 6, 1)), keras.layers.Flatten(),
            keras.layers.Dense(units, activation="relu", kernel_initializer=kernel),
            keras.layers.Dense(3, kernel_initializer=kernel, kernel_regularizer="l2"),
        ])

    def ask(images):
        shares = np.exp(-np.arange(3.0) * images.mean(axis=(1, 2, 3))[:, None])
        return shares / shares.sum(axis=1, keepdims=True)

    def trained(strategy):
        results = []
        for teacher in (None, build(7, 5), ask):
            with strategy.scope():
                model = build(8, 1)
            train_classifier(
                model, (x, y, weight), steps=7, batch_size=8, teacher=teacher, seed=3,
                augmentation=("shift", "flip", "cutout", "mixup", "cutmix"),
            )
            results += model.get_weights()
        with strategy.scope():
            model = build(8, 1)
        recipe = Recipe(steps=7, batch_size=8, transfer_size=60)
        samples = TransferSet.for_recipe(recipe, ask, x, y, num_classes=3)
        samples = samples.beside(ask, x[::-1], y[::-1], 0.4)
        trainee = Trainee(model, recipe)
        for _ in range(2):
            trainee.reset()
            trainee.train(samples)
        return results + model.get_weights()

    one = trained(tf.distribute.get_strategy())
    two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    worst = max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))
    assert worst < 1e-5, worst
    print("same weights")
    """
)


def test_one_and_two_replicas_land_on_the_same_weights():
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False
    )
    assert "same weights" in run.stdout, run.stderr[-3000:]
