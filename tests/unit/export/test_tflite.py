import hashlib
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import keras_ganaccel as ga
from keras_ganaccel.errors import EquivalenceError, InvalidInputError, UnsupportedLayerError
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train

FORMATS = ("float32", "float16", "dynamic_range", "int8", "int16x8")


def renamed(model, suffix):
    def again(layer):
        return type(layer).from_config({**layer.get_config(), "name": layer.name + suffix})

    clone = keras.models.clone_model(model, clone_function=again)
    clone.set_weights(model.get_weights())
    return clone


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def raw_outputs(path, values):
    """Runs the file by hand, one sample at a time, on values of the input's own type."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for value in values:
        interpreter.set_tensor(into["index"], value[None].astype(into["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(out["index"])[0])
    scale, zero_point = out["quantization"]
    rows = np.array(rows, np.float64)
    return (rows - zero_point) * scale if scale else rows


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_computes_what_the_model_computes(name, files, trained, digits):
    expected = trained.predict(digits.x_test, verbose=0)
    artifact = open_artifact(files[name])
    outputs = artifact.outputs(digits.x_test)
    tolerance = {"float32": 1e-4, "float16": 0.05, "dynamic_range": 0.5, "int16x8": 0.5}
    assert np.abs(outputs - expected).max() < tolerance.get(name, 2.0)
    assert np.mean(outputs.argmax(1) == expected.argmax(1)) > 0.98
    facts = artifact.file_facts
    dtype = {"int8": "int8", "int16x8": "int16"}.get(name, "float32")
    assert facts.inputs[0].dtype == facts.outputs[0].dtype == dtype
    assert facts.inputs[0].shape == (1, 8, 8, 1)
    assert facts.signatures == {"serving_default": (("image",), ("logits",))}
    assert facts.custom_operators == ()
    assert facts.metadata.class_names == tuple("0123456789")
    assert facts.metadata.quantization == name
    assert facts.metadata.output == "logits"


def test_the_weights_alone_decide_the_bytes(files, trained, digits, tmp_path):
    other = renamed(trained, "_of_another_name")
    for name, path in files.items():
        again = export_tflite(
            other,
            tmp_path / path.name,
            name,
            representative_dataset=digits.x[:200],
            spec=DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0)),
        )
        assert digest(again) == digest(path), name
    weights = other.get_weights()
    weights[0] = weights[0] * 1.01
    other.set_weights(weights)
    changed = export_tflite(other, tmp_path / "changed.tflite")
    assert digest(changed) != digest(files["float32"])


def test_another_process_writes_the_same_bytes(trained, files, digits, tmp_path):
    renamed(trained, "_z").save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", digits.x[:200])
    program = """
import sys, keras, numpy as np
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.export.tflite import export_tflite
keras.layers.Dense(3)(keras.Input((2,)))
model = keras.saving.load_model("model.keras")
spec = DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0))
for name in sys.argv[1:]:
    export_tflite(model, name + ".tflite", name, representative_dataset=np.load("x.npy"), spec=spec)
"""
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(
        [sys.executable, "-c", program, "float32", "int8"],
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    for name in ("float32", "int8"):
        assert digest(tmp_path / f"{name}.tflite") == digest(files[name])


@pytest.mark.parametrize(
    ("name", "value_range"),
    [
        ("float32", (10.0, 200.0)),
        ("dynamic_range", (0.0, 255.0)),
        ("int8", (0.0, 16.0)),
        ("int8", (0.0, 255.0)),
        ("int8", (10.0, 200.0)),
    ],
)
def test_raw_input_takes_the_pixels_themselves(name, value_range, trained, digits, tmp_path):
    spec = DataSpec(8, 8, 1, tuple("0123456789"), value_range)
    low, high = value_range
    raw = np.rint(digits.x_test[:60] * (high - low) + low).astype(np.uint8)
    unit = (raw.astype(np.float32) - low) / (high - low)
    samples = {"representative_dataset": digits.x[:200], "spec": spec}
    plain = export_tflite(trained, tmp_path / "plain.tflite", name, **samples)
    baked = export_tflite(trained, tmp_path / "raw.tflite", name, raw_input=True, **samples)
    facts = inspect_tflite(baked)
    assert facts.inputs[0].dtype == "uint8"
    expected = open_artifact(plain).outputs(unit)
    by_hand = raw_outputs(baked, raw)
    step = facts.outputs[0].scales[0] if name == "int8" else 1e-3
    assert np.abs(by_hand - expected).max() <= 1.01 * step
    # Our own reader is given what the Keras model takes, and comes to the same pixels.
    np.testing.assert_allclose(open_artifact(baked).outputs(unit), by_hand, atol=1e-4)


def test_the_input_scale_is_exact_even_if_calibration_data_are_dull(trained, digits, tmp_path):
    dull = digits.x[:50] * 0.4 + 0.2
    before = dull.copy()
    path = export_tflite(trained, tmp_path / "m.tflite", "int8", representative_dataset=dull)
    facts = inspect_tflite(path).inputs[0]
    np.testing.assert_allclose(facts.scales, [1 / 255], rtol=1e-6)
    assert facts.zero_points == (-128,)
    np.testing.assert_array_equal(dull, before)


def test_uint8_io_and_one_scale_per_dense_kernel_on_request(trained, digits, tmp_path):
    path = export_tflite(
        trained,
        tmp_path / "m.tflite",
        "int8",
        representative_dataset=digits.x[:100],
        io_dtype="uint8",
        per_tensor_dense=True,
    )
    facts = inspect_tflite(path)
    assert facts.inputs[0].dtype == facts.outputs[0].dtype == "uint8"
    dense = {kernel.per_channel for kernel in facts.kernels if kernel.operator == "FULLY_CONNECTED"}
    convolution = {kernel.per_channel for kernel in facts.kernels if kernel.operator == "CONV_2D"}
    assert dense == {False}
    assert convolution == {True}


def test_a_dynamic_batch_on_request(trained, digits, tmp_path):
    path = export_tflite(trained, tmp_path / "m.tflite", batch_size=None)
    assert inspect_tflite(path).inputs[0].shape == (-1, 8, 8, 1)
    outputs = open_artifact(path).outputs(digits.x_test[:40])
    expected = trained.predict(digits.x_test[:40], verbose=0)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def small_generator():
    latent = keras.Input((6,), name="latent")
    label = keras.Input((), dtype="int32", name="label")
    x = keras.layers.Concatenate()([latent, keras.layers.Embedding(10, 4)(label)])
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(128, activation="relu")(x))
    x = keras.layers.UpSampling2D(interpolation="bilinear")(x)
    x = keras.layers.Conv2DTranspose(4, 3, padding="same", activation="relu")(x)
    outputs = keras.layers.Conv2D(1, 3, padding="same", activation="tanh")(x)
    return keras.Model([latent, label], outputs)


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_a_generator_of_two_inputs(name, tmp_path):
    keras.utils.set_random_seed(1)
    generator = small_generator()
    z = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    labels = (np.arange(50) % 10).astype(np.int32)
    path = export_tflite(generator, tmp_path / "g.tflite", name, representative_dataset=(z, labels))
    artifact = open_artifact(path)
    expected = generator.predict([z, labels], verbose=0)
    assert np.abs(artifact.outputs((z, labels)) - expected).max() < (1e-5, 0.1)[name == "int8"]
    facts = artifact.file_facts
    assert facts.signatures["serving_default"] == (("latent", "label"), ("samples",))
    assert [t.dtype for t in facts.inputs] == ["float32" if name == "float32" else "int8", "int32"]
    assert facts.metadata.output == "samples"


def softmax_with_automatic_names():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3)])
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(3, activation="softmax"))
    return model


def binary():
    image = keras.Input((8, 8, 1), name="photo")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x))


def half_precision():
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16")(image)
    x = keras.layers.Flatten(dtype="mixed_bfloat16")(x)
    return keras.Model(image, keras.layers.Dense(3, dtype="mixed_bfloat16")(x))


def shared_and_nested():
    image = keras.Input((8, 8, 1), name="image")
    inner = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3)])
    both = keras.ops.concatenate([inner(image), inner(image[:, ::-1])], axis=-1)
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(both)))


def recurrent():
    rows = keras.Input((8, 8), name="rows")
    return keras.Model(rows, keras.layers.Dense(3)(keras.layers.LSTM(4)(rows)))


@pytest.mark.parametrize(
    ("build", "names", "kind", "tolerance"),
    [
        (softmax_with_automatic_names, (("input",), ("probabilities",)), "softmax", 1e-5),
        (binary, (("photo",), ("probabilities",)), "binary_probability", 1e-5),
        (half_precision, (("image",), ("logits",)), "logits", 0.05),
        (shared_and_nested, (("image",), ("logits",)), "logits", 1e-5),
        (recurrent, (("rows",), ("logits",)), "logits", 1e-5),
    ],
)
def test_models_of_users(build, names, kind, tolerance, tmp_path):
    keras.utils.set_random_seed(2)
    model = build()
    x = np.random.default_rng(0).random((12, *model.inputs[0].shape[1:])).astype(np.float32)
    weights = [w.copy() for w in model.get_weights()]
    path = export_tflite(model, tmp_path / "m.tflite")
    artifact = open_artifact(path)
    expected = np.asarray(model.predict(x, verbose=0), np.float32)
    assert np.abs(artifact.outputs(x) - expected).max() < tolerance
    assert artifact.file_facts.signatures["serving_default"] == names
    assert artifact.metadata.output == kind
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    keras.utils.set_random_seed(2)
    again = export_tflite(build(), tmp_path / "again.tflite")
    assert digest(again) == digest(path)


class QuantizationAware:
    """Stands in for a compression result: ranges are in the graph, as fake quantization."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.kernel = tf.Variable(rng.normal(size=(64, 3)).astype(np.float32))
        self.tf_keras_model = object()
        self.keras_model = SimpleNamespace(outputs=[SimpleNamespace(shape=(None, 3))])

    def __call__(self, x):
        x = tf.quantization.fake_quant_with_min_max_args(x, 0.0, 1.0)
        kernel = tf.quantization.fake_quant_with_min_max_args(self.kernel, -4, 4, narrow_range=True)
        outputs = tf.reshape(x, (-1, 64)) @ kernel
        return tf.quantization.fake_quant_with_min_max_args(outputs, -40.0, 40.0)

    def concrete_function(self, batch_size=1):
        spec = tf.TensorSpec((batch_size, 8, 8, 1), tf.float32, name="image")
        return tf.function(self.__call__, input_signature=[spec]).get_concrete_function()


@pytest.mark.parametrize("raw_input", [False, True])
def test_trained_ranges_need_no_calibration(raw_input, digits, tmp_path):
    model = QuantizationAware()
    spec = DataSpec(8, 8, 1, ("a", "b", "c"), (0.0, 16.0))
    path = export_tflite(
        model, tmp_path / "m.tflite", "int8", output="logits", spec=spec, raw_input=raw_input
    )
    facts = inspect_tflite(path)
    assert facts.inputs[0].dtype == ("uint8" if raw_input else "int8")
    assert facts.outputs[0].dtype == "int8"
    assert {t.dtype for t in facts.tensors} <= {"int8", "uint8", "int32"}
    outputs = open_artifact(path).outputs(digits.x_test[:30])
    expected = model(tf.constant(digits.x_test[:30])).numpy()
    assert np.abs(outputs - expected).max() < 2 * 80 / 255


def test_nothing_reaches_the_terminal(trained, digits, tmp_path, capfd):
    export_tflite(trained, tmp_path / "m.tflite", "int8", representative_dataset=digits.x[:20])
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization": "int9"}, "Did you mean 'int8'"),
        ({"quantization": "int8"}, "`representative_dataset` is needed"),
        ({"quantization": "float32", "io_dtype": "uint8"}, "Leave it out"),
        ({"quantization": "int8", "io_dtype": "float32"}, "`io_dtype` does not fit"),
        ({"quantization": "int16x8", "raw_input": True}, "int16x8 files cannot"),
        ({"output": "logit"}, "Did you mean 'logits'"),
        ({"raw_input": True, "spec": DataSpec(8, 8, 1, ("a",), (-1.0, 1.0))}, "must lie in"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message, trained, digits, tmp_path):
    if "io_dtype" in arguments or "raw_input" in arguments:
        arguments = {**arguments, "representative_dataset": digits.x[:5]}
    with pytest.raises(InvalidInputError, match=message):
        export_tflite(trained, tmp_path / "m.tflite", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_named(digits, tmp_path):
    with pytest.raises(UnsupportedLayerError, match="recurrent layer"):
        export_tflite(
            recurrent(), tmp_path / "m.tflite", "int8", representative_dataset=digits.x[:5, ..., 0]
        )
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model(image, keras.layers.Flatten()(keras.ops.erfinv(image)))
    with pytest.raises(UnsupportedLayerError, match="Erfinv"):
        export_tflite(model, tmp_path / "m.tflite")
    open_size = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.GlobalAveragePooling2D()]
    )
    with pytest.raises(InvalidInputError, match="Pass `spec`"):
        export_tflite(open_size, tmp_path / "m.tflite")
    assert list(tmp_path.iterdir()) == []
    path = export_tflite(open_size, tmp_path / "m.tflite", spec=DataSpec(5, 4, 1, ("a",)))
    assert inspect_tflite(path).inputs[0].shape == (1, 5, 4, 1)


@pytest.fixture
def drowned():
    """A model whose hidden range a few samples rule, and samples; int8 leaves the others one step.

    The last feature, which one sample in sixteen has, puts 3,000 into a layer that holds values
    around one, and counts for nothing after it.
    """
    x = np.random.default_rng(0).normal(size=(128, 6)).astype("float32")
    x[:, -1] = np.arange(128) % 16 == 7
    layers = [keras.layers.Dense(6), keras.layers.Dense(3), keras.layers.Softmax()]
    model = keras.Sequential([keras.Input((6,)), *layers])
    hidden = np.diag([1.0, 1.0, 1.0, 1.0, 1.0, 3000.0])
    outputs = 3.0 * np.random.default_rng(1).normal(size=(6, 3))
    outputs[-1] = 0.0
    model.set_weights([hidden, np.zeros(6), outputs, np.zeros(3)])
    return model, x


def test_a_file_that_quantization_ruins_is_refused_before_it_is_delivered(drowned, tmp_path):
    model, x = drowned
    path = tmp_path / "m.tflite"
    message = r"int8 file does not compute .*explains.* of 64 calibration samples.*'dynamic_range'"
    for made in model, ga.compress(model, (x, np.zeros(len(x), int)), technique="ptq"):
        with pytest.raises(EquivalenceError, match=message):
            export_tflite(made, path, "int8", representative_dataset=x)
    assert list(tmp_path.iterdir()) == []
    common = x * [1, 1, 1, 1, 1, 0]
    export_tflite(model, path, "int8", representative_dataset=common.astype("float32"))
    export_tflite(model, path, "dynamic_range")
    opened = open_artifact(path)
    np.testing.assert_allclose(opened.outputs(opened.samples(x)), model(x), atol=0.02)


def test_every_output_of_a_file_is_held_against_the_model(drowned, tmp_path):
    model, x = drowned
    raw = keras.layers.Dense(2)(model.inputs[0])
    path = tmp_path / "m.tflite"
    several = keras.Model(model.inputs, [raw, model.outputs[0]])
    with pytest.raises(EquivalenceError, match="int8 file does not compute"):
        export_tflite(several, path, "int8", representative_dataset=x)
    fine = keras.Model(model.inputs, [raw, keras.layers.Dense(3)(model.inputs[0])])
    assert export_tflite(fine, path, "int8", representative_dataset=x).is_file()
