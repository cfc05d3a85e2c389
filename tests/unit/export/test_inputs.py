"""Look-ups and several inputs, the whole way: compress, export, verify, predict."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, UnsupportedLayerError
from keras_ganaccel.export.predict import predict
from keras_ganaccel.export.saved_model import export_saved_model
from keras_ganaccel.export.techniques import compress
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.verify import verify

pytestmark = pytest.mark.train

L = keras.layers
CLASSES, ROWS = 4, 128


def labels():
    return np.random.default_rng(0).integers(0, CLASSES, ROWS)


def words():
    """Each class has ten words of its own."""
    y = labels()
    ids = np.random.default_rng(1).integers(0, 10, (ROWS, 20)) + 10 * y[:, None]
    i = keras.Input((20,), dtype="int32", name="words")
    x = L.Conv1D(16, 3, activation="relu")(L.Embedding(40, 8)(i))
    return keras.Model(i, L.Dense(CLASSES)(L.GlobalAveragePooling1D()(x))), ids, y


def columns():
    """Numbers and a look-up, by name."""
    y = labels()
    ids = np.random.default_rng(1).integers(0, 10, (ROWS, 3)) + 10 * y[:, None]
    age, code = keras.Input((2,), name="age"), keras.Input((3,), dtype="int32", name="code")
    x = L.Concatenate()(
        [L.Dense(16, activation="relu")(age), L.Flatten()(L.Embedding(40, 4)(code))]
    )
    ages = np.random.default_rng(2).normal(size=(ROWS, 2)) + y[:, None]
    return (
        keras.Model({"age": age, "code": code}, L.Dense(CLASSES)(x)),
        {"code": ids, "age": ages},
        y,
    )


def twins():
    """The same layers read both of two images."""
    y = labels()
    a, b = keras.Input((8, 8, 1), name="left"), keras.Input((8, 8, 1), name="right")
    conv, dense = L.Conv2D(8, 3, strides=2, activation="relu"), L.Dense(8)
    ends = [dense(L.Flatten()(conv(image))) for image in (a, b)]
    noise = np.random.default_rng(1).random((2, ROWS, 8, 8, 1))
    x = [noise[0] / 4 + y[:, None, None, None] / 4, noise[1] / 4]
    return keras.Model([a, b], L.Dense(CLASSES)(L.Subtract()(ends))), x, y


@pytest.fixture(scope="module", params=[words, columns, twins])
def case(request):
    keras.utils.set_random_seed(0)
    model, x, y = request.param()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-2), loss)
    model.fit(x, y, epochs=12, batch_size=32, verbose=0)
    return model, x, y


@pytest.mark.parametrize("quantization", ["float32", "float16", "dynamic_range", "int8"])
def test_files_answer_as_the_model_does(case, quantization, tmp_path):
    model, x, y = case
    path = export_tflite(model, tmp_path / "m.tflite", quantization, representative_dataset=x)
    found = verify(path, (x, y), reference=model, latency_repeats=1)
    assert found.agreement >= 0.95
    chances = predict(path, x)
    assert float((chances.argmax(1) == y).mean()) == found.accuracy
    # What is looked up goes in as it is, in every format.
    expected = {tensor.name: tensor.dtype for tensor in model.inputs}
    for facts in predict_inputs(path):
        if expected[facts.name] == "int32":
            assert facts.dtype == "int32"
        elif quantization == "int8":
            assert facts.dtype == "int8"


def predict_inputs(path):
    from keras_ganaccel.export.inspect import inspect_tflite

    return inspect_tflite(path).inputs


def test_other_artefacts_answer_alike(case, tmp_path):
    model, x, y = case
    model.save(tmp_path / "m.keras")
    saved = export_saved_model(model, tmp_path / "m")
    for path in (tmp_path / "m.keras", saved):
        assert verify(path, (x, y), reference=model, latency_repeats=0).agreement == 1.0


def test_fine_tuning_takes_what_the_model_takes(case, tmp_path):
    model, x, y = case
    made = compress(model, (x, y), technique="pqat", sparsity=0.2, steps=20)
    path = export_tflite(made, tmp_path / "m.tflite", "int8")
    aware = np.asarray(made.tf_keras_model(packed(model, x), training=False))
    found = verify(path, (x, y), reference=aware, latency_repeats=0)
    assert found.agreement >= 0.95
    assert found.accuracy >= verify_keras(model, x, y) - 0.05


def test_a_stream_may_give_them_too(case):
    model, x, y = case
    stream = tf.data.Dataset.from_tensor_slices((packed(model, x), y)).batch(32)
    made = compress(model, stream, technique="prune", sparsity=0.2, steps=3, teacher=model)
    assert made.promises["sparsity"] >= 0.2 - 1e-9


def packed(model, x):
    from keras_ganaccel.data.inputs import ModelInputs

    inputs = ModelInputs.of(model)
    return inputs.packed(inputs.arrays(x))


def verify_keras(model, x, y):
    return float((model.predict(packed(model, x), verbose=0).argmax(1) == y).mean())


def test_models_that_cannot_be_trained_here_are_named_before_anything_is_trained():
    image = keras.Input((4,), name="image")
    several = keras.Model(image, [L.Dense(3)(image), L.Dense(2)(image)], name="several")
    x, y = np.zeros((8, 4)), np.zeros(8, int)
    with pytest.raises(InvalidInputError, match=r"one output.*'several' with \(None, 3\)"):
        compress(several, (x, y), technique="prune")
    # Quantizing at export trains nothing.
    assert compress(several, (x, None), technique="ptq").keras_model is several
    series = keras.Input((5, 4), name="series")
    tagger = keras.Model(series, L.Dense(3)(series), name="tagger")
    with pytest.raises(InvalidInputError, match=r"one output.*\(None, 5, 3\)"):
        compress(tagger, (np.zeros((8, 5, 4)), y), technique="qat")


def test_one_hot_categories_are_refused_in_int8_which_would_scramble_them(tmp_path):
    kind = keras.Input((1,), dtype="int32", name="kind")
    model = keras.Model(kind, L.Dense(4)(L.CategoryEncoding(8, output_mode="one_hot")(kind)))
    codes = np.arange(8)[:, None]
    with pytest.raises(UnsupportedLayerError, match=r"one-hot.*CategoryEncoding"):
        export_tflite(model, tmp_path / "m.tflite", "int8", representative_dataset=codes)
    seen = []
    for technique in ("qat", "pcqat", "structured_qat"):
        with pytest.raises(UnsupportedLayerError, match=r"one-hot.*\(CategoryEncoding\)"):
            compress(
                model, (codes, codes[:, 0] % 4), technique=technique,
                on_progress=lambda *at: seen.append(at),
            )  # fmt: skip
    assert seen == []
    plan = compress(model, (codes, codes[:, 0] % 4), technique="qat", dry_run=True)
    (row,) = [row for row in plan.report if row["kind"] == "CategoryEncoding"]
    assert "one-hot" in row["quantize"]
    path = export_tflite(model, tmp_path / "m.tflite")
    labels = model.predict(codes, verbose=0).argmax(axis=1)
    assert verify(path, (codes, labels), latency_repeats=0).accuracy == 1.0


@pytest.mark.parametrize(
    ("y", "reason"),
    [
        (np.full((8, 4), 0.7), "autoencoder"),
        (np.arange(8), "labels 0 to 7"),
        (np.linspace(0, 1, 8), "not whole"),
        (np.zeros((8, 2)), r"float64 of shape \(8, 2\)"),
    ],
)
def test_targets_that_are_no_labels_are_refused(y, reason):
    image = keras.Input((4,), name="image")
    model = keras.Model(image, L.Dense(4)(image))
    with pytest.raises(InvalidInputError, match=reason):
        compress(model, (np.zeros((8, 4)), y), technique="prune")
