"""Bad input ends in exactly one line, exit code 2, nothing left behind, and no TensorFlow."""

import importlib
import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_ganaccel.cli.main import _run
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.journey.accelerate import accelerate

pytestmark = pytest.mark.train

ROWS = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
LABELS = np.arange(40) % 4


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every test has a folder of its own; what a command makes by default shows there, too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here, capfd):
    """Runs a command that must be refused; returns its one line."""

    def run(*words):
        # A dry run checks the same; what is wrongly accepted then fails at once.
        words += ("--dry-run",) if words[0] == "run" else ()
        before = sorted(here.rglob("*"))
        code = _run([str(word) for word in words])
        out, err = capfd.readouterr()
        assert code == 2, (code, out, err)
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("ganaccel: ")
        assert sorted(here.rglob("*")) == before, "something was left behind"
        return err

    return run


def save(name, x=ROWS, y=LABELS, **more):
    np.savez(name, x=x, y=y, **more)
    return name


def picture(path, size=(9, 7), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(int(path.stem)).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


def keras_file(path, layer="Dense"):
    with zipfile.ZipFile(path, "w") as archive:
        config = {"class_name": "Sequential", "config": {"layers": [{"class_name": layer}]}}
        archive.writestr("config.json", json.dumps(config))
    return path


def with_value(x, value):
    x = x.astype(np.float32)
    x[3, 2, 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (ROWS, LABELS[:-1], "39"),
        (with_value(ROWS, np.nan), LABELS, "finite"),
        (with_value(ROWS, np.inf), LABELS, "finite"),
        (ROWS, LABELS + 0.5, "label"),
        (ROWS, LABELS[:, None] >= np.arange(4), "label"),
        (ROWS, np.where(np.arange(40) == 7, 9, LABELS), "at least 2"),
        (ROWS, np.zeros(40, int), "class"),
        (ROWS[0], LABELS, "shape"),
        (ROWS.astype(str), LABELS, "dtype"),
        (np.zeros((40, 8, 8)), LABELS, "different values"),
    ],
    ids=["lengths", "nan", "infinity", "fractions", "multi-label", "one sample", "one class",
         "shape", "text", "constant"],
)  # fmt: skip
def test_arrays_that_cannot_be_learnt_from(refused, x, y, words):
    save("data.npz", x, y)
    assert words in refused("run", "--data", "data.npz", "--out", "run")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "nowhere/x.npz"], "nowhere/x.npz"),
        (["--data", "digts"], "Did you mean 'digits'"),
        (["--data", "keras:mnits"], "Did you mean 'mnist'"),
        (["--preset", "qick"], "Did you mean 'quick'"),
        (["--set", "gan.step=5"], "Did you mean 'gan.steps'"),
        (["--set", "gan.steps=0"], "[1,"),
        (["--set", "gan.steps=many"], "whole number"),
        (["--set", "gan.steps"], "key=value"),
        (["--set", "pool.generated_fraction=1"], "[0, 1)"),
        (["--set", "gan.objective=hing"], "Did you mean 'hinge'"),
        (["--image-size", "big"], "HxW"),
        (["--image-size", "2"], "[4, 1024]"),
        (["--image-size", "8x5000"], "[4, 1024]"),
        (["--value-range", "1,0"], "LO below HI"),
        (["--value-range", "0"], "LO below HI"),
        (["--value-range", "0,inf"], "LO below HI"),
        (["--value-range", "nan,1"], "LO below HI"),
        (["--input-range", "a,b"], "--input-range"),
        (["--labels-per-class", "1"], "labels_per_class"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**40)], "seed"),
        (["--publish", "a/b"], "plain name"),
        (["--publish", ""], "plain name"),
        (["--publish", ".."], "plain name"),
        (["--model", "none.keras"], "none.keras"),
        (["--generator", "none.keras"], "none.keras"),
        (["--pool", "none"], "none"),
        (["--unlabelled", "none.npy"], "none.npy"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--resume", "none"], "no run"),
        (["--resume", "none", "--seed", "3"], "--resume"),
        (["--config", "a.yaml", "--preset", "quick"], "--preset"),
        (["--sed", "3"], "--sed"),
        (["spare"], "spare"),
    ],
    ids=" ".join,
)
def test_words_that_cannot_be(refused, words, said):
    assert said in refused("run", *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rn"], "rn"),
        (["gan", "trian"], "trian"),
        (["gan", "train", "--preset", "qick"], "Did you mean 'quick'"),
        (["gan", "train", "--init-from", "none"], "none"),
        (["gan", "sample", "none.keras", "--out", "s.png"], "none.keras"),
        (["classifier", "train", "--out", "c.h5"], ".keras"),
        (["classifier", "train", "--out", "none/c.keras"], "none"),
        (["classifier", "train", "--out", "c.keras", "--pool", "none"], "none"),
        (["compress", "none.keras", "--out", "s.tflite"], "none.keras"),
        (["export", "none.keras", "--out", "s.tflite"], "none.keras"),
        (["verify", "none.tflite", "--data", "digits"], "none.tflite"),
        (["predict", "none.tflite", "x.npy"], "none.tflite"),
        (["report", "none"], "no run"),
        (["bench", "mixing", "--out", "none/b.json"], "none"),
        (["bench", "compression", "--out", "none/b.json"], "none"),
        (["bench", "compression", "--pad", "32"], "32x32x3"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_every_command_refuses_in_the_same_way(refused, words, said):
    assert said in refused(*words)


def test_a_broken_archive(refused, here):
    (here / "data.npz").write_bytes(b"PK\x03\x04 no archive")
    assert "data.npz" in refused("run", "--data", "data.npz")


def test_pickled_objects_are_never_loaded(refused, here):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(here / "trapped"),)

    save("data.npz", np.array([Trap()] * 40, object))
    refused("run", "--data", "data.npz")
    assert not (here / "trapped").exists()


def test_an_empty_folder(refused, here):
    (here / "images").mkdir()
    assert "images" in refused("run", "--data", "images")


def test_a_corrupt_image_is_named_or_left_out(refused, here, capfd):
    for number in range(8):
        picture(here / "images" / "ab"[number % 2] / f"{number}.png")
    (here / "images" / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert "broken.png" in refused("run", "--data", "images")
    assert _run(["run", "--data", "images", "--skip-corrupt", "--dry-run", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)["data"]
    assert plan["train"] + plan["validation"] + plan["test"] == 8
    assert [path.rpartition("/")[2] for path in plan["skipped"]] == ["broken.png"]


def test_out_folders_that_cannot_be_used(refused, here):
    (here / "full").mkdir()
    (here / "full" / "thing").write_text("mine")
    assert "new or empty" in refused("run", "--out", "full")
    assert "cannot be written" in refused("run", "--out", "full/thing/below")
    assert "new or empty" in refused("gan", "train", "--out", "full")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_out_folder_without_permission(refused, here):
    (here / "locked").mkdir(mode=0o555)
    assert "cannot be written" in refused("run", "--out", "locked/run")


def test_a_name_that_is_published_already(refused, here):
    (here / "saved_models" / "mine").mkdir(parents=True)
    assert "exists already" in refused("run", "--publish", "mine")


def test_model_files_that_hold_code_or_nothing(refused, here):
    (here / "text.keras").write_text("no model")
    assert "no Keras 3 file" in refused("run", "--model", "text.keras")
    with zipfile.ZipFile("empty.keras", "w") as archive:
        archive.writestr("other", "")
    assert "no Keras 3 file" in refused("run", "--model", "empty.keras")
    keras_file("lambda.keras", "Lambda")
    for words in (
        ["run", "--model", "lambda.keras"],
        ["classifier", "train", "--model", "lambda.keras", "--out", "c.keras"],
        ["compress", "lambda.keras", "--out", "s.tflite"],
        ["export", "lambda.keras", "--out", "s.tflite"],
        ["gan", "sample", "lambda.keras", "--out", "s.png"],
    ):
        assert "--allow-unsafe" in refused(*words)


def test_predictions_that_cannot_be_written(refused, here):
    (here / "model.tflite").write_bytes(b"")
    np.save("x.npy", ROWS)
    assert "none" in refused("predict", "model.tflite", "x.npy", "--out", "none/p.csv")
    assert "format" in refused("predict", "model.tflite", "x.npy", "--format", "xml")


def test_a_dry_run_tells_the_plan_and_makes_nothing(here, capfd):
    save("data.npz", y=np.array(["d", "c", "b", "a"])[LABELS])
    assert _run(["run", "--data", "data.npz", "--preset", "quick", "--dry-run", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert plan["data"]["classes"] == ["a", "b", "c", "d"]
    assert plan["data"]["value_range"] == [0, 255]
    assert plan["config"]["preset"] == "quick"
    assert [path.name for path in here.iterdir()] == ["data.npz"]


COMMANDS = [
    "run", "gan train", "gan sample", "gan evaluate", "classifier train", "compress", "export",
    "verify", "predict", "report", "doctor", "bench mixing",
    "bench compression", "bench gan", "bench evidence",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(command, capfd):
    assert _run([*command.split(), "--help"]) == 0
    shown = capfd.readouterr().out
    assert f"Example: ganaccel {command}" in " ".join(shown.split())
    assert "--json" in shown


def test_without_tensorflow_and_without_noise(here):
    """Through the real entry point: one line, quickly, since TensorFlow is never imported."""
    save("data.npz", with_value(ROWS, np.nan))
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('tensorflow' in sys.modules))\n"
        "from keras_ganaccel.cli.main import main\n"
        "main(['run', '--data', 'data.npz'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "False\n"), done.stderr
    assert len(io.StringIO(done.stderr).readlines()) == 1
    assert "finite" in done.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("student.optimizer=adamm", "Keras optimizer"),
        ("student.architecture=seperable", "Did you mean 'separable'?"),
        ("teacher.members=[]", "must not be empty"),
        ("strategy=cpu:none", "Did you mean 'cpu:N'?"),
        ("gan.init_from=nowhere", "nowhere/artifacts/generator.keras"),
    ],
)
def test_a_dry_run_looks_at_names_and_networks_too(refused, setting, words, capfd):
    # `main`, which is passed by here, keeps TensorFlow's start-up from the terminal.
    importlib.import_module("keras_ganaccel.journey.names")
    capfd.readouterr()
    assert words in refused("run", "--data", save("data.npz"), "--set", setting)


def test_no_data_at_all_are_called_no_data(refused):
    assert "There is no such file, folder or data set. Received: ''." in refused(
        "run", "--data", ""
    )
    with pytest.raises(InvalidInputError, match="no such file, folder or data set"):
        accelerate(data="")


@pytest.mark.parametrize(
    "command", ["gan --out o", "evidence --protocol P2 --out o", "compression"]
)
def test_benchmarks_check_their_data_first(refused, command):
    assert "Did you mean 'digits'?" in refused("bench", *command.split(), "--data", "digit")
    assert "LO,HI" in refused("bench", *command.split(), "--value-range", "1,0")
