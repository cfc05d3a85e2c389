import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, VerificationError
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.export.saved_model import export_saved_model
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train

SPEC = DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0))


def test_tensorflow_loads_it_and_computes_the_same(trained, digits, tmp_path, capfd):
    folder = export_saved_model(trained, tmp_path / "saved", spec=SPEC)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    for rows in (1, 7):
        outputs = signature(image=tf.constant(digits.x_test[:rows]))["logits"].numpy()
        expected = trained.predict(digits.x_test[:rows], verbose=0)
        np.testing.assert_allclose(outputs, expected, atol=1e-4)
    metadata = open_artifact(folder).metadata
    assert metadata.class_names == SPEC.class_names
    assert metadata.value_range == (0.0, 16.0)


def test_its_bytes_depend_on_the_model_alone(trained, tmp_path):
    def export(name):
        folder = export_saved_model(trained, tmp_path / name, spec=SPEC)
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    first = export("first")
    tf.function(lambda x: trained(x) + 1)(tf.zeros((2, 8, 8, 1)))  # counts functions up
    assert export("second") == first


def test_several_inputs_by_name(tmp_path):
    latent = keras.Input((3,), name="latent")
    label = keras.Input((), dtype="int32", name="label")
    x = keras.layers.Concatenate()([latent, keras.layers.Embedding(4, 2)(label)])
    generator = keras.Model(
        [latent, label], keras.layers.Reshape((2, 2, 1))(keras.layers.Dense(4)(x))
    )
    folder = export_saved_model(generator, tmp_path / "generator")
    z, labels = np.ones((5, 3), np.float32), np.array([0, 1, 2, 3, 0], np.int32)
    expected = generator.predict([z, labels], verbose=0)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = signature(latent=tf.constant(z), label=tf.constant(labels))["samples"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(open_artifact(folder).outputs((z, labels)), expected, atol=1e-5)


def test_a_saved_model_is_replaced_and_anything_else_is_not(trained, tmp_path):
    folder = export_saved_model(trained, tmp_path / "saved")
    (folder / "left_over").write_text("of the first one")
    export_saved_model(trained, folder)
    assert not (folder / "left_over").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    with pytest.raises(InvalidInputError, match="must not hold anything else"):
        export_saved_model(trained, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "precious"


def test_a_failed_export_leaves_nothing(tmp_path):
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(InvalidInputError, match="must know its inputs"):
        export_saved_model(Subclassed(name="mine"), tmp_path / "saved", output="logits")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_folder_is_refused(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(VerificationError, match="cannot be loaded"):
        open_artifact(tmp_path / "saved")
