"""A small trained classifier and its data, made once."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812
from sklearn.datasets import load_digits

from keras_ganaccel.compression.finetune import FineTuner, training_stream
from keras_ganaccel.data.inputs import ModelInputs


def small_cnn():
    image = keras.Input((8, 8, 1), name="image")
    x = L.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(image)
    x = L.ReLU(name="stem_relu")(L.BatchNormalization(momentum=0.9, name="stem_norm")(x))
    y = L.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = L.BatchNormalization(momentum=0.9, name="depthwise_norm")(y)
    y = L.Conv2D(16, 1, name="pointwise")(L.ReLU(name="depthwise_relu")(y))
    x = L.ReLU(name="sum_relu")(L.Add(name="sum")([x, y]))
    x = L.MaxPooling2D(name="pool")(x)
    x = L.Conv2D(24, 3, activation="relu", name="conv")(x)
    x = L.Dropout(0.1, name="dropout")(L.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(image, L.Dense(10, name="logits")(x), name="small_cnn")


@pytest.fixture(scope="session")
def digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype("float32").reshape(-1, 8, 8, 1)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1200], order[1200:]
    return (x[train], y[train]), (x[test], y[test])


@pytest.fixture(scope="session")
def trained(digits):
    keras.utils.set_random_seed(0)
    model = small_cnn()
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(*digits[0], batch_size=100, epochs=15, verbose=0)
    return model


@pytest.fixture
def tuner(digits):
    inputs = ModelInputs(("image",), ((8, 8, 1),), ("float32",))
    stream, distil = training_stream(
        digits[0], None, classes=10, batch_size=64, seed=0, inputs=inputs
    )
    return FineTuner(stream, "logits", 10, distil)


@pytest.fixture(scope="session")
def accuracy(digits):
    x, y = digits[1]

    def measure(model):
        return float((np.argmax(model(x, training=False), -1) == y).mean())

    return measure
