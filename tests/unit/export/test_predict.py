import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.predict import predict, predict_files
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train


def test_probabilities_of_a_file(files, trained, digits):
    expected = softmax(trained.predict(digits.x_test[:50], verbose=0), axis=1)
    np.testing.assert_allclose(predict(files["float32"], digits.x_test[:50]), expected, atol=1e-4)
    quantized = predict(files["int8"], digits.x_test[:50])
    np.testing.assert_allclose(quantized.sum(1), 1, atol=1e-6)
    assert np.mean(quantized.argmax(1) == expected.argmax(1)) > 0.95


def test_raw_samples_from_files(files, trained, digits, tmp_path):
    raw = np.rint(digits.x_test[:6, ..., 0] * 16).astype(np.uint8)
    np.save(tmp_path / "x.npy", raw)
    rows = predict_files(files["float32"], tmp_path / "x.npy")
    expected = trained.predict(digits.x_test[:6], verbose=0).argmax(1)
    assert [row["label"] for row in rows] == [str(label) for label in expected]
    assert list(rows[0]["probabilities"]) == list("0123456789")
    named = predict_files(files["float32"], tmp_path / "x.npy", class_names=tuple("abcdefghij"))
    assert named[0]["label"] == "abcdefghij"[expected[0]]
    with pytest.raises(InvalidInputError, match="a name for each of 10 classes"):
        predict_files(files["float32"], tmp_path / "x.npy", class_names=("a", "b"))


def test_an_image_for_a_file_with_its_preprocessing_inside(trained, digits, tmp_path):
    spec = DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 255.0))
    path = export_tflite(trained, tmp_path / "m.tflite", spec=spec, raw_input=True)
    raw = np.rint(digits.x_test[3, ..., 0] * 255).astype(np.uint8)
    Image.fromarray(raw).save(tmp_path / "one.png")
    (row,) = predict_files(path, tmp_path / "one.png")
    expected = trained.predict(digits.x_test[3:4], verbose=0).argmax()
    assert row["label"] == str(expected)


def test_a_binary_model_gives_two_probabilities(digits, tmp_path):
    image = keras.Input((8, 8, 1), name="image")
    outputs = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(image))
    model = keras.Model(image, outputs)
    path = export_tflite(model, tmp_path / "m.tflite", class_names=("no", "yes"))
    found = predict(path, digits.x_test[:5])
    expected = model.predict(digits.x_test[:5], verbose=0)
    np.testing.assert_allclose(found, np.concatenate([1 - expected, expected], 1), atol=1e-5)


def test_tensorflow_is_not_imported_for_a_tflite_file(files):
    program = (
        "import sys, numpy as np\n"
        "from keras_ganaccel.export.predict import predict\n"
        "assert predict(sys.argv[1], np.zeros((2, 8, 8, 1))).shape == (2, 10)\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(files["int8"])], check=True)
