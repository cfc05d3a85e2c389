"""Artefacts of tables: the front end rides in the file, which predicts raw rows on its own."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

import keras_ganaccel as ga
from keras_ganaccel.cli.main import main
from keras_ganaccel.export.metadata import ArtifactMetadata
from keras_ganaccel.export.predict import predict_files


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    city = rng.choice(["Bern", "Köln", "Łódź"], 400)
    size = rng.exponential(size=400) ** 3
    frame = pd.DataFrame({"size": np.where(rng.random(400) < 0.1, np.nan, size), "city": city})
    return frame.assign(label=np.where((size > 0.3) ^ (city == "Bern"), "up", "down"))


@pytest.fixture(scope="module")
def data(rows):
    return ga.load_data(rows, target="label")


@pytest.fixture(scope="module")
def student(data):
    keras.utils.set_random_seed(0)
    layers = [keras.Input(data.spec.sample_shape), keras.layers.Dense(16, "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    x, y = data.arrays("train")
    model.fit(x, y, epochs=30, verbose=0)
    return model


@pytest.fixture(scope="module")
def artefact(student, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "student_int8.tflite"
    calibration = data.arrays("train")[0]
    return ga.export_tflite(
        student, path, "int8", representative_dataset=calibration, spec=data.spec
    )


def test_a_file_predicts_raw_rows_as_the_model_does_encoded_ones(
    artefact, student, data, rows, tmp_path
):
    test = rows.iloc[data.splits.test]
    test.drop(columns="label").to_csv(tmp_path / "new.csv", index=False)
    found = predict_files(artefact, tmp_path / "new.csv")
    expected = keras.ops.softmax(student.predict(data.arrays("test")[0], verbose=0)).numpy()
    chances = np.array([list(row["probabilities"].values()) for row in found])
    assert list(found[0]["probabilities"]) == ["down", "up"]
    assert np.abs(chances - expected).max() < 0.1
    assert (chances.argmax(1) == expected.argmax(1)).mean() > 0.97
    again = predict_files(artefact, test)
    assert again == found


def test_verify_feeds_raw_rows_through_the_files_own_front_end(artefact, data, rows):
    found = ga.verify(artefact, data, min_accuracy=0.9, promises={"int8": True})
    assert found.input["scale"] == 1.0
    other = ga.load_data(rows, target="label", labels=60, seed=7)
    assert other.spec != data.spec
    assert ga.verify(artefact, other).accuracy == found.accuracy


def test_a_savedmodel_predicts_raw_rows_too(student, data, rows, tmp_path):
    folder = ga.export_saved_model(student, tmp_path / "student", spec=data.spec)
    found = predict_files(folder, rows.iloc[:20])
    expected = student.predict(data.spec.encode(rows.iloc[:20]), verbose=0).argmax(axis=1)
    assert [row["label"] for row in found] == [data.spec.class_names[label] for label in expected]


def test_the_command_line_predicts_a_file_of_rows(artefact, rows, tmp_path, capfd):
    rows.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(SystemExit) as left:
        main(["predict", str(artefact), str(tmp_path / "new.csv"), "--json"])
    assert left.value.code == 0
    found = json.loads(capfd.readouterr().out)
    assert len(found) == len(rows)
    agree = [row["label"] == label for row, label in zip(found, rows["label"], strict=True)]
    assert np.mean(agree) > 0.9


@pytest.mark.parametrize(
    ("content", "word"),
    [("size\n1\n2\n", "'city'"), ("size,city\nlarge,Bern\n", "'large'"), ("size,city\n", "rows")],
)
def test_rows_that_do_not_fit_are_refused_in_one_line(artefact, tmp_path, capfd, content, word):
    path = tmp_path / "new.csv"
    path.write_text(content)
    with pytest.raises(SystemExit) as left:
        main(["predict", str(artefact), str(path)])
    error = capfd.readouterr().err
    assert left.value.code == 2
    assert word in error
    assert error.count("\n") == 1


def test_metadata_of_a_table_are_short_and_come_back(data):
    metadata = ArtifactMetadata(data.spec.class_names, "logits", spec=data.spec)
    text = metadata.to_json()
    assert ArtifactMetadata.from_json(text) == metadata
    assert len(text) < 1000
    plain = ArtifactMetadata(("a", "b"), "logits")
    assert b"spec" not in plain.to_json()


@pytest.mark.parametrize("spec", ["", "abc", 7, "c$@H=", {"columns": []}])
def test_damaged_metadata_of_a_table_are_refused(data, spec):
    values = json.loads(ArtifactMetadata(data.spec.class_names, "logits", spec=data.spec).to_json())
    values["spec"] = spec
    with pytest.raises(ga.InvalidInputError, match="cannot be read"):
        ArtifactMetadata.from_json(json.dumps(values).encode())


def test_a_front_end_for_another_width_is_refused(student, data, tmp_path):
    other = ga.load_data("tables:iris").spec
    path = ga.export_tflite(
        student, tmp_path / "s.tflite", spec=other, class_names=data.spec.class_names
    )
    with pytest.raises(ga.InvalidInputError, match="its own front end"):
        predict_files(path, data.x.iloc[:2])
