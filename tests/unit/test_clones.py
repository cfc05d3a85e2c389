"""Copies compute what their originals do, also where a layer holds more than weights."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_ganaccel.clones import check_reloadable, clone, give_weights
from keras_ganaccel.errors import InvalidInputError

X = np.random.default_rng(0).normal(5.0, 3.0, (16, 4)).astype(np.float32)


def adapted(**options):
    layer = L.Normalization(**options)
    layer.adapt(X)
    return layer


def test_an_adapted_layer_is_copied_with_what_it_learnt():
    inner = keras.Sequential([keras.Input((4,)), adapted(), L.Dense(3)], name="inner")
    image = keras.Input((4,))
    series = L.TimeDistributed(adapted(axis=None))(L.Reshape((2, 2))(image))
    model = keras.Model(image, [inner(image), series, adapted(invert=True)(image)])
    copy = clone(model)
    for mine, theirs in zip(model(X), copy(X), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    copy.get_layer("inner").layers[0].adapt(X + 100.0)
    assert abs(model(X)[0] - copy(X)[0]).numpy().max() > 1.0  # nothing is shared


def test_given_weights_are_computed_with():
    layer = L.Normalization()
    layer.build((None, 4))
    before = layer(X)
    give_weights(layer, adapted().get_weights())
    np.testing.assert_array_equal(layer(X), adapted()(X))
    assert not np.allclose(before, layer(X))


def test_lambdas_are_shared_and_said_not_to_be_reloadable():
    image = keras.Input((4,))
    double = L.Lambda(lambda x: 2 * x, name="double")
    model = keras.Model(image, L.Dense(3, activation=lambda x: x**2, name="square")(double(image)))
    copy = clone(model)
    np.testing.assert_array_equal(model(X), copy(X))
    assert copy.layers[-1].kernel is not model.layers[-1].kernel
    with pytest.raises(InvalidInputError, match=r"'double' \(Lambda\), which holds a lambda"):
        check_reloadable(model)


class Unregistered(L.Layer):
    def call(self, x):
        return x + 1.0


class WithoutConfig(L.Layer):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def call(self, x):
        return x * self.size


def test_layers_that_cannot_come_back_are_named():
    for layer, name in ((Unregistered(), "unregistered"), (WithoutConfig(3), "without_config")):
        model = keras.Sequential([keras.Input((4,)), L.Dense(2), layer])
        with pytest.raises(InvalidInputError, match=f"'{name}'") as caught:
            check_reloadable(model)
        assert len(str(caught.value)) < 450
    with pytest.raises(InvalidInputError, match="'without_config'"):
        clone(model)
    check_reloadable(keras.Sequential([keras.Input((4,)), adapted(), L.Dense(2, "relu")]))
