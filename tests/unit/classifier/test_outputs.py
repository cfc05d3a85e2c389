import keras
import numpy as np
import pytest
from scipy.special import softmax

from keras_ganaccel.classifier.outputs import (
    check_model_fits,
    logits_of,
    num_classes,
    output_kind,
    predict_logits,
)
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.spec import DataSpec


def _ending(*layers, units=3, activation=None):
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=activation),
            *layers,
        ]
    )


def _functional_operation():
    image = keras.Input((4, 4, 1))
    dense = keras.layers.Dense(3)(keras.layers.Flatten()(image))
    return keras.Model(image, keras.ops.softmax(dense))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (_ending(), "logits"),
        (_ending(activation="relu"), "logits"),
        (_ending(activation="softmax"), "softmax"),
        (_ending(keras.layers.Softmax()), "softmax"),
        (_ending(keras.layers.Activation("softmax")), "softmax"),
        (_ending(keras.layers.Softmax(), keras.layers.Activation("linear")), "softmax"),
        (_ending(keras.layers.Softmax(), keras.layers.Reshape((3,))), "softmax"),
        (keras.Sequential([keras.Input((4, 4, 1)), _ending(activation="softmax")]), "softmax"),
        (_functional_operation(), "softmax"),
        (_ending(units=1), "binary_logit"),
        (_ending(units=1, activation="sigmoid"), "binary_probability"),
    ],
)
def test_the_kind_of_output_is_recognised(model, kind):
    assert output_kind(model) == kind
    assert num_classes(model, kind) == (2 if kind.startswith("binary") else 3)


def test_from_logits_overrides():
    assert output_kind(_ending(), from_logits=False) == "softmax"
    assert output_kind(_ending(activation="softmax"), from_logits=True) == "logits"
    assert output_kind(_ending(units=1), from_logits=False) == "binary_probability"


def test_logits_give_back_the_classifiers_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    expected = softmax(logits, axis=1)
    for outputs, kind in ((logits, "logits"), (expected, "softmax")):
        np.testing.assert_allclose(softmax(logits_of(outputs, kind), axis=1), expected, atol=1e-6)
    p = np.array([[0.0], [0.2], [0.5], [1.0]], "float32")
    two = softmax(logits_of(p, "binary_probability"), axis=1)
    np.testing.assert_allclose(two, np.concatenate([1 - p, p], axis=1), atol=1e-6)
    assert np.isfinite(logits_of(p, "binary_probability")).all()
    z = np.array([[-1.5], [0.7]], "float32")
    np.testing.assert_allclose(
        softmax(logits_of(z, "binary_logit"), axis=1)[:, 1:], 1 / (1 + np.exp(-z)), atol=1e-6
    )


def test_predictions_do_not_depend_on_the_batch_size():
    model = _ending(activation="softmax")
    x = np.random.default_rng(0).random((7, 4, 4, 1)).astype("float32")
    expected = model.predict(x, verbose=0)
    for batch_size in (1, 3, 512):
        received = softmax(predict_logits(model, x, batch_size=batch_size), axis=1)
        np.testing.assert_allclose(received, expected, atol=1e-6)
    assert predict_logits(model, x[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (DataSpec(4, 5, 1, ("a", "b", "c")), r"\(4, 4, 1\) for samples of \(4, 5, 1\)"),
        (DataSpec(4, 4, 3, ("a", "b", "c")), r"\(4, 4, 3\)"),
        (DataSpec(4, 4, 1, ("a", "b")), r"output \(3,\) for 2 classes"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_one_line(spec, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        check_model_fits(_ending(), spec)
    assert "\n" not in str(caught.value)


def test_models_that_fit_pass():
    check_model_fits(_ending(), DataSpec(4, 4, 1, ("a", "b", "c")))
    check_model_fits(_ending(units=1), DataSpec(4, 4, 1, ("a", "b")))
    flexible = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)]
    )
    check_model_fits(flexible, DataSpec(4, 4, 1, ("a", "b")))


def test_two_outputs_are_refused():
    image = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(image)
    both = keras.Model(image, [keras.layers.Dense(2)(flat), keras.layers.Dense(2)(flat)])
    with pytest.raises(InvalidInputError, match="one output"):
        check_model_fits(both, DataSpec(4, 4, 1, ("a", "b")))
