import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.scores import probabilities, score


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


def test_balance_and_f1_are_means_over_classes():
    labels = np.array([0] * 90 + [1] * 10)
    found = score(np.zeros(100, int), labels, 2)
    assert found.accuracy == 0.9
    assert found.balanced_accuracy == 0.5
    assert found.macro_f1 == pytest.approx((2 * 90 / (90 + 100) + 0) / 2)
    np.testing.assert_array_equal(found.right, labels == 0)
    assert found.log_loss is None


def test_log_loss_and_calibration_come_from_the_probabilities():
    random = np.random.default_rng(0)
    true = random.dirichlet(np.ones(4), 20_000)
    labels = (true.cumsum(axis=1) < random.random((20_000, 1))).sum(axis=1)
    honest = score(true.argmax(axis=1), labels, 5, chances=np.pad(true, ((0, 0), (0, 1))))
    assert honest.log_loss == pytest.approx(-np.log(true[np.arange(20_000), labels]).mean())
    assert honest.calibration_error < 0.01
    sure = np.eye(4)[true.argmax(axis=1)]
    boastful = score(true.argmax(axis=1), labels, 4, chances=sure)
    assert boastful.calibration_error == pytest.approx(1 - boastful.accuracy)
    assert np.isfinite(boastful.log_loss)  # a wrong row that was given no chance at all


@pytest.mark.parametrize("classes", [2, 4])
def test_the_areas_are_scikit_learns(classes):
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, 300)
    chances = softmax(random.normal(size=(300, classes)) + 1.5 * np.eye(classes)[labels], axis=1)
    chances = np.round(chances, 1)  # int8 outputs have many ties
    chances /= chances.sum(axis=1, keepdims=True)
    expected = (
        metrics.roc_auc_score(labels, chances[:, 1])
        if classes == 2
        else metrics.roc_auc_score(labels, chances, multi_class="ovr")
    )
    found = score(chances.argmax(axis=1), labels, classes, chances=chances)
    assert found.auc == pytest.approx(expected, abs=1e-9)


def test_the_area_is_of_the_classes_that_occur():
    labels, chances = np.array([0, 0, 2, 2]), np.eye(4)[[0, 0, 2, 0]]
    assert score(chances.argmax(axis=1), labels, 4, chances=chances).auc == 0.75
    assert score(np.zeros(2, int), np.zeros(2, int), 4, chances=chances[:2]).auc is None


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
