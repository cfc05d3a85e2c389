import json

import keras
import numpy as np
import pytest

from keras_ganaccel.classifier.shallow import ShallowTeacher
from keras_ganaccel.classifier.teacher import Ensemble, build_teacher
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.image.structures import build_classifier

pytestmark = pytest.mark.train


def _constant(*row):
    return lambda x: np.tile(np.array([row], "float32"), (len(x), 1))


X = np.zeros((4, 8, 8, 1), "float32")


def test_probabilities_are_the_weighted_mean():
    ensemble = Ensemble([_constant(1, 0), _constant(0.4, 0.6)], weights=[1, 3])
    np.testing.assert_allclose(ensemble.predict_proba(X), np.tile([[0.55, 0.45]], (4, 1)))
    np.testing.assert_allclose(np.exp(ensemble.predict_logits(X)), ensemble.predict_proba(X))
    nested = Ensemble([ensemble, _constant(0.45, 0.55)])
    np.testing.assert_allclose(nested.predict_proba(X), 0.5)


@pytest.mark.parametrize(
    ("members", "weights"),
    [([], None), ([3], None), ([_constant(1, 0)], [0.0]), ([_constant(1, 0)], [1.0, 2.0]),
     ([_constant(1, 0)], [float("nan")])],
)  # fmt: skip
def test_bad_ensembles_are_refused(members, weights):
    with pytest.raises(InvalidInputError):
        Ensemble(members, weights)


def test_a_built_teacher_beats_chance_saves_and_loads(digits_spec, digits, tmp_path):
    rows = np.concatenate([np.flatnonzero(digits.y == label)[:12] for label in range(10)])
    labels = digits.y[rows]
    labels[::12] = -1  # unlabelled rows are left out
    teacher = build_teacher(
        digits_spec, digits.x[rows], labels,
        members=("svm", "extra_trees", "mlp"), size="tiny", steps=40,
    )  # fmt: skip
    answers = teacher.predict_proba(digits.x_test)
    assert np.mean(answers.argmax(axis=1) == digits.y_test) > 0.85
    teacher.save(tmp_path / "teacher")
    loaded = Ensemble.load(tmp_path / "teacher")
    np.testing.assert_allclose(loaded.predict_proba(digits.x_test), answers, atol=1e-6)
    assert not list((tmp_path / "teacher").glob("*tmp*"))


def test_a_folder_without_an_ensemble_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="nothing_here"):
        Ensemble.load(tmp_path / "nothing_here")
    (tmp_path / "ensemble.json").write_text(json.dumps({"files": ["gone.keras"], "weights": [1]}))
    with pytest.raises(MissingFileError):
        Ensemble.load(tmp_path)


def test_a_member_that_cannot_be_pickled_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="Member 0"):
        Ensemble([_constant(1, 0)]).save(tmp_path)
    assert not (tmp_path / "ensemble.json").exists()


def test_the_keras_model_averages_the_keras_members(digits_spec, digits):
    nets = [build_classifier(digits_spec, "mlp", seed=seed, name=f"net{seed}") for seed in (0, 1)]
    svm = ShallowTeacher("svm", 10).fit(digits.x[:50], digits.y[:50])
    model = Ensemble([svm, *nets], weights=[5, 1, 3]).keras_model()
    expected = Ensemble(nets, weights=[1, 3]).predict_proba(digits.x_test)
    np.testing.assert_allclose(model.predict(digits.x_test, verbose=0), expected, atol=1e-6)
    assert model.input.name == "image"
    with pytest.raises(InvalidInputError, match="no Keras member"):
        Ensemble([svm]).keras_model()


@pytest.mark.parametrize(("units", "activation"), [(1, None), (1, "sigmoid"), (2, "softmax")])
def test_the_keras_model_has_one_column_per_class(units, activation):
    member = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=activation),
        ]
    )
    ensemble = Ensemble([member])
    x = np.random.default_rng(0).random((5, 8, 8, 1)).astype("float32")
    received = ensemble.keras_model().predict(x, verbose=0)
    np.testing.assert_allclose(received, ensemble.predict_proba(x), atol=1e-6)
    assert received.shape == (5, 2)


def test_two_samples_a_class_are_enough_for_every_member(digits_spec, digits):
    rows = np.concatenate([np.flatnonzero(digits.y == label)[:2] for label in range(10)])
    teacher = build_teacher(
        digits_spec, digits.x[rows], digits.y[rows],
        members=("svm", "extra_trees", "mlp"), size="tiny", steps=5,
    )  # fmt: skip
    assert np.isfinite(teacher.predict_logits(digits.x_test)).all()


def test_bad_teachers_are_refused(digits_spec, digits):
    with pytest.raises(InvalidInputError, match="extra_trees"):
        build_teacher(digits_spec, digits.x, digits.y, members=("extra_tres",))
    with pytest.raises(InvalidInputError, match="two classes"):
        build_teacher(digits_spec, digits.x, np.zeros(len(digits.x)), members=("svm",))
