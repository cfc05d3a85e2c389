import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from keras_ganaccel.classifier.shallow import ShallowTeacher, _shifted, _small


def test_without_shifts_the_machine_is_scikit_learns(digits):
    x, y = digits.x[:150], digits.y[:150]
    reference = make_pipeline(StandardScaler(), SVC(C=10.0, gamma="scale"))
    reference.fit(x.reshape(150, -1), y)
    teacher = ShallowTeacher("svm", 10, shifts=False).fit(x, y)
    margins = reference.decision_function(digits.x_test.reshape(len(digits.x_test), -1))
    chosen = teacher.predict_proba(digits.x_test).argmax(axis=1)
    np.testing.assert_array_equal(chosen, margins.argmax(axis=1))


def test_shifts_help_where_labels_are_few(digits):
    x, y = digits.x[:100], digits.y[:100]
    scores = [
        np.mean(ShallowTeacher("svm", 10, shifts=shifts).fit(x, y)
                .predict_proba(digits.x_test).argmax(axis=1) == digits.y_test)
        for shifts in (False, True)
    ]  # fmt: skip
    assert scores[1] > scores[0]


def test_calibration_is_fit_for_probabilities(digits):
    teacher = ShallowTeacher("svm", 10).fit(digits.x[:200], digits.y[:200])
    calibrated = log_loss(digits.y_test, teacher.predict_proba(digits.x_test))
    for factor in (0.2, 5.0):
        other = ShallowTeacher("svm", 10)
        other.estimator, other.sharpness = teacher.estimator, teacher.sharpness * factor
        assert calibrated < log_loss(digits.y_test, other.predict_proba(digits.x_test))


@pytest.mark.parametrize("kind", ["svm", "extra_trees"])
@pytest.mark.parametrize("classes", [[0, 1], [1, 4, 7]])
def test_two_samples_a_class_suffice_and_unseen_classes_get_nothing(digits, kind, classes):
    rows = np.concatenate([np.flatnonzero(digits.y == label)[:2] for label in classes])
    teacher = ShallowTeacher(kind, 10).fit(digits.x[rows], digits.y[rows])
    probabilities = teacher.predict_proba(digits.x_test[:20])
    assert probabilities.shape == (20, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert set(np.flatnonzero(probabilities.any(axis=0))) == set(classes)
    assert np.mean(teacher.predict_proba(digits.x[rows]).argmax(1) == digits.y[rows]) == 1


def test_one_sample_a_class_is_not_calibrated(digits):
    rows = [np.flatnonzero(digits.y == label)[0] for label in range(3)]
    teacher = ShallowTeacher("svm", 10).fit(digits.x[rows], digits.y[rows])
    assert teacher.sharpness == 1.0


def test_the_four_shifts_are_those_of_numpy_roll():
    x = np.zeros((1, 5, 5, 1), "float32")
    x[0, 2, 2, 0] = 1
    places = {tuple(np.argwhere(image[0, :, :, 0])[0]) for image in _shifted(x)}
    assert places == {(2, 2), (1, 2), (3, 2), (2, 1), (2, 3)}


def test_large_images_are_averaged_down():
    x = np.random.default_rng(0).random((2, 65, 96, 3)).astype("float32")
    small = _small(x)
    assert small.shape == (2, 21, 32, 3)
    np.testing.assert_allclose(small[1, 2, 3, 1], x[1, 6:9, 9:12, 1].mean(), rtol=1e-5)
