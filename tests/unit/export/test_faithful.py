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
    with pytest.raises(EquivalenceError, match=r"returned `keras_model`.*quantization steps"):
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
