import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from keras_ganaccel.classifier import kernel_machine, shallow
from keras_ganaccel.classifier.shallow import ShallowTeacher, _shifted, averaged_down

pytestmark = pytest.mark.train


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
    small = averaged_down(x)
    assert small.shape == (2, 21, 32, 3)
    np.testing.assert_allclose(small[1, 2, 3, 1], x[1, 6:9, 9:12, 1].mean(), rtol=1e-5)


def _many(count, seed=0):
    """Blurred class patterns at any place, with noise: rows enough to leave the exact machine."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(9).normal(size=(3, 6, 6, 1))
    y = random.integers(0, 3, count)
    return (patterns[y] + random.normal(0, 2, (count, 6, 6, 1))).astype("float32"), y


def test_the_machine_for_many_rows_is_as_good_as_the_exact_one(monkeypatch):
    x, y = _many(3000)
    held_x, held_y = _many(1000, seed=1)
    exact = ShallowTeacher("svm", 4, shifts=False).fit(x, y)
    monkeypatch.setattr(kernel_machine, "MOST_EXACT_ROWS", 1000)
    many = ShallowTeacher("svm", 4, shifts=False).fit(x, y)
    assert many.estimator.decision_function(held_x.reshape(1000, -1)).shape == (1000, 3)
    scores = [
        np.mean(teacher.predict_proba(held_x).argmax(1) == held_y) for teacher in (exact, many)
    ]
    assert scores[1] > scores[0] - 0.02
    answers = many.predict_proba(held_x)
    assert not answers[:, 3].any()
    assert log_loss(held_y, answers[:, :3]) < 1.05 * log_loss(
        held_y, exact.predict_proba(held_x)[:, :3]
    )


def test_long_rows_are_shortened_without_loss(monkeypatch, digits):
    x, y = digits.x[:300], digits.y[:300]
    plain = ShallowTeacher("svm", 10).fit(x, y).predict_proba(digits.x_test).argmax(1)
    monkeypatch.setattr(kernel_machine, "_MOST_WORK", 0)
    monkeypatch.setattr(kernel_machine, "_COMPONENTS", 40)
    short = ShallowTeacher("svm", 10).fit(x, y).predict_proba(digits.x_test).argmax(1)
    assert np.mean(short == digits.y_test) > np.mean(plain == digits.y_test) - 0.01


def test_trees_of_many_rows_stay_small(monkeypatch):
    x, y = _many(3000)
    monkeypatch.setitem(shallow._MOST_ROWS, "extra_trees", 1000)
    monkeypatch.setattr(shallow, "_ROWS_OF_A_TREE", 500)
    forest = ShallowTeacher("extra_trees", 3, shifts=False).fit(x, y).estimator
    assert max(tree.tree_.node_count for tree in forest.estimators_) < 500
