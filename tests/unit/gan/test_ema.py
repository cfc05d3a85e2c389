import keras
import numpy as np
import pytest

from keras_ganaccel.gan.ema import average_decay, averaging_copy, update_average
from keras_ganaccel.gan.networks import build_generator
from keras_ganaccel.modality.image.spec import DataSpec


def test_a_weight_counts_half_after_the_half_life():
    decay = 1.0
    for seen in range(10_100, 10_100 + 1000, 100):
        decay *= float(average_decay(1000, 1.0, seen, 100))
    assert decay == pytest.approx(0.5, rel=1e-5)


def test_the_half_life_warms_up_with_the_samples():
    assert float(average_decay(1000, 0.05, 2000, 100)) == pytest.approx(0.5)
    assert float(average_decay(1000, 0.05, 10**9, 1000)) == pytest.approx(0.5)


@pytest.mark.parametrize(("half_life", "warm_up"), [(0, 0.05), (1000, 0.0)])
def test_no_half_life_is_no_averaging(half_life, warm_up):
    assert float(average_decay(half_life, warm_up, 64, 64)) == 0.0


def test_weights_and_batch_statistics_are_averaged():
    generator = build_generator(DataSpec(8, 8, 1, ("a",)), 4, architecture="subpixel", width=4)
    average = averaging_copy(generator)
    old = [value.copy() for value in average.get_weights()]
    generator.set_weights([value + 1.0 for value in old])
    update_average(average, generator, 0.75)
    assert any("moving_variance" in variable.path for variable in average.variables)
    for before, after in zip(old, average.get_weights(), strict=True):
        np.testing.assert_allclose(after, before + 0.25, rtol=1e-5, atol=1e-6)


def test_counters_are_copied():
    inputs = keras.Input((2,), name="x")
    model = keras.Model(inputs, keras.layers.Dropout(0.5, seed=1, name="drop")(inputs))
    average = averaging_copy(model)
    model(np.ones((1, 2)), training=True)
    update_average(average, model, 0.9)
    np.testing.assert_array_equal(average.variables[0].numpy(), model.variables[0].numpy())


@pytest.mark.bfloat16
def test_the_average_computes_in_float32():
    generator = build_generator(DataSpec(8, 8, 1, ("a",)), 4, width=4, dtype="mixed_bfloat16")
    average = averaging_copy(generator)
    assert {layer.compute_dtype for layer in average.layers if layer.weights} == {"float32"}
    latents, labels = np.ones((2, 4), "float32"), np.zeros(2, "int32")
    exact, rough = average([latents, labels]).numpy(), generator([latents, labels]).numpy()
    np.testing.assert_allclose(exact, rough, atol=0.05)
