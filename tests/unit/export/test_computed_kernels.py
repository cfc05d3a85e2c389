"""Kernels that are computed from constants are constants in the file, where they can be counted."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

import keras_ganaccel as ga
from keras_ganaccel.export.artifact import open_artifact


class Patches(L.Layer):
    """Cuts an image up with a convolution whose kernel is made on every call."""

    def call(self, image):
        patches = keras.ops.image.extract_patches(image, size=4)
        return keras.ops.reshape(patches, (-1, 4, 48))


class Normed(L.Layer):
    """A convolution whose kernel is divided by its norm."""

    def build(self, shape):
        self.direction = self.add_weight(shape=(3, 3, shape[-1], 4), name="direction")

    def call(self, x):
        norm = keras.ops.sqrt(keras.ops.sum(self.direction**2, axis=(0, 1, 2)))
        return keras.ops.conv(x, self.direction / norm)


@pytest.mark.train
@pytest.mark.parametrize("layer", [Patches, Normed])
@pytest.mark.parametrize("form", ["float32", "int8"])
def test_the_file_holds_their_values(layer, form, tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    own = layer()
    model = keras.Model(image, L.Dense(3, name="logits")(L.Flatten()(own(image))))
    x = np.random.default_rng(0).random((32, 8, 8, 3)).astype("float32")
    path = ga.export_tflite(model, tmp_path / "own.tflite", form, representative_dataset=x)
    kernels = ga.inspect_tflite(path).kernels
    (convolution,) = [kernel for kernel in kernels if kernel.operator == "CONV_2D"]
    if layer is Patches:
        # An identity matrix: one value in each of 48 rows.
        assert (convolution.elements, convolution.elements - convolution.zeros) == (48 * 48, 48)
    else:
        assert convolution.shape == (4, 3, 3, 3)
    opened = open_artifact(path)
    expected = np.asarray(model(x))
    apart = np.abs(opened.outputs(opened.samples(x)) - expected).max() / np.abs(expected).max()
    assert apart < (1e-5 if form == "float32" else 0.05)
