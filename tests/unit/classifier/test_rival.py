"""The rival: as good as scikit-learn's own, and never what a run waits for."""

import time

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from keras_ganaccel.classifier.rival import Rival, fit_rival

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    x = (data.images / 16).astype("float32")[..., None]
    return (x[:900], data.target[:900]), (x[900:1100], data.target[900:1100]), x[1100:]


def test_it_is_the_one_line_that_anyone_would_write(digits):
    (x, y), held, test = digits
    rival = fit_rival(x, y, held)
    machine = make_pipeline(StandardScaler(), SVC()).fit(x.reshape(900, -1), y)
    assert set(rival.tried) == {"svm", "boosted_trees"}
    expected = np.mean(machine.predict(held[0].reshape(200, -1)) == held[1])
    assert rival.tried["svm"] == expected
    assert rival.validation_accuracy == max(rival.tried.values())
    if rival.name == "svm":
        np.testing.assert_array_equal(rival.predict(test), machine.predict(test.reshape(697, -1)))
    assert rival.rows == 900


def test_trees_are_taken_where_they_are_better():
    random = np.random.default_rng(0)
    x = random.normal(size=(1500, 12)).astype("float32")
    y = ((x[:, 0] > 0.3) ^ (x[:, 1] > -0.2)).astype(int)  # steps, among ten columns of noise
    rival = fit_rival(x[:1000], y[:1000], (x[1000:], y[1000:]))
    assert rival.name == "boosted_trees"
    assert rival.validation_accuracy > 0.97 > rival.tried["svm"]


def test_it_comes_back_from_its_file_the_same(digits, tmp_path):
    (x, y), held, test = digits
    rival = fit_rival(x[:200], y[:200], held, seed=3)
    rival.save(tmp_path / "rival.joblib")
    again = Rival.load(tmp_path / "rival.joblib")
    assert (again.name, again.rows, again.tried) == (rival.name, rival.rows, rival.tried)
    np.testing.assert_array_equal(again.predict(test), rival.predict(test))


def test_many_rows_of_many_pixels_cost_seconds_only():
    random = np.random.default_rng(0)
    y = random.integers(0, 10, 12_000)
    y[y == 9] = 0
    y[-1] = 9  # the only row of its class
    x = random.random((12_000, 16, 16, 3), dtype=np.float32)
    x[:, :4, :4, 0] += y[:, None, None] / 5
    began = time.process_time()
    rival = fit_rival(x, y, (x[:2000], y[:2000]), asked=3_000)
    found = rival.predict(x[:3000])
    assert time.process_time() - began < 30  # minutes without a bound; a few seconds on a free core
    assert 500 <= rival.rows < 8_000
    assert "PCA" in rival.recipe
    assert np.mean(found == y[:3000]) > 0.5
    assert 9 in rival.predict.__self__.estimator.classes_


def test_two_rows_a_class_and_unlabelled_ones_suffice():
    x = np.repeat(np.array([[0.0], [1.0]], "float32"), 3, axis=0)
    rival = fit_rival(x, np.array([0, 0, -1, 1, 1, -1]), (x, np.array([0, 0, 0, 1, 1, 1])))
    assert rival.rows == 4
    assert rival.validation_accuracy == 1
