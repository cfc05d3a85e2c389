import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.kernels import stored_values
from keras_ganaccel.export.tflite import export_tflite

pytestmark = pytest.mark.train


def one_layer(layer, shape):
    image = keras.Input(shape, name="image")
    return keras.Model(image, layer(image))


def exported(model, tmp_path, name="float32"):
    samples = np.random.default_rng(0).normal(size=(20, *model.inputs[0].shape[1:]))
    return export_tflite(
        model, tmp_path / "m.tflite", name, representative_dataset=samples.astype(np.float32)
    )


def planted(shape, rng):
    """Values of few kinds, a known part of them zero, both extremes in every output channel."""
    values = rng.integers(-3, 4, size=shape).astype(np.float32)
    values[..., 0, :] = 3
    return values


@pytest.mark.parametrize("name", ["float32", "float16", "int8"])
def test_zeros_and_distinct_values_are_those_that_were_planted(name, tmp_path):
    rng = np.random.default_rng(0)
    model = one_layer(keras.layers.Conv2D(6, 3, padding="same"), (8, 8, 4))
    kernel = planted((3, 3, 4, 6), rng)
    model.set_weights([kernel, rng.normal(size=6).astype(np.float32)])
    facts = inspect_tflite(exported(model, tmp_path, name))
    (found,) = facts.kernels
    assert found.dtype == name
    assert found.elements == kernel.size
    assert found.zeros == np.sum(kernel == 0)
    assert facts.sparsity == pytest.approx(np.mean(kernel == 0))
    per_channel = max(len(np.unique(kernel[..., channel])) for channel in range(6))
    assert found.distinct == (per_channel if name == "int8" else len(np.unique(kernel)))
    assert found.per_channel == (name == "int8")


def test_distinct_values_count_per_channel_only_where_scales_do(tmp_path):
    # Two values per output channel, another two in each: 2 per channel, 12 in the tensor.
    kernel = np.zeros((1, 1, 8, 6), np.float32)
    for channel in range(6):
        kernel[0, 0, :, channel] = np.where(np.arange(8) % 2, 1 + channel, -0.3 * (1 + channel))
    model = one_layer(keras.layers.Conv2D(6, 1, use_bias=False), (4, 4, 8))
    model.set_weights([kernel])
    (found,) = inspect_tflite(exported(model, tmp_path, "int8")).kernels
    assert found.distinct == 2
    (found,) = inspect_tflite(exported(model, tmp_path)).kernels
    assert found.distinct == 12


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "parameters"),
    [
        (keras.layers.Conv2D(6, 3, strides=2, padding="same"), (8, 8, 4), 16 * 6 * 36, 36 * 6 + 6),
        (keras.layers.Conv2D(6, 3, groups=2), (8, 8, 4), 36 * 6 * 18, 18 * 6 + 6),
        (keras.layers.DepthwiseConv2D((3, 2), padding="same"), (8, 8, 4), 64 * 4 * 6, 24 + 4),
        (keras.layers.Dense(5), (7,), 35, 40),
        (
            keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same"),
            (5, 5, 2),
            25 * 2 * 16 * 3,
            96 + 3,
        ),
    ],
)
def test_costs_in_closed_form(layer, shape, macs, parameters, tmp_path):
    keras.utils.set_random_seed(0)
    model = one_layer(layer, shape)
    model.set_weights([w + 0.1 for w in model.get_weights()])
    for name in ("float32", "int8"):
        facts = inspect_tflite(exported(model, tmp_path, name))
        assert facts.macs == macs
        assert facts.parameters == parameters


def test_four_bit_values_are_unpacked():
    tensor = schema.TensorT()
    tensor.type, tensor.shape, tensor.buffer = schema.TensorType.INT4, [3], 0
    buffer = schema.BufferT()
    buffer.data = np.array([0x8F, 0x07], np.uint8)
    model = schema.ModelT()
    model.buffers = [buffer]
    assert stored_values(model, tensor).tolist() == [-1, -8, 7]


def test_the_interpreter_agrees_on_what_is_stored(files):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(files["int8"]))
    interpreter.allocate_tensors()
    by_name = {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["name"].endswith("/kernel")
    }
    facts = {kernel.name: kernel for kernel in inspect_tflite(files["int8"]).kernels}
    assert set(facts) == set(by_name)
    for name, values in by_name.items():
        assert facts[name].shape == values.shape
        assert facts[name].zeros == np.sum(values == 0)
