"""A compression counts as done if what was trained, returned and exported is one model."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

import keras_ganaccel as ga
from keras_ganaccel.compression.compress import compress
from keras_ganaccel.errors import EquivalenceError, VerificationError
from keras_ganaccel.export import faithful
from keras_ganaccel.export.faithful import checked
from keras_ganaccel.export.rounding import Allowance

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(128, 6)).astype("float32"), rng.integers(0, 3, 128)


def small(*layers):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), L.Dense(12), *layers, L.Dense(3, name="logits")])


def test_each_form_is_compared_with_the_trained_one(data, monkeypatch):
    made = compress(small(L.ReLU()), data, technique="qat", steps=2)
    sound = checked(made, [data[0][:64]])
    assert sound.promises == {"int8": True}
    with pytest.raises(VerificationError, match="sparsity is"):
        checked(replace(made, promises={"sparsity": 0.9}), [data[0][:64]])
    bias = made.keras_model.get_layer("logits").bias
    bias.assign(bias.value + np.array([5.0, 0.0, 0.0]))
    with pytest.raises(EquivalenceError, match=r"returned `keras_model`.*quantization explains"):
        checked(made, [data[0][:64]])
    other = compress(small(L.LeakyReLU(0.9)), (3 * data[0], data[1]), technique="qat", steps=0)
    monkeypatch.setattr(
        faithful, "export_tflite", lambda _, path, form: ga.export_tflite(other, path, form)
    )
    with pytest.raises(EquivalenceError, match="int8 file does not compute what was trained"):
        checked(made, [data[0][:64]])


def test_float_techniques_are_compared_with_their_float_file(data):
    made = ga.compress(small(L.ReLU()), data, technique="prune", sparsity=0.5, steps=2)
    assert dict(made.promises) == {"sparsity": pytest.approx(0.5, abs=0.02)}
    with pytest.raises(VerificationError, match="not in its file"):
        checked(replace(made, promises={"sparsity": 0.8}), [data[0][:64]])


@pytest.mark.parametrize(
    ("layer", "named"),
    [(L.ELU(), "elu"), (L.ReLU(max_value=1.0), "bounds"), (L.Activation("softplus"), "softplus")],
)
def test_what_stays_in_float_is_said_and_not_promised(data, layer, named, caplog):
    plan = ga.compress(small(layer), data, technique="qat", dry_run=True)
    rows = [row["quantize"] for row in plan.report]
    assert any(row.startswith("stays float32: TFLite has no int8") for row in rows)
    with caplog.at_level(logging.WARNING):
        made = ga.compress(small(layer), data, technique="qat", steps=1)
    assert made.promises["int8"] is False
    assert any("stay in float32" in message and named in message for message in caplog.messages)


def test_what_a_deep_net_makes_of_rounding_is_no_fault(data, monkeypatch):
    keras.utils.set_random_seed(0)
    # Each layer enlarges what the one before rounded: no two forms of this net answer alike.
    deep = [
        L.Dense(32, activation="tanh", kernel_initializer=keras.initializers.Orthogonal(2.0))
        for _ in range(14)
    ]
    model = keras.Sequential([keras.Input((6,)), *deep, L.Dense(3)])
    made = compress(model, data, technique="qat", steps=0)
    assert checked(made, [data[0][:64]]).promises == {"int8": True}
    monkeypatch.setattr(faithful, "FILE", Allowance(steps=4.0, share=0.1, shaken=0.0))
    with pytest.raises(EquivalenceError, match="int8 file"):
        checked(made, [data[0][:64]])


def test_an_activation_as_an_argument_is_told_in_the_dry_run(data):
    model = small(L.Dense(8, activation="elu", name="bent"))
    plan = ga.compress(model, data, technique="qat", dry_run=True)
    made = ga.compress(model, data, technique="qat", steps=1)
    for result in (plan, made):
        (row,) = [row for row in result.report if row["layer"] == "bent"]
        assert row["quantize"] == "stays float32: TFLite has no int8 elu"
    assert made.promises["int8"] is False


class Own(L.Layer):
    """A layer as users write it: a matrix that is not called a kernel."""

    def build(self, shape):
        self.mixing = self.add_weight(shape=(shape[-1], 20), name="mixing")
        self.offset = self.add_weight(shape=(20,), name="offset")

    def call(self, x):
        return keras.ops.matmul(x, self.mixing) + self.offset


@pytest.mark.parametrize("technique", ["prune", "pcqat"])
def test_matrices_of_layers_outside_keras_are_counted_as_the_file_counts_them(data, technique):
    model = small(Own(name="own"), L.ReLU(), L.Dense(40, activation="relu"))
    plan = ga.compress(model, data, technique=technique, sparsity=0.4, dry_run=True)
    (row,) = [row for row in plan.report if row["layer"] == "own"]
    assert "'mixing' of a layer outside Keras stays as it is" in row["prune"]
    before = model.get_layer("own").mixing.numpy()
    made = ga.compress(model, data, technique=technique, sparsity=0.4, steps=2)
    assert made.promises["sparsity"] >= 0.4
    if technique == "prune":
        assert np.count_nonzero(made.keras_model.get_layer("own").mixing) == before.size


class Positions(L.Layer):
    def build(self, shape):
        self.positions = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, x):
        return x + self.positions

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("technique", ["prune", "cluster", "pqat"])
def test_what_weights_outside_of_kernels_leave_untold_is_not_promised(
    technique, data, tmp_path, caplog
):
    x, y = data[0].reshape(-1, 3, 2), data[1]
    inputs = keras.Input((3, 2))
    outputs = L.Dense(3)(L.Flatten()(L.Dense(4)(Positions()(inputs))))
    made = ga.compress(
        keras.Model(inputs, outputs), (x, y), technique=technique, sparsity=0.3, steps=2
    )
    assert not {"sparsity", "number_of_clusters"} & set(made.promises)
    assert "not promised: 6 weights are in none" in caplog.text
    form = "int8" if made.tf_keras_model is not None else "float32"
    path = ga.export_tflite(made, tmp_path / "m.tflite", form)
    ga.verify(path, (x, y), promises=made.promises, latency_repeats=0)
