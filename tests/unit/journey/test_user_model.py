"""A model that a run could begin with, but not end, is refused before anything is trained."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L  # noqa: N812

from keras_ganaccel.config import preset, with_values
from keras_ganaccel.errors import InvalidInputError, UnsupportedLayerError
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.journey.progress import Silent
from keras_ganaccel.journey.user_model import check_student
from keras_ganaccel.modality.image.spec import DataSpec

CONFIG = preset("quick")


def classifier(*first, dtype="float32", **last):
    image = keras.Input((8, 8, 1), dtype=dtype)
    return keras.Sequential([image, *first, L.Flatten(), L.Dense(10, name="last", **last)])


def frozen():
    model = classifier()
    model.trainable = False
    return model


def broken():
    model = classifier()
    model.set_weights([np.full(w.shape, np.inf) for w in model.get_weights()])
    return model


def of_any_size():
    image = keras.Input((None, None, 1))
    return keras.Sequential([image, L.Conv2D(4, 3), L.GlobalAveragePooling2D(), L.Dense(10)])


class Own(L.Layer):
    def call(self, x):
        return 1.5 * x


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (frozen, "something to train. Received: .* all frozen"),
        (of_any_size, r"one size.*\(None, None, 1\)"),
        (broken, "finite numbers. Received: NaN or infinity in '.*kernel'"),
        (lambda: classifier(L.Lambda(lambda x: 2 * x)), r"'lambda\w*' \(Lambda\), which holds"),
        (lambda: classifier(activation=lambda x: x), r"'last' \(Dense\), which holds a lambda"),
        (lambda: classifier(Own()), r"'own\w*' \(Own\), Could not locate class"),
        (lambda: classifier(L.Rescaling(1.0), dtype="uint8"), "floats.*an input of uint8"),
    ],
    ids=["frozen", "any size", "broken", "lambda layer", "lambda", "own layer", "whole numbers"],
)
def test_it_is_told_in_one_line(make, message, tmp_path):
    x = np.random.default_rng(0).integers(0, 17, (200, 8, 8))
    with pytest.raises(InvalidInputError, match=message):
        accelerate(make(), (x, np.arange(200) % 10), CONFIG, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_compressed_is_told_too():
    trusting = with_values(CONFIG, {"model.allow_unsafe": True})
    with pytest.raises(UnsupportedLayerError, match=r"'pqat' .*'twice' \(Lambda\)"):
        check_student(classifier(L.Lambda(lambda x: 2 * x, name="twice")), trusting)


def test_new_weights_make_up_for_broken_ones():
    check_student(broken(), with_values(CONFIG, {"model.reinitialize": True}))


@pytest.mark.parametrize("reinitialize", [False, True])
def test_students_start_from_what_the_users_layers_were_adapted_to(reinitialize, tmp_path):
    x = np.random.default_rng(0).normal(5.0, 3.0, (64, 8, 8, 1)).astype(np.float32)
    scaled = L.Normalization()
    scaled.adapt(x)
    model = classifier(scaled)
    config = with_values(CONFIG, {"model.reinitialize": reinitialize})
    data = SimpleNamespace(spec=DataSpec(8, 8, 1, tuple("0123456789")))
    run, strategy = SimpleNamespace(config=config), tf.distribute.get_strategy()
    student, _ = Journey(run, data, strategy, Silent(), model).new_student()
    np.testing.assert_array_equal(student.layers[0](x), scaled(x))
    student.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(loaded.layers[0](x), scaled(x))
    same = np.array_equal(student.layers[-1].kernel, model.layers[-1].kernel)
    assert same is not reinitialize
