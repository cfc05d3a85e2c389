"""Layers with a state of their own on several replicas, against a single one.

In processes of their own: logical devices must be made before TensorFlow starts, and one process
can reduce over one number of replicas only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.train

SCRIPT = textwrap.dedent(
    """
    import sys

    import keras
    import numpy as np
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)

    from keras_ganaccel.modality.image.layers import ConditionalBatchNormalization
    from keras_ganaccel.modality.image.spectral import SpectralConv2D

    X = np.random.default_rng(0).normal(2, 3, (8, 4, 4, 3)).astype(np.float32)
    LABELS = np.array([0, 1, 0, 0, 1, 1, 0, -1])

    def results(replicas):
        devices = [f"CPU:{index}" for index in range(replicas)]
        strategy = tf.distribute.MirroredStrategy(devices)
        with strategy.scope():
            image = keras.Input((4, 4, 3), name="image")
            label = keras.Input((), name="label", dtype="int32")
            initializer = keras.initializers.RandomNormal(stddev=0.3, seed=1)
            conv = SpectralConv2D(5, 3, kernel_initializer=initializer, name="conv")(image)
            norm = ConditionalBatchNormalization(2, momentum=0.5, name="norm")([conv, label])
            model = keras.Model([image, label], norm, name="model")

        def step(x, labels):
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(tf.sin(3.0 * model([x, labels], training=True)))
            return tape.gradient(value, model.trainable_variables)

        @tf.function
        def run(x, labels):
            gradients = strategy.run(step, (x, labels))
            return [strategy.reduce("SUM", gradient, axis=None) for gradient in gradients]

        data = tf.data.Dataset.from_tensors((X, LABELS)).unbatch().batch(8)
        for x, labels in strategy.experimental_distribute_dataset(data.repeat(3)):
            gradients = run(x, labels)
        replicated = [v.value for v in model.non_trainable_variables]
        for variable in replicated if replicas > 1 else ():
            copies = [np.asarray(copy) for copy in strategy.experimental_local_results(variable)]
            assert all(np.array_equal(copy, copies[0]) for copy in copies), variable
        return [*gradients, *model.get_weights()]

    one, several = results(1), results(int(sys.argv[1]))
    assert float(tf.norm(one[0])) > 0.1
    for single, other in zip(one, several):
        difference = np.linalg.norm(np.asarray(single) - np.asarray(other))
        assert difference <= 1e-5 * (1 + np.linalg.norm(single)), (single, other)
    """
)


RATES = textwrap.dedent(
    """
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_ganaccel as ga
    from keras_ganaccel.distribution import learning_rate_of

    spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
    with ga.make_strategy("cpu:2").scope():
        networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        gan.compile()

    def rates():
        optimizers = gan.generator_optimizer, gan.discriminator_optimizer
        return np.array([learning_rate_of(optimizer) for optimizer in optimizers])

    before = rates()
    images = np.random.default_rng(0).random((32, 8, 8, 1), np.float32)
    watchdog = ga.Watchdog(images, np.arange(32) % 2, every=250)
    watchdog.set_model(gan)
    watchdog.on_train_begin()
    watchdog.on_train_batch_end(0, {"generator_loss": np.nan})
    np.testing.assert_allclose(rates(), before / 2, rtol=1e-6)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 3 * rate)
    scheduler.set_model(gan)
    scheduler.on_epoch_begin(0)
    np.testing.assert_allclose(rates(), 1.5 * before, rtol=1e-6)
    """
)


def run(script, *arguments):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", script, *arguments]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3000:]


@pytest.mark.parametrize("replicas", [pytest.param("2", marks=pytest.mark.slow), "4"])
def test_several_replicas_agree_with_one_on_gradients_and_states(replicas):
    run(SCRIPT, replicas)


def test_both_learning_rates_are_read_and_changed_on_several_replicas():
    run(RATES)
