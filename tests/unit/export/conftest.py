import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ganaccel.data.spec import DataSpec
from keras_ganaccel.export.tflite import export_tflite

FORMATS = ("float32", "float16", "dynamic_range", "int8", "int16x8")
SPEC = DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0))


def classifier(prefix="", activation=None):
    """A small convolutional classifier; `prefix` changes every layer's name."""
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(12, 3, padding="same", name=f"{prefix}conv")(image)
    x = keras.layers.BatchNormalization(name=f"{prefix}norm")(x)
    x = keras.layers.ReLU(name=f"{prefix}relu")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name=f"{prefix}depth")(x)
    x = keras.layers.Conv2D(24, 1, activation="relu", name=f"{prefix}point")(x)
    x = keras.layers.Flatten(name=f"{prefix}flat")(x)
    outputs = keras.layers.Dense(10, activation=activation, name=f"{prefix}logits")(x)
    return keras.Model(image, outputs, name=f"{prefix}classifier")


@dataclass(frozen=True)
class Digits:
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@pytest.fixture(scope="session")
def digits():
    bunch = load_digits()
    x = (bunch.images / 16).astype(np.float32)[..., None]
    return Digits(x[:1200], bunch.target[:1200], x[1200:], bunch.target[1200:])


@pytest.fixture(scope="session")
def trained(digits):
    keras.utils.set_random_seed(0)
    model = classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(5e-3), loss)
    model.fit(digits.x, digits.y, batch_size=64, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="session")
def files(trained, digits, tmp_path_factory) -> dict[str, Path]:
    """The trained classifier in every TFLite format."""
    folder = tmp_path_factory.mktemp("files")
    return {
        name: export_tflite(
            trained,
            folder / f"{name}.tflite",
            name,
            representative_dataset=digits.x[:200] if name.startswith("int") else None,
            spec=SPEC,
        )
        for name in FORMATS
    }
