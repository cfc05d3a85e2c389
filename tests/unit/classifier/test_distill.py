import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from keras_ganaccel.classifier.distill import Distiller, hinton_loss, label_loss, logits_loss
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train

SHAPE = (4, 4, 1)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def _student(seed=0, activation=None, name="student"):
    initializer = keras.initializers.GlorotUniform(seed=seed)
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(5, activation="relu", kernel_initializer=initializer, name="hidden"),
            keras.layers.Dense(
                3, activation=activation, kernel_initializer=initializer, name="out"
            ),
        ],
        name=name,
    )


def _batch(random, count=8):
    x = random.random((count, *SHAPE)).astype("float32")
    return x, random.integers(0, 3, count), random.normal(size=(count, 3)).astype("float32")


def _compiled(student, teacher=None, rate=0.1, **arguments):
    distiller = Distiller(student, teacher, **arguments)
    distiller.compile(optimizer=keras.optimizers.SGD(rate))
    return distiller


def test_label_loss_is_cross_entropy_and_free_without_label(random):
    logits = random.normal(size=(4, 3)).astype("float32")
    targets = np.array([[1, 0, 0], [0, 0.4, 0.6], [0.2, 0.3, 0.5], [0, 0, 0]], "float32")
    expected = -np.sum(targets * log_softmax(logits, axis=1), axis=1)
    np.testing.assert_allclose(label_loss(targets, logits), expected, rtol=1e-5, atol=1e-7)
    assert label_loss(targets, logits)[3] == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_hinton_loss_is_the_divergence_times_the_temperature_squared(random, temperature):
    teacher, student = random.normal(size=(2, 4, 3)).astype("float32")
    soft = softmax(teacher / temperature, axis=1)
    expected = temperature**2 * entropy(soft, softmax(student / temperature, axis=1), axis=1)
    np.testing.assert_allclose(hinton_loss(soft, student, temperature), expected, rtol=1e-4)
    own = softmax(student / temperature, axis=1)
    np.testing.assert_allclose(hinton_loss(own, student, temperature), 0, atol=1e-5)


def test_hinton_gradients_keep_their_size_at_high_temperature(random):
    teacher, student = random.normal(size=(2, 16, 3)).astype("float32")
    sizes = []
    for temperature in (20.0, 200.0):
        logits = tf.constant(student)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = hinton_loss(softmax(teacher / temperature, axis=1), logits, temperature)
        sizes.append(float(tf.norm(tape.gradient(loss, logits))))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_logits_loss_ignores_what_is_added_to_all_classes(random):
    teacher, student = random.normal(size=(2, 4, 3)).astype("float32")
    expected = np.var(teacher - student, axis=1)
    np.testing.assert_allclose(logits_loss(teacher, student), expected, rtol=1e-4)
    np.testing.assert_allclose(logits_loss(teacher + 7, student), expected, rtol=1e-3)


def _reference_step(student, x, labels, teacher, weight, *, rate, alpha, temperature):
    """The same step of gradient descent, written down anew with Keras' own losses."""
    with tf.GradientTape() as tape:
        logits = student(x, training=True)
        hard = keras.losses.sparse_categorical_crossentropy(
            np.maximum(labels, 0), logits, from_logits=True
        )
        hard = tf.where(labels >= 0, hard, 0.0)
        soft = keras.losses.kl_divergence(
            tf.nn.softmax(teacher / temperature), tf.nn.softmax(logits / temperature)
        )
        each = alpha * hard + (1 - alpha) * temperature**2 * soft
        loss = tf.reduce_sum(each * weight) / len(x)
    variables = student.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(rate * gradient)
    return float(loss)


def test_a_step_is_the_weighted_mean_gradient_with_unlabelled_rows(random):
    x, labels, teacher = _batch(random)
    labels[2] = labels[5] = -1
    weight = random.random(8).astype("float32")
    expected, student = _student(), _student()
    loss = _reference_step(
        expected, x, labels, teacher, weight, rate=0.1, alpha=0.3, temperature=3.0
    )
    distiller = _compiled(student, alpha=0.3, temperature=3.0)
    targets = {"label": labels, "teacher_logits": teacher}
    stream = tf.data.Dataset.from_tensors((x, targets, weight))
    history = distiller.fit(stream, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx(loss, rel=1e-5)
    for a, b in zip(student.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_answers_in_the_stream_and_from_the_teacher_train_alike(random):
    x, labels, _ = _batch(random)
    teacher = _student(seed=9, activation="softmax", name="teacher")
    probabilities = teacher.predict(x, verbose=0)
    students = []
    for given, target in (
        (teacher, labels),
        (lambda images: teacher(images).numpy(), labels),
        (None, {"label": labels, "teacher_logits": np.log(probabilities)}),
    ):
        students.append(_student())
        stream = tf.data.Dataset.from_tensors((x, target))
        _compiled(students[-1], given).fit(stream, shuffle=False, verbose=0)
    for other in students[1:]:
        for a, b in zip(students[0].get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_softmax_student_learns_what_one_with_logits_learns(random):
    x, labels, teacher = _batch(random)
    targets = {"label": labels, "teacher_logits": teacher}
    with_logits, with_softmax = _student(), _student(activation="softmax")
    for student in (with_logits, with_softmax):
        _compiled(student).fit(tf.data.Dataset.from_tensors((x, targets)), shuffle=False, verbose=0)
    for a, b in zip(with_logits.get_weights(), with_softmax.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_binary_unit_learns_as_keras_binary_crossentropy(random):
    x, labels, _ = _batch(random)
    labels = labels % 2

    def build():
        kernel = keras.initializers.GlorotUniform(seed=1)
        return keras.Sequential(
            [
                keras.Input(SHAPE),
                keras.layers.Flatten(),
                keras.layers.Dense(1, activation="sigmoid", kernel_initializer=kernel),
            ]
        )

    ours, theirs = build(), build()
    _compiled(ours).fit(tf.data.Dataset.from_tensors((x, labels)), shuffle=False, verbose=0)
    theirs.compile(optimizer=keras.optimizers.SGD(0.1), loss="binary_crossentropy")
    theirs.fit(x, labels[:, None], batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_regularisation_of_the_student_counts(random):
    x, labels, _ = _batch(random)
    student, plain = (
        keras.Sequential(
            [
                keras.Input(SHAPE),
                keras.layers.Flatten(),
                keras.layers.Dense(3, kernel_regularizer=regularizer),
            ]
        )
        for regularizer in (keras.regularizers.L2(0.5), None)
    )
    plain.set_weights(student.get_weights())
    kernel = student.get_weights()[0]
    for model in (student, plain):
        _compiled(model).fit(tf.data.Dataset.from_tensors((x, labels)), shuffle=False, verbose=0)
    difference = plain.get_weights()[0] - student.get_weights()[0]
    np.testing.assert_allclose(difference, 0.1 * 2 * 0.5 * kernel, atol=1e-6)


def test_the_teacher_is_neither_trained_nor_moved(random):
    x, labels, _ = _batch(random)
    teacher = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    before = teacher.get_weights()
    distiller = _compiled(_student(), teacher)
    distiller.fit(x, labels, epochs=2, shuffle=False, verbose=0)
    assert teacher.trainable
    assert len(distiller.trainable_variables) == 4
    for a, b in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_approach_the_teachers(random):
    x, labels, _ = _batch(random)
    teacher = _student(seed=5, name="teacher")
    distiller = _compiled(
        _student(), teacher, rate=0.1, alpha=0.0, feature_layers=("hidden", "hidden")
    )
    before = float(tf.reduce_mean(distiller._matcher(x)))
    distiller.fit(x, labels, epochs=100, shuffle=False, verbose=0)
    assert float(tf.reduce_mean(distiller._matcher(x))) < 0.5 * before


def test_feature_layers_are_checked():
    with pytest.raises(InvalidInputError, match="Keras teacher"):
        Distiller(_student(), lambda x: x, feature_layers=("hidden", "hidden"))
    with pytest.raises(InvalidInputError, match="hidden"):
        Distiller(_student(), _student(name="t"), feature_layers=("hiden", "hidden"))


def test_accuracy_counts_labelled_rows_only(random):
    x, labels, _ = _batch(random, 30)
    student = _student()
    expected = np.mean(student.predict(x, verbose=0).argmax(1)[:20] == labels[:20])
    labels[20:] = -1
    measured = _compiled(student).evaluate(x, labels, verbose=0, return_dict=True)
    assert measured["accuracy"] == pytest.approx(expected)


def test_a_saved_distiller_goes_on_where_it_was(random, tmp_path):
    x, labels, _ = _batch(random)
    distiller = _compiled(
        _student(), _student(seed=3, name="teacher"), augmentation=("shift", "mixup"), seed=4,
        feature_layers=("hidden", "hidden"), loss="logits",
    )  # fmt: skip
    distiller.fit(x, labels, shuffle=False, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    for model in (distiller, loaded):
        model.fit(x, labels, batch_size=8, shuffle=False, verbose=0)
    assert loaded.get_config()["augmentation"] == ["shift", "mixup"]
    for a, b in zip(distiller.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [{"temperature": 0.0}, {"alpha": 1.5}, {"loss": "hinten"}, {"label_smoothing": 1.0},
     {"augmentation": ("shifft",)}, {"teacher": 3}],
)  # fmt: skip
def test_bad_arguments_are_refused_in_one_line(arguments):
    with pytest.raises(InvalidInputError) as caught:
        Distiller(_student(), **arguments)
    assert "\n" not in str(caught.value)


def test_a_keras_teacher_of_other_classes_is_refused():
    other = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(4)])
    with pytest.raises(InvalidInputError, match="4 and 3"):
        Distiller(_student(), other)
