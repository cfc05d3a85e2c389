import contextlib
import json
import warnings
import zipfile

import keras
import pytest
import tensorflow as tf

from keras_ganaccel.errors import (
    InvalidInputError,
    MissingFileError,
    UnsafeModelError,
    VerificationError,
)
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.keras_file import check_model_file

pytestmark = pytest.mark.train

CONFIG = json.dumps({"class_name": "Functional", "config": {}})


def archive(path, *members, compression=zipfile.ZIP_STORED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as file:
        warnings.simplefilter("ignore")  # of names that occur twice
        for name, content in members:
            file.writestr(name, content)
    return path


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def test_a_file_that_keras_wrote(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    check_model_file(tmp_path / "m.keras")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("config.json", "[" * 200_000)], "nested too deeply"),
        ([("config.json", '{"a":' * 200_000)], "nested too deeply"),
        ([("config.json", '{"class_name": NaN}')], "no finite number"),
        ([("config.json", '{"class_name": "A", "class_name": "B"}')], "occurs twice"),
        ([("config.json", "[]")], "describes no model"),
        ([("config.json", "{}")], "describes no model"),
        ([("other.json", CONFIG)], "config.json"),
        ([("config.json", CONFIG), ("config.json", CONFIG)], "occurs twice"),
        ([("config.json", CONFIG), ("Config.JSON", CONFIG)], "occurs twice"),
        ([("config.json", CONFIG), ("../up", "")], "leads out of it"),
        ([("config.json", CONFIG), ("/etc/passwd", "")], "leads out of it"),
        ([("config.json", CONFIG), ("a\\..\\b", "")], "leads out of it"),
        ([("config.json", CONFIG), (link("model.weights.h5"), "/etc/passwd")], "is a link"),
        ([("config.json", CONFIG), ("model.weights.h5", bytes(2**27))], "134217728 bytes"),
        ([("config.json", CONFIG + " " * 2**26)], "config.json' has"),
    ],
)
def test_archives_that_unpack_into_a_surprise(members, reason, tmp_path):
    path = archive(tmp_path / "m.keras", *members, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InvalidInputError, match="no Keras 3 file") as caught:
        check_model_file(path)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    with pytest.raises(InvalidInputError, match="no Keras 3 file"):
        open_artifact(path)


def test_damaged_archives(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.save(tmp_path / "whole.keras")
    content = (tmp_path / "whole.keras").read_bytes()
    path = tmp_path / "m.keras"
    for position in range(0, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        for bytes_ in (damaged, content[:position]):
            path.write_bytes(bytes_)
            with contextlib.suppress(InvalidInputError):
                check_model_file(path)
    with pytest.raises(MissingFileError):
        check_model_file(tmp_path)


def test_a_lambda_is_found_however_deep(tmp_path):
    inner = {"class_name": "__lambda__"}
    for _ in range(100):
        inner = {"config": [inner]}
    config = json.dumps({"class_name": "Functional", **inner})
    path = archive(tmp_path / "m.keras", ("config.json", config))
    with pytest.raises(UnsafeModelError, match="holds code"):
        check_model_file(path)
    check_model_file(path, allow_unsafe=True)


def test_a_graph_that_reads_files_is_refused_before_it_is_loaded(tmp_path):
    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
        def serve(self, x):
            return {
                "output": x
                + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)
            }

    reader = Reader()
    tf.saved_model.save(reader, str(tmp_path / "reader"), signatures=reader.serve)
    with pytest.raises(UnsafeModelError, match="reader with ReadFile"):
        open_artifact(tmp_path / "reader")
    assert open_artifact(tmp_path / "reader", allow_unsafe=True).format == "saved_model"
    (tmp_path / "reader" / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(VerificationError, match="cannot be loaded"):
        open_artifact(tmp_path / "reader")
