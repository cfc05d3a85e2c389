import keras
import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input

from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.applications import (
    _BACKBONES,
    _preprocessed,
    _take_rgb,
    application_names,
)
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train


def test_every_name_exists_in_keras():
    assert all(callable(getattr(keras.applications, name)) for name in application_names())


def _preprocess(wanted, x):
    image = keras.Input((4, 4, 3))
    return keras.Model(image, _preprocessed(image, wanted)).predict(x, verbose=0)


@pytest.mark.parametrize(
    ("wanted", "mode"), [("signed", "tf"), ("torch", "torch"), ("caffe", "caffe")]
)
def test_preprocessing_is_that_of_keras_applications(wanted, mode):
    x = np.random.default_rng(0).random((2, 4, 4, 3)).astype("float32")
    expected = preprocess_input(255.0 * x, mode=mode, data_format="channels_last")
    if mode == "caffe":
        # Ours stays RGB, and the first kernel is turned instead.
        expected = expected[..., ::-1]
    np.testing.assert_allclose(_preprocess(wanted, x), expected, rtol=1e-4, atol=1e-4)


def test_a_turned_first_kernel_reads_rgb_as_the_old_one_read_bgr():
    rgb = np.random.default_rng(0).random((2, 6, 6, 3)).astype("float32")
    model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3)])
    expected = model.predict(rgb[..., ::-1], verbose=0)
    _take_rgb(model)
    np.testing.assert_allclose(model.predict(rgb, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_small_grey_images_are_enlarged_and_coloured():
    spec = DataSpec(8, 8, 1, ("a", "b", "c"))
    model = build_classifier(spec, "mobilenetv3small", seed=0)
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    assert model(x).shape == (2, 3)
    assert model.get_layer("enlarge").output.shape[1:3] == (32, 32)
    again = build_classifier(spec, "MobileNetV3Small", seed=0)
    np.testing.assert_array_equal(model(x), again(x))


def test_weights_that_cannot_be_loaded_are_named():
    with pytest.raises(InvalidInputError, match="no_such_file"):
        build_classifier(DataSpec(32, 32, 3, ("a", "b")), "MobileNetV2", weights="no_such_file.h5")


def test_smallest_sides_are_those_that_keras_accepts():
    for name in ("Xception", "InceptionV3"):
        smallest = _BACKBONES[name][0]
        with pytest.raises(ValueError, match="at least"):
            getattr(keras.applications, name)(
                include_top=False, weights=None, input_shape=(smallest - 1, smallest - 1, 3)
            )


@pytest.mark.slow
@pytest.mark.parametrize("side", [32, 224])
def test_resnet50_trains(side):
    x = np.random.default_rng(0).random((4, side, side, 3)).astype("float32")
    y = np.array([0, 1, 0, 1])
    model = build_classifier(DataSpec(side, side, 3, ("a", "b")), "ResNet50")
    history = train_classifier(model, (x, y), steps=3, batch_size=4, learning_rate=1e-3)
    assert np.isfinite(history.history["loss"][0])
