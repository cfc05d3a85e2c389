import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.utils.class_weight import compute_sample_weight

from keras_ganaccel.classifier.imbalance import (
    OBJECTIVES,
    class_weights,
    logit_shifts,
    with_shifted_logits,
)
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.tflite import export_tflite

pytestmark = pytest.mark.train

SHIFTS = np.array([-0.7, 0.7])


def _run(path, x):
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for row in x:
        interpreter.set_tensor(given["index"], row[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(taken["index"])[0])
    return np.array(rows)


def test_class_weights_are_scikit_learns():
    y = np.random.default_rng(0).choice(4, 200, p=[0.7, 0.2, 0.1, 0.0])
    np.testing.assert_allclose(class_weights(y, 4), compute_sample_weight("balanced", y), rtol=1e-6)
    assert class_weights(y, 4).mean() == pytest.approx(1)
    assert class_weights(np.array([-1, 0, 1]), 2).tolist() == [1, 1, 1]


def _scores(logits, y):
    chosen = logits.argmax(axis=1)
    return {
        "balanced_accuracy": balanced_accuracy_score(y, chosen),
        "macro_f1": f1_score(y, chosen, average="macro", zero_division=0),
    }


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_shifts_never_lose_on_the_rows_that_they_were_chosen_by(seed, classes):
    random = np.random.default_rng(seed)
    y = random.choice(classes, 120, p=np.array([8] + [1] * (classes - 1)) / (7 + classes))
    logits = random.normal(size=(120, classes)) + np.eye(classes)[y] + 2 * np.eye(classes)[0]
    for objective in OBJECTIVES[1:]:
        shifts = logit_shifts(logits, y, objective)
        assert shifts.sum() == pytest.approx(0, abs=1e-9)
        found = _scores(logits + shifts, y)[objective]
        assert found >= _scores(logits, y)[objective] - 1e-12
    assert not logit_shifts(logits, y, "accuracy").any()


def test_of_two_classes_the_threshold_is_the_best_there_is():
    random = np.random.default_rng(1)
    y = (random.random(80) < 0.15).astype(int)
    logits = np.stack([np.full(80, 1.5), random.normal(y, 1.0)], axis=1)
    found = _scores(logits + logit_shifts(logits, y, "balanced_accuracy"), y)
    best = max(
        _scores(logits + np.array([0, shift]), y)["balanced_accuracy"]
        for shift in np.linspace(-5, 5, 301)
    )
    assert found["balanced_accuracy"] >= best - 1e-9


def test_true_probabilities_are_shifted_by_about_the_classes_odds():
    random = np.random.default_rng(2)
    y = (random.random(20_000) < 0.1).astype(int)
    x = random.normal(y * 1.5, 1.0)
    evidence = 1.5 * x - 1.125
    logits = log_softmax(np.stack([np.zeros(20_000), evidence + np.log(0.1 / 0.9)], axis=1), axis=1)
    shifts = logit_shifts(logits, y, "balanced_accuracy")
    assert shifts[1] - shifts[0] == pytest.approx(np.log(9), abs=0.3)


def test_the_threshold_rides_in_the_model_and_in_its_file(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="logits")])
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    before = model(x).numpy()
    assert with_shifted_logits(model, SHIFTS) is model
    np.testing.assert_allclose(model(x), before + SHIFTS, atol=1e-6)
    path = export_tflite(model, tmp_path / "model.tflite")
    np.testing.assert_allclose(_run(path, x), before + SHIFTS, atol=1e-5)


@pytest.mark.parametrize(
    "last",
    [
        keras.layers.Softmax(),
        keras.layers.Dense(2, "softmax"),
        keras.layers.Dense(2, use_bias=False),
    ],
)
def test_a_model_that_cannot_keep_a_threshold_is_told(last):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), last])
    with pytest.raises(InvalidInputError, match="last Dense layer"):
        with_shifted_logits(model, np.zeros(2))


def test_unknown_objectives_are_refused():
    with pytest.raises(InvalidInputError, match="macro_f1"):
        logit_shifts(np.zeros((2, 2)), np.array([0, 1]), "macro_f")
