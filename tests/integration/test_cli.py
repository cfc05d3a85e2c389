"""Commands with a user's own model and pictures: refused where they do not fit, else to the end."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_ganaccel.cli.main import _run
from keras_ganaccel.report.ledger import STAGES, Ledger

pytestmark = pytest.mark.train

TINY = [
    "gan.steps=10", "gan.width=8", "gan.latent_dim=8", "gan.batch_size=16",
    "gan.steps_per_execution=5", "gan.evaluate_every=10", "teacher.members=[convnet]",
    "teacher.size=tiny", "teacher.steps=20", "gate.teacher_members=[svm]", "gate.steps=10",
    "gate.arms=[gan]", "gate.headroom_check=false", "student.steps=20", "student.batch_size=16",
    "student.transfer_size=100", "pool.size=32", "pool.filters=[]", "compression.steps=20",
]  # fmt: skip
SET_TINY = [word for setting in TINY for word in ("--set", setting)]


# TensorFlow tells about its devices once; `main` keeps that off the terminal, `_run` does not.
keras.ops.zeros(1)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with 120 digits of three classes."""
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    rows = np.concatenate([np.flatnonzero(digits.target == label)[:40] for label in range(3)])
    np.savez("digits.npz", x=digits.images[rows], y=digits.target[rows])
    return tmp_path


def own_model(shape=(8, 8, 1), units=3, activation="softmax"):
    """A functional model as a user would write it."""
    image = keras.Input(shape)
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(units, activation=activation)(x))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"shape": (9, 8, 1)}, "9"),
        ({"shape": (8, 8, 3)}, "3"),
        ({"units": 4}, "4"),
    ],
    ids=["size", "channels", "classes"],
)
def test_a_model_that_does_not_fit_is_refused(here, capfd, model, words):
    own_model(**model).save("own.keras")
    before = sorted(here.rglob("*"))
    assert _run(["run", "--data", "digits.npz", "--model", "own.keras", "--out", "run"]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert words in err
    assert sorted(here.rglob("*")) == before


def test_a_lambda_is_refused_by_what_keras_really_writes(here, capfd):
    keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
    ).save("own.keras")
    assert _run(["run", "--data", "digits.npz", "--model", "own.keras"]) == 2
    assert "--allow-unsafe" in capfd.readouterr().err


def test_a_classifier_is_trained_and_exported_without_a_run(here, capfd):
    train = ["classifier", "train", "--data", "digits.npz", "--steps", "20", "--batch-size", "16"]
    assert _run([*train, "--out", "own.keras", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert 0 <= found["validation"]["accuracy"] <= 1
    assert "test" not in found, "who is still choosing must not see the test split"
    export = ["export", "own.keras", "--data", "digits.npz", "--quantization", "int8"]
    assert _run([*export, "--out", "own.tflite"]) == 0
    capfd.readouterr()
    check = ["verify", "own.tflite", "--data", "digits.npz", "--int8", "--reference", "own.keras"]
    assert _run([*check, "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert row["bytes"] == (here / "own.tflite").stat().st_size
    assert row["agreement"] > 0.8
    assert _run(check) == 0
    assert "against the reference: " in capfd.readouterr().out
    squeeze = ["compress", "own.keras", "--data", "digits.npz", "--technique", "ptq"]
    assert _run([*squeeze, "--out", "small.tflite", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert (row["split"], row["dtype_in"], row["dtype_out"]) == ("validation", "int8", "int8")
    assert _run([*squeeze, "--out", "small.tflite", "--test"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[::2]] == ["small on validation", "small on test"]


@pytest.mark.slow
def test_a_folder_of_mixed_pictures_to_the_end(here):
    rng = np.random.default_rng(0)
    for number in range(60):
        mode, ending = [
            ("RGB", "png"),
            ("L", "png"),
            ("RGBA", "png"),
            ("RGB", "jpg"),
            ("L", "jpg"),
        ][number % 5]
        label = "dark" if number % 2 else "light"
        height, width = rng.integers(9, 16, 2)
        noise = rng.integers(0, 100, (height, width, 3)) + (0 if label == "dark" else 150)
        (here / "pictures" / label).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(noise.astype(np.uint8)).convert(mode)
        picture.save(here / "pictures" / label / f"{number:02}.{ending}")
    assert _run(["run", "--data", "pictures", "--image-size", "12", "--out", "run", *SET_TINY]) == 0
    ledger = Ledger.load(here / "run" / "ledger.json")
    assert ledger.values["data"]["classes"] == ["dark", "light"]
    assert [row["name"] for row in ledger.values["stages"]] == list(STAGES)
    assert ledger.stage("student_keras")["input"]["shape"][1:3] == [12, 12]
    assert _run(["verify", "run"]) == 0
    student = "run/artifacts/student_int8.tflite"
    assert _run(["predict", student, "pictures/dark", "--out", "p.csv"]) == 0
    assert len((here / "p.csv").read_text().splitlines()) == 31


@pytest.mark.slow
def test_a_users_own_model_to_the_end(here):
    model = own_model()
    model.save("own.keras")
    words = ["--model", "own.keras", "--input-range", "-1,1", "--data", "digits.npz"]
    assert _run(["run", *words, "--out", "run", *SET_TINY]) == 0
    ledger = Ledger.load(here / "run" / "ledger.json")
    student = keras.saving.load_model("run/artifacts/student.keras")
    assert [w.shape for w in student.get_weights()] == [w.shape for w in model.get_weights()]
    assert student.layers[-1].activation is keras.activations.softmax
    assert ledger.stage("student_keras")["parameters"] == model.count_params()
    # Float input = raw * scale + offset: the raw values run from 0 to 16, the input from -1 to 1.
    found = ledger.stage("student_float32")["input"]
    assert found["scale"] == pytest.approx(1 / 8)
    assert found["offset"] == pytest.approx(-1)
    assert ledger.stage("student_float32")["agreement"] == 1
    assert _run(["verify", "run"]) == 0
