"""Quantization-aware training: calibrated ranges, kept zeros, and the very int8 file."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers as L  # noqa: N812

from keras_ganaccel.compression.bridge import to_tf_keras
from keras_ganaccel.compression.compress import compress
from keras_ganaccel.compression.prepare import prepare
from keras_ganaccel.compression.preserve import _groups, preserved
from keras_ganaccel.compression.quantize import output_ranges, quantization_rules, quantize

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def aware(trained, digits):
    return compress(trained, digits[0], technique="pqat", sparsity=0.6, steps=60, seed=1)


@pytest.fixture(scope="module")
def file(aware):
    return int8_file(aware)


def int8_file(compressed):
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [compressed.concrete_function()], compressed.tf_keras_model
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def run(content, images):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["dtype"] == target["dtype"] == np.int8
    scale, zero = source["quantization"]
    rows = []
    for image in images:
        value = np.clip(np.round(image[None] / scale + zero), -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"])[0].astype(np.float32))
    scale, zero = target["quantization"]
    return (np.array(rows) - zero) * scale, interpreter


def test_int8_file_computes_what_training_simulated(aware, file, digits):
    images = digits[1][0][:100]
    received, interpreter = run(file, images)
    expected = aware.tf_keras_model(images, training=False).numpy()
    assert (received.argmax(-1) == expected.argmax(-1)).mean() >= 0.98
    assert np.abs(received - expected).max() < 0.06 * np.abs(expected).max()
    assert aware.promises["int8"] is True
    names = {op["op_name"] for op in interpreter._get_ops_details()}
    assert not names & {"DEQUANTIZE", "QUANTIZE"}
    kernels = [
        interpreter.get_tensor(t["index"])
        for t in interpreter.get_tensor_details()
        if t["dtype"] == np.int8 and len(t["shape"]) > 1 and _is_kernel(t)
    ]
    zeros = sum((k == 0).sum() for k in kernels) / sum(k.size for k in kernels)
    assert zeros >= aware.promises["sparsity"] - 1e-6 >= 0.6 - 2e-6


def _is_kernel(details):
    return len(details["quantization_parameters"]["scales"]) > 1


def test_equal_weights_give_equal_files(aware, file):
    assert int8_file(aware) == file


def test_float_model_carries_the_trained_weights(aware, digits, accuracy):
    images = digits[1][0]
    float_answers = aware.keras_model(images, training=False).numpy().argmax(-1)
    int_answers = aware.tf_keras_model(images, training=False).numpy().argmax(-1)
    assert (float_answers == int_answers).mean() > 0.97
    assert accuracy(aware.tf_keras_model) > 0.9


def test_ranges_start_from_calibration(trained, digits, tuner):
    prepared = prepare(trained)
    twin = to_tf_keras(prepared.model)
    names = [n for n, rule in quantization_rules(twin).items() if rule.output]
    images = digits[0][0][:128]
    ranges = output_ranges(prepared.model, names, [images])
    probe = keras.Model(prepared.model.inputs, prepared.model.get_layer(names[1]).output)
    values = probe(images, training=False).numpy().reshape(2, -1)
    assert ranges[names[1]] == pytest.approx((0.0, values.max(axis=1).mean()), rel=1e-5)
    calibrated = quantize(trained, tuner, images, steps=0)
    answers = calibrated.tf_keras_model(images, training=False).numpy().argmax(-1)
    assert (answers == trained(images, training=False).numpy().argmax(-1)).mean() > 0.96


def test_concatenated_and_rectified_sums_have_no_range_of_their_own():
    image = keras.Input((4, 4, 2), name="image")
    a, b = L.Conv2D(2, 1)(image), L.Conv2D(2, 1)(image)
    x = L.Concatenate()([a, b])
    model = prepare(keras.Model(image, L.ReLU()(L.Add()([x, x + 1.0])))).model
    rules = quantization_rules(to_tf_keras(model))
    output = {name.rsplit("_", 1)[0]: rule.output for name, rule in rules.items()}
    assert output["conv2d"] is False
    assert output["concatenate"] is True
    assert [r.output for n, r in rules.items() if n.startswith("add")][-1] is False


def test_unknown_layers_stay_in_float_and_promise_nothing(digits):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), L.Reshape((8, 8)), L.LSTM(4, name="lstm"), L.Dense(10)]
    )
    made = compress(model, digits[0], technique="qat", steps=1)
    assert made.promises["int8"] is False
    row = next(row for row in made.report if row["layer"] == "lstm")
    assert row["quantize"] == "stays float32: LSTM has no quantization rule"


def test_clusters_are_numbered_in_spite_of_rounding():
    values = np.array([0.5, 0.5 + 1e-7, -1.0, 0.0, 0.5 - 1e-7])
    np.testing.assert_array_equal(_groups(values), [2, 2, 0, 1, 2])


def test_constraints_restore_zeros_and_clusters(trained):
    prepared = prepare(trained)
    layer = next(x for x in prepared.model.layers if prepared.origins.get(x.name) is not None
                 and prepared.origins[x.name].source == "conv")  # fmt: skip
    kernel = np.sign(layer.kernel.numpy()) * (np.abs(layer.kernel.numpy()) > 0.05)
    layer.kernel.assign(kernel)
    kept = preserved(prepared, zeros=frozenset(["conv"]), clusters=frozenset(["conv"]))
    variable = tf.Variable(kernel + np.random.default_rng(0).normal(size=kernel.shape, scale=0.1),
                           dtype=tf.float32)  # fmt: skip
    moved = variable.numpy()
    (apply,) = kept.constraints({id(layer.kernel): variable})
    apply()
    assert ((variable.numpy() == 0) == (kernel == 0)).all()
    for value in (-1, 1):
        expected = moved[kernel == value].mean()
        np.testing.assert_allclose(variable.numpy()[kernel == value], expected, rtol=1e-5)


def test_ranges_follow_a_model_that_still_learns(digits, accuracy):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu", kernel_initializer="glorot_uniform"),
        keras.layers.Dense(10, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3)),
    ])  # fmt: skip
    made = compress(model, digits[0], technique="qat", steps=100, learning_rate=1e-2)
    # The logits start within a hundredth of zero: a range that stayed there would cut them all off.
    assert accuracy(made.tf_keras_model) > 0.85
