import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import binomtest
from sklearn import metrics

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.scores import probabilities, score, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (530, 540), (1, 3)])
def test_wilson_is_scipys(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    found = wilson_interval(successes, trials)
    np.testing.assert_allclose(found, (expected.low, expected.high), atol=1e-12)


def test_classes_that_are_absent_or_only_predicted():
    labels = np.array([0, 0, 1, 1, 1, 3])
    predicted = np.array([0, 2, 1, 1, 0, 3])
    found = score(predicted, labels, 5)
    assert found.recall == (0.5, pytest.approx(2 / 3), None, 1.0, None)
    assert found.balanced_accuracy == pytest.approx((0.5 + 2 / 3 + 1) / 3)
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert found.confusion_matrix.shape == (5, 5)
    with pytest.raises(InvalidInputError, match="no labels"):
        score(np.array([], int), np.array([], int), 3)


def test_every_kind_of_output_becomes_probabilities():
    values = np.random.default_rng(0).normal(scale=5, size=(20, 4)).astype(np.float32)
    np.testing.assert_allclose(probabilities(values, "logits"), softmax(values, axis=1), atol=1e-6)
    chances = softmax(values, axis=1)
    np.testing.assert_allclose(probabilities(chances, "softmax"), chances, atol=1e-6)
    one = expit(values[:, :1])
    expected = np.concatenate([1 - one, one], axis=1)
    np.testing.assert_allclose(probabilities(values[:, :1], "binary_logit"), expected, atol=1e-6)
    np.testing.assert_allclose(probabilities(one, "binary_probability"), expected, atol=1e-6)


def test_quantized_probabilities_are_brought_back_to_one():
    found = probabilities(np.array([[0.5, 0.25, 0.0], [0.0, 0.0, 0.0]]), "softmax")
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3]], atol=1e-6)
    huge = probabilities(np.array([[1e30, -1e30]]), "logits")
    np.testing.assert_array_equal(huge, [[1, 0]])
    with pytest.raises(InvalidInputError, match="Only a classifier's output"):
        probabilities(np.zeros((2, 4, 4, 1)), "samples")
