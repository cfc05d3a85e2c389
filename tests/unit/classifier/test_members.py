import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from keras_ganaccel.classifier.members import ask, check_teacher, teacher_function
from keras_ganaccel.classifier.teacher import Ensemble
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train


@pytest.fixture
def x():
    return np.random.default_rng(0).random((12, 3, 3, 1)).astype("float32")


def _keras():
    return keras.Sequential([keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])


def _sklearn(x):
    return LogisticRegression().fit(x.reshape(12, 9), np.arange(12) % 3)


class OwnClassifier:
    """Takes images as they are."""

    def predict_proba(self, images):
        assert images.shape[1:] == (3, 3, 1)
        return softmax(images[:, 0, :, 0], axis=1)


def test_every_kind_answers_with_its_probabilities(x):
    model, estimator, own = _keras(), _sklearn(x), OwnClassifier()
    np.testing.assert_allclose(ask(model, x), softmax(model(x), axis=1), atol=1e-6)
    expected = estimator.predict_proba(x.reshape(12, 9))
    np.testing.assert_allclose(ask(estimator, x), expected, atol=1e-6)
    np.testing.assert_allclose(ask(own, x), own.predict_proba(x), atol=1e-6)
    np.testing.assert_allclose(ask(own.predict_proba, x), own.predict_proba(x), atol=1e-6)


def test_inside_a_step_they_say_the_same(x):
    teachers = [_keras(), _sklearn(x), OwnClassifier()]
    inner = Ensemble(teachers[:2], weights=[3, 1])
    for teacher in (*teachers, inner, Ensemble([inner, teachers[2]])):
        function = tf.function(teacher_function(teacher, 3))
        np.testing.assert_allclose(softmax(function(x), axis=1), ask(teacher, x), atol=1e-5)


def test_zero_probabilities_give_finite_logits(x):
    function = teacher_function(lambda images: np.eye(3)[np.zeros(len(images), int)], 3)
    assert np.isfinite(function(x)).all()


def test_what_cannot_teach_is_refused():
    with pytest.raises(InvalidInputError, match="int"):
        check_teacher(3)
