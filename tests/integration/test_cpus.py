"""The same figures on every CPU: with oneDNN's kernels, without them, and without AVX-512."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.train

# What TensorFlow's graph optimizer may fuse differs between them; the result may not.
CPUS = {
    "oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "AVX2": {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"},
}

SCRIPT = """
import json, os, keras, numpy as np, tensorflow as tf
import keras_ganaccel as ga
from keras_ganaccel.modality.image.layers import DirectConv2D
from keras_ganaccel.modality.image.spectral import SpectralConv2D

x = np.random.default_rng(0).normal(size=(4, 8, 8, 16)).astype("float32")
figures = {}
activations = {
    "linear": keras.layers.Activation("linear"), "relu": keras.layers.ReLU(),
    "relu6": keras.layers.ReLU(6), "elu": keras.layers.ELU(),
    "leaky_relu": keras.layers.LeakyReLU(0.2), "norm": keras.layers.BatchNormalization(),
}
for layer in (DirectConv2D, SpectralConv2D, keras.layers.Conv2D, keras.layers.SeparableConv2D):
    groups = {} if layer is keras.layers.SeparableConv2D else {"groups": 4}
    for name, activation in activations.items():
        keras.utils.set_random_seed(0)
        conv = layer(16, 3, padding="same", bias_initializer="ones", **groups)
        model = keras.Sequential([keras.Input((8, 8, 16)), conv, activation])
        forward = tf.function(lambda x: model(x, training=False), autograph=False)
        figures[f"{layer.__name__} {name}"] = forward(x).numpy().ravel()[:64].tolist()

data = ga.load_data("digits", labels_per_class=4)
images, labels = data.arrays("train")
gan = ga.ConditionalGAN(
    ga.build_generator(data.spec, 8, width=8), ga.build_discriminator(data.spec, width=8), 8, 10
)
gan.compile()
history = ga.train_gan(gan, images, labels, steps=2, batch_size=8)
figures["gan"] = [history.history["discriminator_loss"][-1]]
figures["generated"] = np.ravel(gan.generate([3], seed=0)).tolist()
print(json.dumps(figures))
"""


def figures_on(cpu):
    environment = {k: v for k, v in os.environ.items() if k not in CPUS["AVX2"]}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**environment, **CPUS[cpu]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def usual():
    return figures_on("oneDNN")


@pytest.mark.parametrize("cpu", ["no oneDNN", "AVX2"])
def test_grouped_convolutions_and_a_gan_give_the_same_on_every_cpu(cpu, usual):
    found = figures_on(cpu)
    assert found.keys() == usual.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, usual[name], atol=2e-3, err_msg=f"{cpu}: {name}")
