import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.classifier.assumptions import UNIT, assume
from keras_ganaccel.modality.image.spec import DataSpec

SPEC = DataSpec(8, 8, 3, ("a", "b", "c"), value_range=(0.0, 16.0))
BYTES, SIGNED, RAW = (0.0, 255.0), (-1.0, 1.0), (0.0, 16.0)


@pytest.fixture(scope="module")
def samples():
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = random.uniform(0, 0.4, (120, 8, 8, 3)).astype("float32")
    x[np.arange(120), :, :, y] += 0.4
    return x, y


def _sequential(*front, activation=None):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            *front,
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation=activation),
        ]
    )


def _functional(scaled):
    image = keras.Input((8, 8, 3))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(scaled(image))))


def _normalization(low, high):
    middle, spread = (low + high) / 2, (high - low) / 4
    return keras.layers.Normalization(mean=[middle] * 3, variance=[spread**2] * 3)


def _nested():
    return keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.RandomFlip(), _functional(lambda x: x / 127.5 - 1)]
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: _sequential(), UNIT),
        (lambda: _sequential(keras.layers.Rescaling(1 / 255)), BYTES),
        (lambda: _sequential(keras.layers.Rescaling(1 / 127.5, offset=-1)), BYTES),
        (lambda: _sequential(keras.layers.Rescaling(2.0, offset=-1)), UNIT),
        (lambda: _sequential(keras.layers.Rescaling(0.5, offset=0.5)), SIGNED),
        (lambda: _sequential(keras.layers.Rescaling(255)), UNIT),
        (lambda: _sequential(keras.layers.Rescaling(1 / 16)), RAW),
        (lambda: _sequential(keras.layers.RandomFlip(), keras.layers.Rescaling(1 / 255)), BYTES),
        (lambda: _sequential(_normalization(0, 255)), BYTES),
        (lambda: _sequential(_normalization(0, 1)), UNIT),
        (lambda: _sequential(_normalization(0, 16)), RAW),
        (lambda: _functional(lambda x: x / 255.0), BYTES),
        (lambda: _functional(lambda x: keras.ops.subtract(keras.ops.divide(x, 127.5), 1)), BYTES),
        (lambda: _functional(keras.layers.Resizing(16, 16)), UNIT),
        (_nested, BYTES),
    ],
)
def test_the_first_layers_tell_what_an_untrained_model_takes(model, expected, samples):
    found = assume(model(), SPEC, (samples[0], np.full(120, -1)))
    assert found.input_range == expected
    assert f"[{expected[0]:g}, {expected[1]:g}]" in found.sentence
    assert "\n" not in found.sentence


@pytest.mark.train
@pytest.mark.parametrize("backbone", ["EfficientNetB0", "MobileNetV3Small"])
def test_backbones_with_their_preprocessing_inside_take_bytes(backbone, samples):
    spec = DataSpec(32, 32, 3, SPEC.class_names, value_range=BYTES)
    image = keras.Input((32, 32, 3))
    inner = getattr(keras.applications, backbone)(
        include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)
    )
    model = keras.Model(image, keras.layers.Dense(3)(inner(image)))
    found = assume(model, spec, (np.zeros((2, 32, 32, 3), "float32"), np.full(2, -1)))
    assert found.input_range == BYTES


@pytest.mark.parametrize("taken", [UNIT, BYTES, SIGNED, RAW])
def test_a_trained_model_tells_by_being_right(taken):
    """Three shades of grey; the model names the shade that the brightness is nearest to."""
    low, high = taken
    shades = np.array([0.2, 0.5, 0.8])
    y = np.arange(60) % 3
    x = np.broadcast_to(shades[y][:, None, None, None], (60, 8, 8, 3)).astype("float32")
    inside = low + (high - low) * shades
    model = _sequential()
    model.layers[-1].set_weights([np.tile(inside / 192, (192, 1)), -(inside**2) / 2])
    found = assume(model, SPEC, (x, y))
    assert found.input_range == taken
    assert ("right" in found.sentence) == (taken != UNIT)


def test_what_is_given_is_kept(samples):
    model = _sequential(keras.layers.Rescaling(1 / 255), activation="softmax")
    found = assume(model, SPEC, samples, input_range=(0.0, 2.0), from_logits=True)
    assert (found.input_range, found.kind) == ((0.0, 2.0), "logits")
    assert found.sentence.count("as given") == 2


@pytest.mark.parametrize(
    ("activation", "kind"),
    [
        (tf.nn.softmax, "softmax"),
        (lambda x: keras.ops.softmax(x), "softmax"),
        (lambda x: x * 2, "logits"),
        (keras.ops.softmax, "softmax"),
        (None, "logits"),
    ],
)
def test_the_output_is_told_by_what_comes_out(activation, kind, samples):
    assert assume(_sequential(activation=activation), SPEC, samples).kind == kind
