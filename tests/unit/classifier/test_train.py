import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, log_loss

from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.recipe import make_optimizer
from keras_ganaccel.classifier.train import evaluate, train_classifier
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train


class Counter(keras.callbacks.Callback):
    """Remembers the distiller's optimizer when training ends."""

    def on_train_end(self, logs=None):
        self.iterations = int(self.model.optimizer.iterations)


@pytest.mark.parametrize("form", ["arrays", "dataset"])
def test_exactly_the_steps_that_were_asked_for_are_taken(digits_spec, digits, form):
    x, y = digits.x[:50], digits.y[:50]
    data = (x, y) if form == "arrays" else tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    counter = Counter()
    train_classifier(
        build_classifier(digits_spec, "mlp"), data, steps=23, batch_size=16,
        steps_per_execution=5, callbacks=[counter],
    )  # fmt: skip
    assert counter.iterations == 23


def test_training_is_a_function_of_the_seed(digits_spec, digits):
    def train(seed, architecture="separable"):
        model = build_classifier(digits_spec, architecture, seed=0)
        train_classifier(
            model, (digits.x[:100], digits.y[:100]), steps=12, seed=seed,
            augmentation=("shift", "cutout", "mixup", "cutmix"),
        )  # fmt: skip
        return model.get_weights()

    for first, again in zip(train(1), train(1), strict=True):
        np.testing.assert_array_equal(first, again)
    one, other = train(1, "mlp"), train(2, "mlp")
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_learns_and_is_measured_as_scikit_learn_measures(digits_spec, digits):
    model = build_classifier(digits_spec, "mlp")
    history = train_classifier(
        model, (digits.x, digits.y), steps=250, learning_rate=1e-2,
        validation=(digits.x_test, digits.y_test),
    ).history  # fmt: skip
    measured = evaluate(model, digits.x_test, digits.y_test)
    probabilities = ask(model, digits.x_test)
    assert measured["accuracy"] > 0.9
    assert measured["accuracy"] == accuracy_score(digits.y_test, probabilities.argmax(1))
    assert measured["log_loss"] == pytest.approx(log_loss(digits.y_test, probabilities), rel=1e-4)
    assert history["val_accuracy"][0] == pytest.approx(measured["accuracy"])
    unlabelled = np.where(np.arange(len(digits.y_test)) < 10, -1, digits.y_test)
    assert evaluate(model, digits.x_test, unlabelled) == evaluate(
        model, digits.x_test[10:], digits.y_test[10:]
    )


def test_the_cosine_schedule_ends_at_a_hundredth():
    optimizer = make_optimizer("sgd", 0.5, "cosine", 40)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 20, 40)]
    np.testing.assert_allclose(rates, [0.5, 0.5 * 0.505, 0.005], rtol=1e-5)
    own = keras.optimizers.RMSprop()
    assert make_optimizer(own, 0.1, "cosine", 10) is own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"schedule": "cosin"}, "cosine"),
        ({"optimizer": "adamant"}, "adamant"),
        ({"augmentation": ("rotate",)}, "rotate"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(digits_spec, digits, arguments, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        train_classifier(
            build_classifier(digits_spec, "mlp"), (digits.x, digits.y), **{"steps": 1, **arguments}
        )
    assert "\n" not in str(caught.value)


def test_data_of_no_known_form_are_refused(digits_spec):
    with pytest.raises(InvalidInputError, match="dict"):
        train_classifier(build_classifier(digits_spec, "mlp"), {"x": 1}, steps=1)


class Asked:
    """A teacher that counts the samples that it is asked about."""

    def __init__(self):
        self.samples = 0

    def __call__(self, x):
        self.samples += len(x)
        return np.eye(10, dtype=np.float32)[np.full(len(x), 3)]


@pytest.mark.parametrize(("augmentation", "asked"), [((), 50), (("shift",), 80 * 16)])
def test_a_teacher_is_asked_once_about_each_sample(digits_spec, digits, augmentation, asked):
    model, teacher = build_classifier(digits_spec, "mlp"), Asked()
    history = train_classifier(
        model, (digits.x[:50], digits.y[:50]), steps=80, batch_size=16, teacher=teacher,
        augmentation=augmentation, alpha=0.0, learning_rate=1e-2,
        validation=(digits.x_test, digits.y_test),
    ).history  # fmt: skip
    assert teacher.samples == asked
    assert set(history) >= {"teacher_loss", "val_accuracy"}
    # It has learnt what the teacher says of every sample, not the labels.
    assert np.mean(ask(model, digits.x_test).argmax(axis=1) == 3) > 0.99


@pytest.mark.slow
def test_a_tiny_student_reaches_its_goal_on_digits(digits_spec, digits):
    """Distilled from the mixed ensemble: 97.5 % with at most 10,000 parameters."""
    from keras_ganaccel.classifier.teacher import build_teacher
    from keras_ganaccel.classifier.transfer import transfer_set

    teacher = build_teacher(
        digits_spec, digits.x, digits.y, members=("svm", "extra_trees", "convnet"), steps=600
    )
    student = build_classifier(digits_spec)
    pool = transfer_set(teacher, digits.x, digits.y, num_classes=10)
    train_classifier(student, pool, steps=2000)
    assert student.count_params() <= 10_000
    assert evaluate(student, digits.x_test, digits.y_test)["accuracy"] >= 0.975
