"""What an artefact takes that does not say so: found out, said, and the same for every command."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.agreement import range_of_input
from keras_ganaccel.export.inspect import TensorFacts
from keras_ganaccel.export.predict import predict_files
from keras_ganaccel.export.verify import verify

pytestmark = pytest.mark.train
L = keras.layers


def nearest_mean(data, ends=(0.0, 1.0), front=(), dtype="float32"):
    """Tells digits by the nearest mean of a class, of samples whose black and white are `ends`."""
    x, y = data.arrays("train")
    means = np.stack([x[y == k].reshape(-1, 64).mean(axis=0) for k in range(10)])
    low, high = ends
    kernel = means.T / (high - low)
    bias = -np.square(means).sum(axis=1) / 2 - low * kernel.sum(axis=0)
    image = keras.Input((8, 8, 1), dtype=dtype, name="image")
    inner = keras.ops.cast(image, "float32") if dtype != "float32" else image
    for layer in front:
        inner = layer(inner)
    dense = L.Dense(10)
    model = keras.Model(image, dense(L.Flatten()(inner)))
    dense.set_weights([kernel, bias])
    return model


def tflite(model, path, ends=None, samples=None, io=None):
    """Converts as the manual of TFLite says; nothing of ours is in the file."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if ends is not None:
        low, high = ends
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [(low + (high - low) * samples[row : row + 1]).astype(np.float32)] for row in range(100)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = io
    path.write_bytes(converter.convert())
    return path


def signed(data, folder):
    return tflite(nearest_mean(data, (-1.0, 1.0)), folder / "signed.tflite")


def signed_int8(data, folder):
    model, x = nearest_mean(data, (-1.0, 1.0)), data.arrays("train")[0]
    return tflite(model, folder / "signed_int8.tflite", (-1.0, 1.0), x, tf.int8)


def bytes_in_uint8(data, folder):
    model, x = nearest_mean(data, front=[L.Rescaling(1 / 255)]), data.arrays("train")[0]
    return tflite(model, folder / "uint8.tflite", (0.0, 255.0), x, tf.uint8)


def bytes_in_keras(data, folder):
    nearest_mean(data, front=[L.Rescaling(1 / 255)]).save(folder / "bytes.keras")
    return folder / "bytes.keras"


def typed_saved_model(data, folder):
    model = nearest_mean(data, front=[L.Rescaling(1 / 255)], dtype="uint8")
    model.export(folder / "typed", verbose=False)
    return folder / "typed"


@pytest.mark.parametrize(
    ("make", "ends", "told_without_labels"),
    [
        (signed, (-1.0, 1.0), False),
        (signed_int8, (-1.0, 1.0), True),
        (bytes_in_uint8, (0.0, 255.0), True),
        (bytes_in_keras, (0.0, 255.0), True),
        (typed_saved_model, (0.0, 255.0), True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_range_is_found_and_said(make, ends, told_without_labels, data, tmp_path):
    path = make(data, tmp_path)
    given = verify(path, data, input_range=ends, latency_repeats=0)
    found = verify(path, data, latency_repeats=0)
    assert found.accuracy == given.accuracy > 0.85
    assert not any("is assumed" in note for note in given.notes)
    (note,) = (note for note in found.notes if "is assumed" in note)
    assert f"input_range {ends[0]:g},{ends[1]:g} is assumed: " in note
    np.save(tmp_path / "raw.npy", data.x[data.splits.test])
    asked = None if told_without_labels else ends
    rows = predict_files(
        path, tmp_path / "raw.npy", value_range=(0.0, 16.0), input_range=asked
    )  # fmt: skip
    right = [int(row["label"]) == y for row, y in zip(rows, data.y[data.splits.test], strict=True)]
    assert np.mean(right) == found.accuracy


def test_nothing_is_found_where_nothing_stands_out():
    assert range_of_input(TensorFacts("image", (1, 8, 8, 1), "float32")) is None
    odd = TensorFacts("image", (1, 8, 8, 1), "int8", (0.7,), (3,))
    assert range_of_input(odd) is None


def test_what_is_no_classifier_of_the_data_is_told_so(data, tmp_path):
    image = keras.Input((8, 8, 1))
    flat = L.Flatten()(image)
    cases = {
        "rebuilds": (L.Dense(64)(flat), "as many numbers as a sample has: it may rebuild"),
        "number": (L.Dense(1)(flat), "a single number: two classes, or a regression"),
        "pictures": (L.Conv2D(1, 3)(image), "Only a classifier's output"),
        "boxes": ([L.Dense(10)(flat), L.Dense(4)(flat)], "A classifier has one output"),
    }
    for name, (outputs, message) in cases.items():
        path = tflite(keras.Model(image, outputs), tmp_path / f"{name}.tflite")
        with pytest.raises(InvalidInputError, match=message):
            verify(path, data, latency_repeats=0)


def test_a_single_number_is_taken_for_two_classes_and_said_to_be(data, tmp_path):
    x, y = data.arrays("test")
    kept = y < 2
    image = keras.Input((8, 8, 1))
    two = {"linear": "logit", "sigmoid": "probability"}
    means = [x[y == k].mean(axis=0).ravel() for k in (0, 1)]
    for activation, kind in two.items():
        dense = L.Dense(1, activation=activation)
        model = keras.Model(image, dense(L.Flatten()(image)))
        kernel = means[1] - means[0]
        dense.set_weights([kernel[:, None], -kernel @ (means[0] + means[1])[:, None] / 2])
        path = tflite(model, tmp_path / f"{activation}.tflite")
        found = verify(path, (x[kept], y[kept]), latency_repeats=0)
        assert found.accuracy > 0.97
        assert f"taken for the {kind} of the second of two classes" in " ".join(found.notes)
