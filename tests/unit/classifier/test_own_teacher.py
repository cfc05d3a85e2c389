import keras
import numpy as np
import pandas as pd
import pytest
import skops.io
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from keras_ganaccel.classifier.estimator_file import save_estimator
from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.own_teacher import OwnTeacher, class_order, load_teacher
from keras_ganaccel.errors import InvalidInputError, MissingFileError, UnsafeModelError
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.table.column_file import read_options
from keras_ganaccel.modality.table.fit_table import fit_table
from keras_ganaccel.modality.table.kinds import type_columns

pytestmark = pytest.mark.train

NAMES = ("no", "yes")


def _frame(rows=300, seed=0):
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    frame = pd.DataFrame(
        {
            "age": random.integers(20, 60, rows) + 8 * y,
            "pay": random.lognormal(3 + y, 0.5, rows),
            "city": random.choice(["Bern", "Köln", "Łódź", "Rom"], rows, p=[0.5, 0.3, 0.18, 0.02]),
            "same": 1,
            "key": np.arange(rows),
        }
    )
    frame.loc[random.random(rows) < 0.1, "pay"] = np.nan
    frame.loc[random.random(rows) < 0.1, "city"] = None
    return frame, y


def _object(frame):
    return frame.astype({"city": object}).assign(city=lambda f: f.city.where(f.city.notna(), None))


@pytest.fixture(scope="module")
def table():
    """A frame with gaps, a constant and a key; its labels; its specification."""
    frame, y = _frame()
    typed, _ = type_columns(frame, read_options({}))
    return frame, y, fit_table(frame, typed, y, NAMES, target="label")[0]


@pytest.fixture(scope="module")
def pipeline(table):
    """A pipeline of all raw columns, that of a user who knows nothing of ours."""
    frame, y, _ = table
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "pay", "same"]),
        (OneHotEncoder(), ["city"]),
    )
    return make_pipeline(prepared, LogisticRegression()).fit(_object(frame), np.array(NAMES)[y])


def test_a_pipeline_answers_about_generated_rows_through_its_raw_columns(table, pipeline):
    frame, y, spec = table
    raw = _object(frame)
    teacher = OwnTeacher(pipeline, spec, raw, y)
    # Classes are in the other order only by name; here they agree, and so must the columns.
    np.testing.assert_allclose(teacher.predict_raw(raw), pipeline.predict_proba(raw), atol=1e-6)
    answers = teacher.predict_proba(spec.encode(raw))
    agreement = np.mean(answers.argmax(1) == teacher.predict_raw(raw).argmax(1))
    assert agreement > 0.97
    assert any("of 300 training rows as it does raw" in note for note in teacher.notes)
    # Samples that no row is: softened and shifted.
    noisy = spec.encode(raw) + np.random.default_rng(0).normal(0, 0.5, (300, spec.sample_shape[0]))
    assert np.isfinite(teacher.predict_logits(noisy.astype("float32"))).all()
    assert teacher.predict_proba(spec.encode(raw)[:0]).shape == (0, 2)
    # It is a teacher like any other.
    np.testing.assert_array_equal(ask(teacher, spec.encode(raw), 2), answers)


def test_what_decoding_gives_looks_like_the_raw_rows(table):
    frame, y, spec = table
    seen = []

    def watch(rows):
        seen.append(rows)
        return np.tile([[0.5, 0.5]], (len(rows), 1)).astype("float32")

    teacher = OwnTeacher(watch, spec, frame, y)
    teacher.predict_proba(spec.encode(frame))
    back = seen[-1]
    assert list(back.columns) == list(frame.columns)
    assert back["age"].dtype == frame["age"].dtype
    assert back["city"].dtype == frame["city"].dtype
    assert (back["same"] == 1).all()
    assert set(back["city"].dropna()) <= set(frame["city"].dropna())
    np.testing.assert_array_equal(back["pay"].isna(), frame["pay"].isna())
    np.testing.assert_array_equal(back["city"].isna(), frame["city"].isna())
    np.testing.assert_array_equal(back["age"], frame["age"])


def test_lightgbm_takes_categories_of_pandas(table):
    frame, y, spec = table
    raw = frame.astype({"city": "category"})
    model = LGBMClassifier(n_estimators=20, verbose=-1).fit(raw.drop(columns="key"), y)
    teacher = OwnTeacher(lambda rows: model.predict_proba(rows.drop(columns="key")), spec, raw, y)
    direct = OwnTeacher(
        LGBMClassifier(n_estimators=20, verbose=-1).fit(raw, np.array(NAMES)[y]), spec, raw, y
    )
    for each in (teacher, direct):
        answers = each.predict_proba(spec.encode(raw))
        assert np.mean(answers.argmax(1) == y) > 0.8


@pytest.mark.parametrize(
    ("classes", "names", "order"),
    [
        (["yes", "no"], ["no", "yes"], [1, 0]),
        ([0, 1, 2], ["0", "1", "2"], [0, 1, 2]),
        (np.array([1.0, 2.0, 5.0]), ["1", "2", "5"], [0, 1, 2]),
        ([False, True], ["False", "True"], [0, 1]),
        ([False, True], ["0", "1"], [0, 1]),
        ([1, 0], ["false", "true"], [1, 0]),
        ([2, 10, 1], ["1", "10", "2"], [2, 1, 0]),
        ([0.5, 1.5], ["0.5", "1.5"], [0, 1]),
        (["1", "0"], ["0", "1"], [1, 0]),
    ],
)
def test_classes_fit_by_name_whatever_they_are_made_of(classes, names, order):
    found, note = class_order(list(classes), names)
    assert found.tolist() == order
    assert note == ""


def test_numbers_may_be_places_and_this_is_said():
    found, note = class_order([0, 1], ["<=50K", ">50K"])
    assert found.tolist() == [0, 1]
    assert "0 is '<=50K', 1 is '>50K'" in note


@pytest.mark.parametrize(
    ("classes", "names", "words"),
    [
        (["no"], ["no", "yes"], "none for 'yes'"),
        (["no", "yes", "maybe"], ["no", "yes"], "'maybe' besides"),
        (["no", "no"], ["no", "yes"], "none for 'yes'"),
        ([1, 2], ["no", "yes"], "none for 'no', 'yes' and '1', '2' besides"),
        ([0, 1, 2], ["no", "yes"], "besides"),
        (["no", "yes", "no"], ["no", "yes"], "a class twice"),
    ],
)
def test_other_classes_are_told_in_one_line(classes, names, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        class_order(classes, names)
    assert "\n" not in str(caught.value)


def _answers(*row):
    return lambda rows: np.tile(np.array([row], "float32"), (len(rows), 1))


@pytest.mark.parametrize(
    ("classifier", "words"),
    [
        (_answers(0.5, 0.5, 0.0), "one probability per class"),
        (_answers(0.7), "both columns"),
        (lambda rows: np.full(len(rows), 0.7), "both columns"),
        (_answers(0.7, 0.7), "1 in sum"),
        (_answers(np.nan, 0.5), "0 or more and 1 in sum"),
        (_answers(-0.5, 1.5), "0 or more"),
        (lambda rows: rows["nothing"], "KeyError"),
        (LogisticRegression(), "could not answer"),
        (3, "int"),
    ],
)
def test_answers_that_cannot_be_are_told_before_anything_is_trained(table, classifier, words):
    frame, y, spec = table
    with pytest.raises(InvalidInputError, match=words) as caught:
        OwnTeacher(classifier, spec, frame, y)
    assert "\n" not in str(caught.value)


def test_a_frame_of_answers_says_its_classes_itself(table):
    frame, y, spec = table

    class Tabular:
        """As AutoGluon's predictor answers."""

        def predict_proba(self, rows):
            return pd.DataFrame({"yes": np.full(len(rows), 0.9), "no": np.full(len(rows), 0.1)})

    teacher = OwnTeacher(Tabular(), spec, frame, y)
    np.testing.assert_allclose(teacher.predict_proba(spec.encode(frame))[0], [0.1, 0.9], atol=1e-6)


def test_a_teacher_that_is_nearly_always_wrong_is_suspected(table):
    frame, y, spec = table
    lookup = dict(zip(frame["key"], y, strict=True))

    def wrong(rows):
        return np.eye(2, dtype="float32")[[1 - lookup.get(key, 0) for key in rows["key"]]]

    assert any("another order" in note for note in OwnTeacher(wrong, spec, frame, y).notes)


def test_keras_models_of_encoded_rows_and_of_columns(table):
    frame, y, spec = table
    encoded = keras.Sequential([keras.Input(spec.sample_shape), keras.layers.Dense(2)])
    assert OwnTeacher(encoded, spec, frame, y).predict_proba(spec.encode(frame)).shape == (300, 2)
    age = keras.Input((1,), name="age")
    probability = keras.layers.Dense(1, "sigmoid")(age)
    columns = OwnTeacher(keras.Model([age], probability), spec, frame, y)
    np.testing.assert_allclose(columns.predict_raw(frame).sum(axis=1), 1, atol=1e-5)


def test_of_images_it_takes_what_it_always_took():
    spec = DataSpec(2, 2, 1, ("a", "b"))
    x = np.random.default_rng(0).random((40, 2, 2, 1)).astype("float32")
    y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
    model = LogisticRegression().fit(x.reshape(40, -1), np.array(["b", "a"])[y])
    teacher = OwnTeacher(model, spec, x, 1 - y)
    np.testing.assert_allclose(
        teacher.predict_proba(x), model.predict_proba(x.reshape(40, -1)), atol=1e-6
    )


def test_files_of_skops_and_keras_teach(table, pipeline, tmp_path):
    frame, y, spec = table
    save_estimator(tmp_path / "pipeline.skops", pipeline)
    raw = _object(frame)
    loaded = OwnTeacher(load_teacher(tmp_path / "pipeline.skops"), spec, raw, y)
    np.testing.assert_allclose(loaded.predict_raw(raw), pipeline.predict_proba(raw), atol=1e-6)
    model = keras.Sequential([keras.Input(spec.sample_shape), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        ask(load_teacher(tmp_path / "model.keras"), spec.encode(raw)),
        ask(model, spec.encode(raw)), atol=1e-6,
    )  # fmt: skip


class Planted:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle ran')",))


def test_no_code_of_a_file_runs_unless_it_may(tmp_path, table):
    import joblib

    joblib.dump(Planted(), tmp_path / "planted.joblib")
    with pytest.raises(UnsafeModelError, match="--allow-unsafe"):
        load_teacher(tmp_path / "planted.joblib")
    joblib.dump(Planted(), tmp_path / "planted.skops")  # a pickle under another name
    with pytest.raises(InvalidInputError, match="no zip archive"):
        load_teacher(tmp_path / "planted.skops", allow_unsafe=True)
    frame, y, _ = table
    model = HistGradientBoostingClassifier(max_iter=2).fit(frame[["age"]], y)
    joblib.dump(model, tmp_path / "model.pkl")
    assert load_teacher(tmp_path / "model.pkl", allow_unsafe=True).n_features_in_ == 1
    keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x)]).save(
        tmp_path / "code.keras"
    )
    with pytest.raises(UnsafeModelError, match="lambda"):
        load_teacher(tmp_path / "code.keras")


def test_files_that_hold_no_teacher_are_told_in_one_line(tmp_path):
    with pytest.raises(MissingFileError):
        load_teacher(tmp_path / "none.skops")
    (tmp_path / "empty.keras").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="no Keras 3 file"):
        load_teacher(tmp_path / "empty.keras")
    x, y = np.eye(4), [0, 1, 0, 1]
    skops.io.dump(LinearSVC().fit(x, y), tmp_path / "margins.skops")
    with pytest.raises(InvalidInputError, match="CalibratedClassifierCV"):
        load_teacher(tmp_path / "margins.skops")
    skops.io.dump({"a": 1}, tmp_path / "values.skops")
    with pytest.raises(InvalidInputError, match="predict_proba"):
        load_teacher(tmp_path / "values.skops")
