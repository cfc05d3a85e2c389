import keras
import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.initial_weights import reinitialize


def _model():
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, kernel_initializer="he_normal")], name="inner"
    )
    fixed = keras.initializers.GlorotUniform(seed=7)
    return keras.Sequential(
        [
            keras.Input((4,)),
            inner,
            keras.layers.BatchNormalization(),
            keras.layers.Dense(300, kernel_initializer=fixed, bias_initializer="ones"),
        ]
    )


def test_every_seed_gives_weights_of_its_own_nested_and_seeded_layers_too():
    model = _model()
    drawn = {}
    for seed in (1, 2):
        reinitialize(model, seed)
        drawn[seed] = model.get_weights()
    reinitialize(model, 1)
    for first, second, again in zip(drawn[1], drawn[2], model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, again)
        assert np.array_equal(first, second) == (first.ndim == 1)  # biases and statistics


def test_weights_follow_the_initializers():
    model = _model()
    model.set_weights([np.full_like(weight, 9.0) for weight in model.get_weights()])
    reinitialize(model, 0)
    *_, kernel, bias = model.get_weights()
    limit = np.sqrt(6 / (5 + 300))
    assert np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)
    assert np.all(bias == 1)


@pytest.mark.parametrize("said", ["no configuration", ""])
def test_a_model_without_configuration_is_refused(said):
    class Opaque(keras.Model):
        def __init__(self, width):
            super().__init__(name="opaque")
            self.dense = keras.layers.Dense(width)
            self.shape_of_inputs = object()

        def call(self, inputs):
            return self.dense(inputs)

        def get_config(self):
            raise NotImplementedError(said)

    model = Opaque(3)
    model(np.zeros((1, 2)))
    with pytest.raises(InvalidInputError, match="opaque"):
        reinitialize(model, 0)
