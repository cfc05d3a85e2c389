import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError, VerificationError
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.export.interpreter import TFLiteRunner, dequantize, quantize
from keras_ganaccel.export.probe import try_out
from keras_ganaccel.export.tflite import export_tflite

pytestmark = pytest.mark.train


def test_quantization_is_inverted_to_half_a_step():
    values = np.random.default_rng(0).uniform(-1, 1, 1000)
    there = quantize(values, np.int8, 2 / 255, 0)
    assert there.dtype == np.int8
    assert np.abs(dequantize(there, 2 / 255, 0) - values).max() <= 1 / 255 + 1e-7
    assert quantize(np.array([-9.0, 9.0]), np.uint8, 0.1, 128).tolist() == [38, 218]
    assert quantize(np.array([-99.0, 99.0]), np.int16, 0.001, 0).tolist() == [-32768, 32767]


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_the_batch_size_does_not_matter(name, files, digits):
    together = TFLiteRunner(files[name].read_bytes()).run(digits.x_test[:9])
    runner = TFLiteRunner(files[name].read_bytes())
    alone = np.concatenate([runner.run(digits.x_test[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_larger_static_batch_is_filled_up(trained, digits, tmp_path):
    path = export_tflite(trained, tmp_path / "m.tflite", batch_size=4)
    outputs = TFLiteRunner(path.read_bytes()).run(digits.x_test[:10])
    expected = trained.predict(digits.x_test[:10], verbose=0)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_samples_that_do_not_fit(files, digits):
    runner = TFLiteRunner(files["float32"].read_bytes())
    with pytest.raises(InvalidInputError, match="takes samples of shape"):
        runner.run(digits.x_test[:, :5])
    with pytest.raises(InvalidInputError, match="0 rows"):
        runner.run(digits.x_test[:0])
    with pytest.raises(InvalidInputError, match="takes samples of shape"):
        runner.run(digits.x_test[:2], digits.x_test[:2])


def test_a_crash_of_the_interpreter_is_survived(files, tmp_path, monkeypatch):
    from keras_ganaccel.export import probe

    content = files["int8"].read_bytes()
    assert try_out(content, "m.tflite").shapes[0] == (1, 8, 8, 1)
    monkeypatch.setattr(probe, "_TRIAL", "import os, signal; os.kill(os.getpid(), 11)")
    with pytest.raises(VerificationError, match=r"crashed on it.*\(signal 11\)"):
        open_artifact(files["int8"])
    monkeypatch.setattr(probe, "_TRIAL", "import time; time.sleep(60)")
    monkeypatch.setattr(probe, "_SECONDS", 0.2)
    with pytest.raises(VerificationError, match="no answer within"):
        try_out(content, "m.tflite")
