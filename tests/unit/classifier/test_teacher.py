import json

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from keras_ganaccel.classifier import held_out
from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.ensemble import Ensemble
from keras_ganaccel.classifier.shallow import ShallowTeacher
from keras_ganaccel.classifier.teacher import build_teacher
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.load import load_data

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


def test_a_member_that_needs_code_cannot_be_saved(tmp_path):
    with pytest.raises(InvalidInputError, match="lambda"):
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


ROWS_ONLY = ("boosted_trees", "extra_trees", "svm", "logistic")


def _table(rows, seed=0):
    """Two classes: one column tells much, the others little or nothing."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    x = random.normal(size=(rows, 6)) + y[:, None] * np.array([1.5, 0.5, 0.5, 0, 0, 0])
    return x.astype("float32"), y


def test_members_of_tables_are_folds_that_vote_by_their_worth(digits_spec, tmp_path):
    x, y = _table(200)
    told = []
    teacher = build_teacher(
        digits_spec, x, y, members=ROWS_ONLY, augmentation=(),
        progress=lambda *call: told.append(call),
    )  # fmt: skip
    assert told == [(i, 4, name) for i, name in enumerate(ROWS_ONLY)]
    assert [each.name for each in teacher.evidence] == list(ROWS_ONLY)
    assert {each.rows for each in teacher.evidence} == {200}
    assert sum(each.weight for each in teacher.evidence) == pytest.approx(1)
    held_x, held_y = _table(2000, seed=1)
    answers = teacher.predict_proba(held_x)
    assert np.mean(answers.argmax(axis=1) == held_y) > 0.75
    for kind in ROWS_ONLY:
        fits = [member for member in teacher.members if member.kind == kind]
        assert len(fits) in (0, 5)  # those that are worth nothing are left out
    teacher.save(tmp_path)
    assert not list(tmp_path.glob("*.joblib"))
    loaded = Ensemble.load(tmp_path)
    assert loaded.evidence == teacher.evidence
    np.testing.assert_array_equal(loaded.predict_proba(held_x), answers)


def test_the_rows_of_a_table_teach_networks_too():
    data = load_data("tables:wine")
    x, y = data.arrays("train")
    teacher = build_teacher(data.spec, x, y, members=("mlp",), size="tiny", steps=60)
    assert len(teacher.members) == 5
    assert teacher.evidence[0].accuracy > 0.8
    held_x, held_y = data.arrays("test")
    model = teacher.keras_model()
    assert np.mean(model.predict(held_x, verbose=0).argmax(axis=1) == held_y) > 0.8


def test_the_evidence_is_what_scikit_learn_would_measure(digits_spec):
    x, y = _table(200)
    teacher = build_teacher(digits_spec, x, y, members=("logistic",), augmentation=())
    expected = cross_val_score(LogisticRegression(), x, y, cv=5)
    assert teacher.evidence[0].accuracy == pytest.approx(expected.mean(), abs=0.03)


def test_an_interrupted_teacher_goes_on_with_the_members_that_it_has(digits_spec, tmp_path):
    x, y = _table(120)
    recipe = {"members": ("svm", "logistic", "mlp"), "size": "tiny", "steps": 5}
    spec = DataSpec(6, 1, 1, ("no", "yes"))
    x = x.reshape(-1, 6, 1, 1)
    whole = build_teacher(spec, x, y, **recipe)

    def stop(index, count, member):
        if index == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_teacher(spec, x, y, **recipe, parts=tmp_path, progress=stop)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.skops")}
    assert len(before) == 2
    resumed = build_teacher(spec, x, y, **recipe, parts=tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.skops")} == before
    np.testing.assert_allclose(resumed.predict_proba(x), whole.predict_proba(x), atol=1e-6)
    # Of other labels nothing is taken over.
    other = build_teacher(spec, x, 1 - y, **recipe, parts=tmp_path)
    assert np.mean(other.predict_proba(x).argmax(1) == 1 - y) > 0.6


def test_a_weak_member_pulls_less_where_images_are_many(digits_spec, digits, monkeypatch):
    monkeypatch.setattr(held_out, "_LEAST_PART_OF", 500)
    x = digits.x[:, ::-1].copy()
    x[::2] = digits.x[::2]  # half of the digits stand on their heads: hard for straight lines
    teacher = build_teacher(digits_spec, x, digits.y, members=("svm", "logistic"))
    svm, logistic = teacher.evidence
    assert (svm.rows, svm.accuracy > logistic.accuracy) == (200, True)
    assert svm.weight > 2 * logistic.weight
    learned = [member for member in teacher.members if member.kind == "svm"]
    # What is cheap has learned from all rows in the end.
    assert np.mean(learned[0].predict_proba(x).argmax(1) == digits.y) > 0.99


def test_bad_teachers_are_refused(digits_spec, digits):
    with pytest.raises(InvalidInputError, match="extra_trees"):
        build_teacher(digits_spec, digits.x, digits.y, members=("extra_tres",))
    with pytest.raises(InvalidInputError, match="two classes"):
        build_teacher(digits_spec, digits.x, np.zeros(len(digits.x)), members=("svm",))
