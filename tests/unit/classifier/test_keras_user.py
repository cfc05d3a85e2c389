"""The distiller and `train_classifier`, written as people who know Keras write them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_ganaccel.classifier.distill import Distiller
from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.outputs import output_kind
from keras_ganaccel.classifier.targets import check_labels, one_hot_targets
from keras_ganaccel.classifier.teacher import Ensemble
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train

CLASSES = 4


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    y = np.arange(48) % CLASSES
    x = random.random((48, 4, 4, 1)).astype("float32")
    x[np.arange(48), y, 0] += 2.0
    return x, y


def _student(activation=None, units=CLASSES):
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(
                units, activation, kernel_initializer=keras.initializers.GlorotUniform(seed=1)
            ),
        ]
    )


def _distiller(student=None, teacher=None, **compile_options):
    distiller = Distiller(student or _student(), teacher)
    distiller.compile(keras.optimizers.SGD(0.1), **compile_options)
    return distiller


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(CLASSES, activation=lambda x: tf.nn.softmax(x))

    def call(self, inputs):
        return self.dense(self.flatten(inputs))


@pytest.mark.parametrize("steps_per_execution", [1, 2])
@pytest.mark.parametrize("form", ["numbers", "column", "one-hot"])
def test_metrics_of_compile_measure_what_keras_measures(data, form, steps_per_execution):
    x, y = data
    labels = {"numbers": y, "column": y[:, None], "one-hot": np.eye(CLASSES, dtype="int64")[y]}[
        form
    ]
    kind = "Categorical" if form == "one-hot" else "SparseCategorical"
    metrics = lambda: [  # noqa: E731
        "accuracy",
        getattr(keras.metrics, f"{kind}Crossentropy")(name="ce"),
        getattr(keras.metrics, f"TopK{kind}Accuracy" if kind == "Categorical" else
                "SparseTopKCategoricalAccuracy")(2, name="top2"),
    ]  # fmt: skip
    student = _student("softmax")
    distiller = _distiller(student, metrics=metrics(), steps_per_execution=steps_per_execution)
    history = distiller.fit(x, labels, validation_data=(x, labels), epochs=2, verbose=0).history
    assert {"accuracy", "ce", "top2", "val_ce", "loss"} <= history.keys()
    student.compile(loss=f"{'' if form == 'one-hot' else 'sparse_'}categorical_crossentropy",
                    metrics=metrics())  # fmt: skip
    expected = student.evaluate(x, labels, verbose=0, return_dict=True)
    for name in ("accuracy", "ce", "top2"):
        assert history[f"val_{name}"][-1] == pytest.approx(expected[name], rel=1e-4)


def test_unlabelled_rows_are_in_no_metric_and_weights_are_in_theirs(data):
    x, y = data
    distiller = _distiller(
        _student("softmax"),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="plain")],
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted")],
    )
    some = np.where(np.arange(48) < 24, y, -1)
    weight = np.where(np.arange(48) < 12, 1.0, 0.0)[:, None]
    found = distiller.evaluate(x, some, sample_weight=weight, verbose=0, return_dict=True)
    right = distiller.student.predict(x, verbose=0).argmax(1) == y
    assert found["plain"] == pytest.approx(right[:24].mean(), abs=1e-6)
    assert found["weighted"] == pytest.approx(right[:12].mean(), abs=1e-6)
    assert found["accuracy"] == pytest.approx(right[:24].mean(), abs=1e-6)


@pytest.mark.parametrize(
    "callback",
    [
        lambda path: keras.callbacks.EarlyStopping("val_accuracy", patience=1),
        lambda path: keras.callbacks.ReduceLROnPlateau("accuracy", patience=1),
        lambda path: keras.callbacks.ModelCheckpoint(
            str(path / "best.weights.h5"), "val_accuracy", save_best_only=True,
            save_weights_only=True,
        ),
        lambda path: keras.callbacks.EarlyStopping("val_teacher_loss", patience=1),
        lambda path: keras.callbacks.EarlyStopping("top2", patience=1),
    ],
)  # fmt: skip
def test_callbacks_find_out_which_way_is_better(data, callback, tmp_path):
    x, y = data
    made = callback(tmp_path)
    distiller = _distiller(
        teacher=lambda images: np.full((len(images), CLASSES), 1 / CLASSES),
        metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")],
    )
    distiller.fit(x, y, validation_split=0.25, epochs=2, verbose=0, callbacks=[made])
    better = made.monitor_op(np.float32(0.9), np.float32(0.1))
    assert bool(better) == ("loss" not in made.monitor)


@pytest.mark.parametrize("steps_per_execution", [1, 2])
@pytest.mark.parametrize(
    ("metric", "one_hot"),
    [
        ("categorical_accuracy", False),
        (keras.metrics.TopKCategoricalAccuracy(2), False),
        (keras.metrics.F1Score(), False),
        ("precision", False),
        ("mse", False),
        ("sparse_categorical_accuracy", True),
        ("no such metric", False),
    ],
)
def test_a_metric_for_other_labels_is_refused_in_one_line(
    data, metric, one_hot, steps_per_execution
):
    x, y = data
    distiller = _distiller(metrics=[metric], steps_per_execution=steps_per_execution)
    with pytest.raises(
        InvalidInputError, match=r"^The metrics of compile\(\) do not fit"
    ) as refused:
        distiller.fit(x, np.eye(CLASSES)[y] if one_hot else y, verbose=0)
    assert "\n" not in str(refused.value)
    assert int(distiller.optimizer.iterations) == 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda x, y: {"x": x, "y": y[:5]}, "x of 48, y of 5"),
        (lambda x, y: {"x": x, "y": y.tolist()}, r"numpy.asarray\(y\)"),
        (lambda x, y: {"x": x.tolist(), "y": y}, r"numpy.asarray\(x\)"),
        (lambda x, y: {"x": x, "y": y, "sample_weight": np.ones(3)}, "sample_weight of 3"),
        (lambda x, y: {"x": x, "y": y, "sample_weight": np.full(48, np.nan)}, "finite numbers"),
        (lambda x, y: {"x": x.reshape(48, 16), "y": y}, r", 16\) for a model of samples"),
        (lambda x, y: {"x": np.zeros((48, 5, 4, 1)), "y": y}, r", 5, 4, 1\) for a model"),
        (lambda x, y: {"x": _dataset(x, y)}, r"single samples of shape \(4, 4, 1\)"),
        (lambda x, y: {"x": _dataset(x, y, np.full(48, np.nan)).batch(16)}, "must be finite"),
        (lambda x, y: {"x": ((x[:8, :2], y[:8]) for _ in range(2))}, r"2, 4, 1\) for a model"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_before_the_first_step(data, change, line):
    distiller = _distiller()
    weights = distiller.student.get_weights()
    with pytest.raises(InvalidInputError, match=line) as refused:
        distiller.fit(**change(*data), verbose=0)
    assert "\n" not in str(refused.value)
    for before, after in zip(weights, distiller.student.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_validation_is_looked_at_like_training(data):
    x, y = data
    with pytest.raises(InvalidInputError, match="single samples"):
        _distiller().fit(x, y, validation_data=_dataset(x, y), verbose=0)
    flat = _distiller().fit(x[..., 0], y, validation_data=(x[..., 0], y), verbose=0).history
    assert np.isfinite(flat["val_loss"][0])


def _dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


@pytest.mark.parametrize("student", [None, lambda x: x, "student.keras", RandomForestClassifier()])
def test_a_student_must_be_a_keras_model(student):
    with pytest.raises(InvalidInputError, match="must be a Keras model"):
        Distiller(student)


def test_a_teacher_of_other_samples_and_options_that_are_no_numbers_are_refused():
    other = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
    )
    with pytest.raises(InvalidInputError, match=r"\(28, 28, 1\) and \(4, 4, 1\)"):
        Distiller(_student(), other)
    for option in ("temperature", "alpha", "label_smoothing"):
        with pytest.raises(InvalidInputError, match=f"`{option}` must be a number"):
            Distiller(_student(), **{option: "1"})


def test_an_exported_distiller_is_its_student(data, tmp_path):
    distiller = _distiller()
    distiller.export(str(tmp_path / "student"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "student"))
    np.testing.assert_allclose(served.serve(data[0]), distiller.student(data[0]), atol=1e-6)


def test_a_mode_that_was_given_is_kept(data):
    stopper = keras.callbacks.EarlyStopping("accuracy", mode="min")
    _distiller().fit(*data, verbose=0, callbacks=stopper)
    assert stopper.mode == "min"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    labels=st.lists(st.integers(-1, CLASSES - 1), min_size=1, max_size=8),
    dtype=st.sampled_from(["int8", "int32", "int64", "float16", "float32", "float64"]),
    form=st.sampled_from(["numbers", "column", "rows"]),
    known=st.booleans(),
)
def test_every_form_of_labels_means_the_same(labels, dtype, form, known):
    labels = np.array(labels)
    rows = np.eye(CLASSES + 1)[labels][:, :CLASSES]
    given_as = {"numbers": labels, "column": labels[:, None], "rows": rows}[form].astype(dtype)
    check_labels(given_as, CLASSES)
    signature = tf.TensorSpec(None if not known else (None, *given_as.shape[1:]), dtype)
    graph = tf.function(lambda y: one_hot_targets(y, CLASSES), input_signature=[signature])
    np.testing.assert_array_equal(graph(tf.constant(given_as)), rows)


@settings(max_examples=30, deadline=None)
@given(
    wrong=st.sampled_from([-2, CLASSES, 255, 0.5, np.nan, np.inf]),
    place=st.integers(0, 7),
)
def test_labels_out_of_range_are_refused_in_arrays_and_in_graphs(wrong, place):
    labels = np.arange(8) % CLASSES
    labels = labels.astype("int64" if isinstance(wrong, int) else "float32")
    labels[place] = wrong
    with pytest.raises(InvalidInputError, match="Labels must be") as refused:
        check_labels(labels, CLASSES)
    assert "\n" not in str(refused.value)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Labels must be"):
        one_hot_targets(labels, CLASSES)


def test_a_dataset_with_a_label_too_many_ends_in_one_line(data):
    x, y = data
    batches = tf.data.Dataset.from_tensor_slices((x, y + 1)).batch(16)
    for wrong in (batches, batches.map(lambda a, b: (a, tf.one_hot(b, CLASSES) * 2.0))):
        with pytest.raises(InvalidInputError, match=r"Labels must|labels must") as refused:
            _distiller().fit(wrong, verbose=0)
        assert "\n" not in str(refused.value)
    with pytest.raises(InvalidInputError, match="finite"):
        _distiller().fit(batches.map(lambda a, b: (a * np.nan, b - 1)), verbose=0)


@pytest.mark.parametrize(
    "y",
    [
        np.array(["a", "b"] * 24),
        np.zeros((48, 3)),
        np.ones((48, CLASSES)),
        np.zeros((48, 2, 2)),
        np.full(48, np.nan),
    ],
)
def test_labels_that_are_none_are_refused_before_the_first_step(data, y):
    distiller = _distiller()
    for arguments in ({"y": y}, {"y": data[1], "validation_data": (data[0], y)}):
        with pytest.raises(InvalidInputError, match=r"abels must"):
            distiller.fit(data[0], **arguments, verbose=0)
    assert int(distiller.optimizer.iterations) == 0


def test_a_subclassed_student_is_trained(data):
    student = Subclassed()
    with pytest.raises(InvalidInputError, match="Call it on a batch"):
        Distiller(student)
    student(data[0][:1])
    before = student.get_weights()
    assert output_kind(student) == "softmax"
    _distiller(student, metrics=["accuracy"]).fit(*data, verbose=0)
    assert not np.array_equal(before[0], student.get_weights()[0])
    train_classifier(student, data, steps=2)


@pytest.mark.parametrize("pipeline", [False, True])
def test_a_teacher_that_lacks_a_class_gives_it_no_share(data, pipeline):
    x, y = data
    known = y != 1
    forest = RandomForestClassifier(5, random_state=0)
    teacher = make_pipeline(StandardScaler(), forest) if pipeline else forest
    teacher.fit(x[known].reshape(known.sum(), -1), y[known])
    answers = ask(teacher, x, CLASSES)
    assert answers.shape == (48, CLASSES)
    assert not answers[:, 1].any()
    np.testing.assert_allclose(answers[:, [0, 2, 3]], teacher.predict_proba(x.reshape(48, -1)))
    history = _distiller(teacher=teacher).fit(x, y, verbose=0).history
    assert np.isfinite(history["teacher_loss"][0])
    mixed = Ensemble([teacher, lambda images: np.full((len(images), CLASSES), 1 / CLASSES)])
    assert mixed.predict_proba(x).shape == (48, CLASSES)


def test_names_of_classes_stand_in_sorted_order_or_are_refused(data):
    x, y = data
    rows, names = x.reshape(48, -1), np.array(["ant", "bee", "cat", "dog"])[y]
    whole = RandomForestClassifier(5, random_state=0).fit(rows, names)
    np.testing.assert_allclose(ask(whole, x, CLASSES), whole.predict_proba(rows), atol=1e-7)
    from_one = RandomForestClassifier(5, random_state=0).fit(rows, y + 1)
    np.testing.assert_allclose(ask(from_one, x, CLASSES), from_one.predict_proba(rows), atol=1e-7)
    part = RandomForestClassifier(5).fit(rows[y > 0], names[y > 0])
    with pytest.raises(InvalidInputError, match="same classes"):
        Distiller(_student(), part)


@pytest.mark.parametrize(
    ("teacher", "line"),
    [
        (lambda images: np.zeros((len(images), 3)), "one probability per class"),
        (lambda images: np.full((len(images), CLASSES), 5.0), "probabilities"),
        (lambda images: images["x"], "could not answer"),
        (RandomForestClassifier(5), "could not answer"),
    ],
)
def test_a_teacher_that_fails_in_the_middle_says_so_in_one_line(data, teacher, line):
    with pytest.raises(InvalidInputError, match=line) as refused:
        _distiller(teacher=teacher).fit(*data, verbose=0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [{"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 3}],
    ids=["eager", "jit", "steps"],
)
def test_every_way_of_execution_trains_alike(data, options):
    x, y = data

    def trained(**options):
        distiller = _distiller(metrics=[keras.metrics.SparseCategoricalAccuracy()], **options)
        history = distiller.fit(x, y, batch_size=16, shuffle=False, epochs=2, verbose=0).history
        return distiller.student.get_weights(), history

    (plain, plain_history), (other, history) = trained(), trained(**options)
    for mine, theirs in zip(plain, other, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert history["loss"] == pytest.approx(plain_history["loss"], rel=1e-4)
    assert history["sparse_categorical_accuracy"] == pytest.approx(history["accuracy"])


def test_a_loss_in_compile_and_xla_for_a_python_teacher_are_refused():
    with pytest.raises(InvalidInputError, match="a loss of its own"):
        _distiller(loss="sparse_categorical_crossentropy")
    with pytest.raises(InvalidInputError, match="XLA"):
        _distiller(teacher=lambda images: images, jit_compile=True)


def test_a_compiled_distiller_comes_back_from_its_file(data, tmp_path):
    x, y = data
    distiller = _distiller(metrics=["accuracy", keras.metrics.SparseCategoricalAccuracy()])
    distiller.fit(x, y, class_weight={0: 1.0, 1: 2.0, 2: 1.0, 3: 1.0}, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.saving.load_model(tmp_path / "distiller.keras")
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(
        distiller.evaluate(x, y, verbose=0, return_dict=True)
    )
    loaded.fit(x, y, verbose=0)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), loaded.student(x), atol=1e-6)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.x[16 * index : 16 * index + 16], self.y[16 * index : 16 * index + 16]


def test_train_classifier_takes_what_keras_takes(data):
    x, y = data

    def endless():
        while True:
            yield x[:16], y[:16]

    forms = [
        (x.tolist(), y.tolist()),
        (tf.constant(x), tf.constant(y)),
        [x, y],
        Batches(x, y),
        endless(),
        tf.data.Dataset.from_tensor_slices((x, y)).batch(20, drop_remainder=True),
    ]
    for form in forms:
        history = train_classifier(
            _student(), form, steps=np.int64(5), batch_size=np.int32(100),
            learning_rate=np.float32(1e-3),
        ).history  # fmt: skip
        assert np.isfinite(history["loss"][0])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"steps": 0}, "`steps` must be a whole number"),
        ({"steps": 2.5}, "`steps` must be a whole number"),
        ({"batch_size": 0}, "`batch_size` must be a whole number"),
        ({"data": (np.full((4, 4, 4, 1), np.nan), np.zeros(4))}, "finite"),
        ({"data": (np.zeros((4, 5, 5, 1)), np.zeros(4))}, "do not fit the model"),
        ({"data": (np.zeros((4, 4, 4, 1)), np.zeros(3))}, "one length"),
        ({"data": (np.zeros((0, 4, 4, 1)), np.zeros(0))}, "no samples"),
        ({"data": (np.zeros((4, 4, 4, 1)),)}, "`data` must be"),
        ({"data": ([[1], [1, 2]], [0, 1])}, "uneven rows"),
        ({"data": iter(())}, "yields none"),
        ({"data": iter([(np.zeros((2, 4, 4, 1)), np.zeros(2))])}, "1 of 2 steps"),
        ({"data": np.zeros((4, 4, 4, 1))}, "`data` must be"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_line(data, change, line):
    arguments = {"data": data, "steps": 2, **change}
    with pytest.raises(InvalidInputError, match=line) as refused:
        train_classifier(_student(), arguments.pop("data"), **arguments)
    assert "\n" not in str(refused.value)


def test_datasets_that_are_empty_or_not_batched_are_refused(data):
    samples = tf.data.Dataset.from_tensor_slices(data)
    for wrong, line in (
        (samples, "must yield batches"),
        (samples.batch(4).take(0), "must hold batches"),
        (samples.batch(4).filter(lambda x, y: False), "0 of 2 steps"),
        (samples.batch(4).map(lambda x, y: x), r"must yield \(x, y\)"),
    ):
        with pytest.raises(InvalidInputError, match=line):
            train_classifier(_student(), wrong, steps=2)
