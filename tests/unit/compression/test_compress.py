"""The front door: every technique, every form of data, and the dry run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.clones import clone
from keras_ganaccel.compression.compress import TECHNIQUES, compress
from keras_ganaccel.compression.finetune import FineTuner, first_samples, training_stream
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import InvalidInputError, RunFailedError, UnsupportedLayerError

pytestmark = pytest.mark.train


def test_all_at_once_keeps_zeros_and_clusters(trained, digits, accuracy):
    before = [w.copy() for w in trained.get_weights()]
    seen = []
    made = compress(
        trained,
        digits[0],
        technique="pcqat",
        sparsity=0.5,
        number_of_clusters=8,
        # After 50 steps a stage has not settled: one network in six was 4.5 points behind, none
        # more than 1.7 after 150.
        steps=150,
        learning_rate=3e-3,
        teacher=trained,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert made.promises["sparsity"] >= 0.5
    assert made.promises["number_of_clusters"] == 8
    for name in ("stem", "pointwise", "conv", "logits"):
        kernel = made.keras_model.get_layer(name).kernel.numpy()
        for channel in np.moveaxis(kernel, -1, 0):
            values = np.sort(np.unique(channel))
            distinct = 1 + (np.diff(values) > 1e-5 * np.abs(values).max()).sum()
            assert distinct <= 8
    assert accuracy(made.tf_keras_model) > accuracy(trained) - 0.03
    assert seen == sorted(seen)
    assert seen[-1] == (450, 450)
    for old, new in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_same_seed_same_weights(trained, digits):
    def weights(seed):
        made = compress(trained, digits[0], technique="prune", steps=5, seed=seed)
        return made.keras_model.get_weights()

    first, second, other = weights(1), weights(1), weights(2)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_post_training_quantization_changes_nothing(trained, digits):
    made = compress(trained, digits[0], technique="ptq")
    assert made.tf_keras_model is None
    for a, b in zip(trained.get_weights(), made.keras_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InvalidInputError, match="keras_model"):
        made.concrete_function()


@pytest.mark.parametrize("data", [None, ("x",), np.zeros((4, 8, 8, 1))])
@pytest.mark.parametrize("technique", ["ptq", "prune"])
def test_data_of_another_form_are_refused(trained, data, technique):
    with pytest.raises(InvalidInputError, match=r"`data` must be \(x, y\)"):
        compress(trained, data, technique=technique)


def test_activations_of_tensorflow_are_those_of_keras(digits):
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(8, 3, activation=tf.nn.relu),
        keras.layers.Conv2D(8, 3, activation=tf.nn.silu),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation=tf.nn.softmax),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    made = compress(model, digits[0], technique="prune", sparsity=0.3, steps=0)
    assert made.promises["sparsity"] >= 0.3
    quantized = compress(model, digits[0], technique="qat", steps=0)
    x = digits[1][0][:64]
    np.testing.assert_allclose(quantized.keras_model(x), model(x), atol=1e-5)
    np.testing.assert_allclose(quantized.tf_keras_model(x), model(x), atol=0.05)


def test_dry_run_says_what_applies(trained, digits):
    made = compress(trained, digits[0], technique="pcqat", dry_run=True)
    rows = {row["layer"]: row for row in made.report}
    assert made.keras_model is trained
    assert made.promises == {}
    assert rows["conv"]["prune"].startswith("yes: 0.")
    assert rows["conv"]["cluster"] == "yes: 16"
    assert rows["stem_norm"]["quantize"] == "yes: within stem"
    assert rows["depthwise"]["prune"] == "depthwise kernels stay as they are"
    assert rows["pool"]["prune"] == "has no kernel"
    assert rows["logits"]["structured"].startswith("its channels")


def test_report_has_what_was_achieved(trained, digits):
    made = compress(trained, digits[0], technique="prune", policy={"conv": 0.75}, steps=3)
    rows = {row["layer"]: row for row in made.report}
    assert rows["conv"]["sparsity"] == pytest.approx(0.75, abs=1e-3)
    assert rows["stem"]["sparsity"] == 0.0
    assert rows["pool"]["sparsity"] is None


def test_unknown_technique_names_the_nearest(trained, digits):
    with pytest.raises(InvalidInputError, match="Did you mean 'pqat'"):
        compress(trained, digits[0], technique="pqta")
    with pytest.raises(InvalidInputError, match="pair of arrays"):
        compress(trained, digits[0][0], technique="prune")


def streams():
    x = np.zeros((4, 8, 8, 1), np.float32)
    y = np.array([0, 1, -1, 2])
    logits = np.arange(12, dtype=np.float32).reshape(4, 3)
    riding = {"label": y, "teacher_logits": logits}
    data = tf.data.Dataset
    return {
        "arrays": ((x, y), None, False),
        "arrays and probabilities": ((x, y), np.full((4, 3), 1 / 3, np.float32), True),
        "arrays and callable": ((x, y), lambda x: np.full((len(x), 3), 1 / 3), True),
        "stream": (data.from_tensor_slices((x, y)).batch(2), None, False),
        "stream with logits": (data.from_tensor_slices((x, riding)).batch(2), None, True),
        "stream and callable": (
            data.from_tensor_slices((x, y)).batch(2), lambda x: np.full((len(x), 3), 1 / 3), True,
        ),
        "soft labels": ((x, np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]), None, False),
    }  # fmt: skip


@pytest.mark.parametrize("form", streams())
def test_every_form_of_data_becomes_one(form):
    data, teacher, distils = streams()[form]
    inputs = ModelInputs(("image",), ((8, 8, 1),), ("float32",))
    stream, distil = training_stream(data, teacher, classes=3, batch_size=2, seed=0, inputs=inputs)
    assert distil is distils
    batches = list(stream.take(5).as_numpy_iterator())  # more than an epoch
    x, label, logits = batches[0]
    assert x.shape == (2, 8, 8, 1)
    assert label.shape == ((2, 3) if form == "soft labels" else (2,))
    assert logits.shape == (2, 3 if distil else 1)
    (first,) = first_samples(data, 3, inputs)
    assert first.shape == (3, 8, 8, 1)


def test_loss_against_numpy():
    tuner = FineTuner(tf.data.Dataset.range(1), "logits", 3, True, temperature=2.0, alpha=0.3)
    logits, teacher = np.array([[1.0, 0.0, -1.0]]), np.array([[0.0, 2.0, 0.0]])

    def softmax(z):
        return np.exp(z) / np.exp(z).sum()

    def loss(label):
        args = (logits.astype("f"), tf.constant([label]), teacher.astype("f"))
        return float(tuner.loss(*map(tf.convert_to_tensor, args))[0])

    p, q = softmax(teacher / 2), softmax(logits / 2)
    divergence = 4.0 * (p * np.log(p / q)).sum()
    cross_entropy = -np.log(softmax(logits)[0, 0])
    assert loss(0) == pytest.approx(0.3 * cross_entropy + 0.7 * divergence, rel=1e-5)
    assert loss(-1) == pytest.approx(0.7 * divergence, rel=1e-5)


def test_divergence_is_reported(trained, digits):
    with pytest.raises(RunFailedError, match="learning_rate"):
        compress(trained, digits[0], technique="prune", steps=30, learning_rate=1e18)


def test_binary_model_with_one_unit(digits):
    (x, y), _ = digits
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    )
    model.compile(keras.optimizers.Adam(0.03), keras.losses.BinaryCrossentropy())
    model.fit(x, y % 2, batch_size=100, epochs=5, verbose=0)
    made = compress(model, (x, y % 2), technique="qat", steps=60)
    answers = made.tf_keras_model(x, training=False).numpy()[:, 0] > 0.5
    assert (answers == y % 2).mean() > 0.8


def uncarried():
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(8, 3, name="conv")(image)
    x = keras.layers.Lambda(lambda x: 2.0 * x, name="twice", output_shape=(6, 6, 8))(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(image, keras.layers.Dense(10, name="logits")(x), name="uncarried")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"number_of_clusters": 16.0}, "must be a whole number. Received: 16.0"),
        ({"sparsity": "0.5"}, "`sparsity` must be a number. Received: '0.5'"),
        ({"steps": None}, "`steps` must be a whole number"),
        ({"steps": True}, "`steps` must be a whole number"),
        ({"steps": -1}, "`steps` must not be negative"),
        ({"batch_size": 0}, "`batch_size` must be above 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be a number"),
    ],
)
def test_what_is_no_number_is_refused_before_anything_is_trained(trained, digits, given, message):
    with pytest.raises(InvalidInputError, match=message):
        compress(trained, digits[0], technique="pcqat", **given)


def test_weights_that_are_no_numbers_are_named(trained, digits):
    broken = clone(trained)
    broken.weights[0].assign(np.full(broken.weights[0].shape, np.nan))
    for technique in ("ptq", "prune", "qat"):
        with pytest.raises(InvalidInputError, match=r"NaN or infinity in '.*kernel'"):
            compress(broken, digits[0], technique=technique)


def test_what_needs_no_bridge_works_without_it(digits):
    model = uncarried()
    made = compress(model, digits[0], technique="ptq")
    assert made.keras_model is model
    rows = {row["layer"]: row for row in made.report}
    assert "Python code" in rows["twice"]["quantize"]
    assert "'twice'" in rows["conv"]["quantize"]
    planned = compress(model, digits[0], technique="pqat", dry_run=True)
    assert "'twice'" in {row["layer"]: row for row in planned.report}["conv"]["prune"]


@pytest.mark.parametrize("technique", [name for name, stages in TECHNIQUES.items() if stages])
def test_what_needs_the_bridge_is_refused_before_anything_is_trained(digits, technique):
    seen = []
    with pytest.raises(UnsupportedLayerError, match=r"'twice' \(Lambda\).*'ptq'") as caught:
        compress(
            uncarried(), digits[0], technique=technique, on_progress=lambda *at: seen.append(at)
        )
    assert seen == []
    assert "\n" not in str(caught.value)
