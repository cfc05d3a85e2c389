import json
import shutil

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from sklearn import metrics

from keras_ganaccel.errors import (
    GanAccelError,
    InvalidInputError,
    MissingFileError,
    VerificationError,
)
from keras_ganaccel.export import flatbuffer
from keras_ganaccel.export.manifest import check_manifest, write_manifest
from keras_ganaccel.export.saved_model import export_saved_model
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.tflite_schema import constant
from keras_ganaccel.export.verify import verify
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train

SPEC = DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0))
STAGE_KEYS = [
    "name", "file", "format", "accuracy", "ci95", "balanced_accuracy", "macro_f1", "agreement",
    "bytes", "gzip_bytes", "parameters", "sparsity", "latency_ms", "dtype_in", "dtype_out", "input",
    "log_loss", "calibration_error", "auc", "robust",
]  # fmt: skip


def with_kernels(model, change):
    """A copy of a model whose convolution and dense kernels went through `change`."""
    clone = keras.models.clone_model(model)
    clone.set_weights([w if w.ndim < 2 else change(w) for w in model.get_weights()])
    return clone


def pruned(kernel, share=0.8):
    flat = kernel.ravel().copy()
    flat[np.argsort(np.abs(flat))[: round(share * flat.size)]] = 0
    return flat.reshape(kernel.shape)


def clustered(kernel, clusters=16):
    steps = np.linspace(-1, 1, clusters) * np.abs(kernel).max()
    return steps[np.abs(kernel[..., None] - steps).argmin(-1)].astype(np.float32)


def calibrated(model, path, x, **arguments):
    return export_tflite(model, path, "int8", representative_dataset=x, spec=SPEC, **arguments)


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_the_figures_of_a_file(name, files, trained, digits):
    found = verify(files[name], (digits.x_test, digits.y_test), reference=trained, spec=SPEC)
    expected = trained.predict(digits.x_test, verbose=0)
    stage = found.stage("student_" + name, file=f"artifacts/{name}.tflite", format=name)
    assert list(stage) == STAGE_KEYS
    json.dumps(found.as_dict(), allow_nan=False)
    predicted_right = stage["accuracy"] * len(digits.y_test)
    assert predicted_right == pytest.approx(round(predicted_right))
    keras_accuracy = np.mean(expected.argmax(1) == digits.y_test)
    assert found.reference_accuracy == pytest.approx(keras_accuracy)
    assert abs(found.accuracy - keras_accuracy) <= (0.0 if name == "float32" else 0.02)
    assert stage["ci95"][0] < stage["accuracy"] < stage["ci95"][1]
    assert stage["agreement"] >= (1.0 if name == "float32" else 0.98)
    assert found.max_difference < (1e-4 if name == "float32" else 2.0)
    assert stage["bytes"] == files[name].stat().st_size > stage["gzip_bytes"] > 0
    assert stage["input"] == {"shape": [1, 8, 8, 1], "scale": 1 / 16, "offset": 0.0}
    assert stage["dtype_in"] == stage["dtype_out"] == name
    latency = stage["latency_ms"]
    assert 0 < latency["p10"] <= latency["median"] <= latency["p90"]
    assert latency["threads"] == 1
    assert found.macs == 64 * 9 * 12 + 16 * 9 * 12 + 16 * 12 * 24 + 384 * 10


def test_scores_agree_with_scikit_learn(files, trained, digits):
    found = verify(files["float32"], (digits.x_test, digits.y_test), latency_repeats=0)
    predicted = trained.predict(digits.x_test, verbose=0).argmax(1)
    truth = digits.y_test
    np.testing.assert_array_equal(
        found.confusion_matrix, metrics.confusion_matrix(truth, predicted)
    )
    assert found.scores.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(truth, predicted)
    )
    assert found.scores.macro_f1 == pytest.approx(
        metrics.f1_score(truth, predicted, average="macro")
    )
    np.testing.assert_allclose(
        found.scores.recall, metrics.recall_score(truth, predicted, average=None)
    )
    assert found.stage("x")["latency_ms"] is None
    assert found.agreement is None


def test_a_keras_file_and_a_saved_model_give_the_same_figures(trained, digits, tmp_path):
    trained.save(tmp_path / "student.keras")
    export_saved_model(trained, tmp_path / "student_saved_model", spec=SPEC)
    data = (digits.x_test, digits.y_test)
    kernels = [w for w in trained.weights if w.path.endswith("kernel")]
    for name, form in [("student.keras", "keras"), ("student_saved_model", "saved_model")]:
        found = verify(tmp_path / name, data, reference=trained, spec=SPEC, latency_repeats=3)
        assert found.agreement == 1.0
        assert found.max_difference < 1e-5
        stage = found.stage("student")
        assert (stage["file"], stage["format"]) == (name, form)
        assert stage["parameters"] == trained.count_params()
        assert stage["input"]["scale"] == 1 / 16
        assert len(found.kernels) == len(kernels)
        assert found.macs is None
        assert 0 < stage["gzip_bytes"] < stage["bytes"]


def test_a_file_that_takes_raw_pixels_has_the_same_accuracy(trained, digits, files, tmp_path):
    raw = calibrated(trained, tmp_path / "raw.tflite", digits.x[:200], raw_input=True)
    data = (digits.x_test, digits.y_test)
    found = verify(raw, data, latency_repeats=0)
    plain = verify(files["int8"], data, latency_repeats=0)
    assert abs(found.accuracy - plain.accuracy) <= 0.005
    assert found.dtype_in == "uint8"
    # float input = raw * scale + offset, quantized by the tensor's own parameters, is raw again.
    assert found.input["scale"] == pytest.approx(1 / 16)
    assert found.input["offset"] == 0.0


def test_references_of_every_form(files, trained, digits):
    data = (digits.x_test, digits.y_test)
    logits = trained.predict(digits.x_test, verbose=0).astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    by_probabilities = verify(files["float32"], data, reference=chances, latency_repeats=0)
    assert by_probabilities.agreement == 1.0
    assert by_probabilities.max_difference < 1e-4
    wrong = (logits.argmax(1) + (np.arange(len(logits)) < 60)) % 10
    by_labels = verify(files["float32"], data, reference=wrong, latency_repeats=0)
    assert by_labels.agreement == pytest.approx(1 - 60 / len(logits))
    assert by_labels.max_difference is None
    # Row by row: the reference was made wrong on 60 rows, and can be right on few of them.
    paired = by_labels.against_reference
    assert paired.difference == pytest.approx(by_labels.accuracy - by_labels.reference_accuracy)
    assert paired.only_first >= 50
    assert paired.certain
    assert by_probabilities.against_reference.difference == 0
    assert not by_probabilities.against_reference.certain
    with pytest.raises(InvalidInputError, match="`reference` must be"):
        verify(files["float32"], data, reference=wrong[:5], latency_repeats=0)


def test_promises_that_are_kept(trained, digits, tmp_path):
    data = (digits.x_test, digits.y_test)
    sparse = calibrated(with_kernels(trained, pruned), tmp_path / "s.tflite", digits.x[:100])
    found = verify(sparse, data, promises={"sparsity": 0.8, "int8": True}, latency_repeats=0)
    assert found.sparsity >= 0.8 - 0.005
    few = calibrated(with_kernels(trained, clustered), tmp_path / "c.tflite", digits.x[:100])
    found = verify(few, data, promises={"number_of_clusters": 16}, latency_repeats=0)
    assert max(k.distinct for k in found.kernels if not k.is_depthwise) <= 16
    # A float file folds the batch norm into the kernel: many values, but few in each channel.
    folded = export_tflite(with_kernels(trained, clustered), tmp_path / "f.tflite")
    found = verify(folded, data, promises={"number_of_clusters": 16}, latency_repeats=0)
    assert found.distinct > 16


@pytest.mark.parametrize(
    ("name", "promises", "message"),
    [
        ("int8", {"sparsity": 0.8}, r"sparsity is \d\.\d%, not 80.0% \(densest: fully_connected"),
        ("int8", {"number_of_clusters": 16}, r"fully_connected_\d+/kernel has \d+ distinct values"),
        ("float32", {"int8": True}, "input image is float32, not int8"),
        ("dynamic_range", {"int8": True}, "output logits is float32, not int8"),
        ("int16x8", {"int8": True}, "input image is int16, not int8"),
    ],
)
def test_promises_that_are_broken(name, promises, message, files, digits):
    with pytest.raises(VerificationError, match=message):
        verify(files[name], (digits.x_test, digits.y_test), promises=promises, latency_repeats=0)


def test_int8_ends_around_a_float_file_are_seen_through(files, digits, tmp_path):
    model = flatbuffer.parse(files["int8"].read_bytes())
    main = model.subgraphs[0]
    inner = next(
        t for i, t in enumerate(main.tensors)
        if i not in (*main.inputs, *main.outputs) and constant(model, t) is None
    )  # fmt: skip
    inner.type = schema.TensorType.FLOAT32
    inner.quantization = None
    planted = tmp_path / "planted.tflite"
    planted.write_bytes(flatbuffer.pack(model))
    data = (digits.x_test, digits.y_test)
    with pytest.raises(GanAccelError, match=r"planted\.tflite"):
        verify(planted, data, promises={"int8": True}, latency_repeats=0)


def test_all_failures_are_named_at_once(files, trained, digits):
    labels = (digits.y_test + 1) % 10
    with pytest.raises(VerificationError) as caught:
        verify(
            files["float32"],
            (digits.x_test, labels),
            reference=labels,
            promises={"sparsity": 0.5, "int8": True},
            min_accuracy=0.9,
            max_drop=0.01,
            max_bytes=1000,
            max_latency_ratio=1e-6,
            rivals=[files["int8"]],
            latency_repeats=3,
        )
    message = str(caught.value)
    for part in ("sparsity is", "input image is", "accuracy is", "accuracy drops by",
                 "bytes, not at most 1000", "of the rival's"):  # fmt: skip
        assert part in message
    assert "\n" not in message


def test_gates_that_are_met(files, trained, digits):
    found = verify(
        files["int8"],
        (digits.x_test, digits.y_test),
        reference=trained,
        min_accuracy=0.5,
        max_drop=0.05,
        max_bytes=files["int8"].stat().st_size,
        max_latency_ratio=1e6,
        rivals=[files["float32"]],
        latency_repeats=5,
    )
    assert set(found.rivals) == {str(files["float32"])}


def test_a_flex_operator_is_refused_before_anything_runs(digits, tmp_path):
    image = keras.Input((8, 8, 1), name="image")
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(keras.ops.sinh(image)))
    model = keras.Model(image, outputs)
    path = export_tflite(model, tmp_path / "flex.tflite", select_tf_ops=True)
    with pytest.raises(InvalidInputError, match=r"not allowed\. Received: FlexSinh"):
        verify(path, (digits.x_test, digits.y_test))


def test_only_the_operators_that_are_allowed(files, digits):
    data = (digits.x_test, digits.y_test)
    with pytest.raises(InvalidInputError, match="DEPTHWISE_CONV_2D"):
        verify(files["float32"], data, allowed_operators={"CONV_2D", "RESHAPE", "FULLY_CONNECTED"})


def test_one_flipped_byte_is_found(files, digits, tmp_path):
    shutil.copy(files["int8"], tmp_path / "model.tflite")
    write_manifest(tmp_path)
    check_manifest(tmp_path)
    content = bytearray(files["int8"].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(VerificationError, match=r"model\.tflite has changed"):
        check_manifest(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"promises": {"sparsty": 0.5}}, "Did you mean 'sparsity'"),
        ({"max_drop": 0.1}, "`max_drop` needs a reference"),
        ({"max_latency_ratio": 1.0}, "needs a rival"),
        ({"output": "samples"}, "Only a classifier's output"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message, files, digits):
    with pytest.raises(InvalidInputError, match=message):
        verify(files["float32"], (digits.x_test, digits.y_test), latency_repeats=0, **arguments)


def test_data_and_paths_that_do_not_fit(files, digits, tmp_path):
    x, y = digits.x_test, digits.y_test
    with pytest.raises(InvalidInputError, match="as many integer labels"):
        verify(files["float32"], (x, y[:5]))
    with pytest.raises(InvalidInputError, match="Labels must lie in 0 to 9"):
        verify(files["float32"], (x, np.full(len(x), -1)))
    with pytest.raises(InvalidInputError, match="takes samples of shape"):
        verify(files["float32"], (x[:, :4], y))
    with pytest.raises(MissingFileError, match="does not exist"):
        verify(tmp_path / "none.tflite", (x, y))
    (tmp_path / "note.txt").write_text("no artefact")
    with pytest.raises(InvalidInputError, match="An artefact is"):
        verify(tmp_path / "note.txt", (x, y))
