"""One small run of the whole journey, every stage for real, against what is promised of it."""

import contextlib
import csv
import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from keras_ganaccel.cli.main import _run
from keras_ganaccel.config_file import load_config
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.report.ledger import STAGES, Ledger

pytestmark = pytest.mark.train

SETTINGS = [
    "gan.steps=40", "gan.width=8", "gan.latent_dim=8", "gan.batch_size=16",
    "gan.steps_per_execution=5", "gan.evaluate_every=20", "gan.checkpoint_every=10",
    "teacher.members=[svm, convnet]", "teacher.size=tiny", "teacher.steps=20",
    "gate.teacher_members=[svm]", "gate.steps=20",
    "gate.arms=[gan,pca_gaussian]", "gate.headroom_check=false", "student.steps=60",
    "student.batch_size=16", "student.transfer_size=200", "pool.size=64", "pool.filters=[]",
    "compression.steps=30", "compression.calibration_samples=50",
]  # fmt: skip
NAMES = np.array(["zero", "one", "two", "three"])
FORMATS = {
    "teacher_float32": "float32",
    "student_keras": "keras",
    "student_saved_model": "saved_model",
    "student_float32": "float32",
    "student_float16": "float16",
    "student_dynamic_range": "dynamic_range",
    "student_int8": "int8",
    "student_pruned_int8": "int8",
}


def command(*words):
    return [sys.executable, "-m", "keras_ganaccel", *map(str, words)]


def settings_as_words():
    return [word for setting in SETTINGS for word in ("--set", setting)]


def started(folder, out):
    """Starts the run of `digits.npz` in that folder, as a process."""
    return subprocess.Popen(
        command("run", "--data", "digits.npz", "--out", out, *settings_as_words()),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a small data set: four digits, 50 of each, with names for labels."""
    folder = tmp_path_factory.mktemp("home")
    digits = load_digits()
    rows = np.concatenate([np.flatnonzero(digits.target == label)[:50] for label in range(4)])
    np.savez(
        folder / "digits.npz",
        x=digits.images[rows].astype(np.uint8),
        y=NAMES[digits.target[rows]],
    )
    return folder


@pytest.fixture(scope="module")
def finished(home):
    """The finished run, and what it printed."""
    process = started(home, "run")
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 0, err
    assert err == "", "nothing but our own lines may reach the terminal"
    return home / "run", out


@pytest.fixture
def run(finished, home, monkeypatch):
    monkeypatch.chdir(home)
    return finished[0]


@pytest.fixture
def ganaccel(run, capfd):
    """Runs a command in this process; returns its exit code and output."""

    def call(*words):
        capfd.readouterr()
        code = _run([str(word) for word in words])
        return code, capfd.readouterr().out

    return call


def test_it_prints_a_line_per_stage_and_where_the_report_is(finished):
    lines = finished[1].splitlines()
    assert [line.split()[0] for line in lines[:13]] == [f"[{i}/13]" for i in range(1, 14)]
    # The verdict first, then the table with what the student is held against.
    assert lines[14].startswith(("The student", "The int8 file"))
    assert "teacher, ensemble of 2" in finished[1]
    assert lines[-1] == "Report: run/report.html"


def test_the_run_folder_holds_what_is_promised(run):
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "config.yaml", "environment.json", "splits.npz", "metrics.jsonl", "checkpoints",
        "samples", "artifacts", "ledger.json", "report.html", "report.md",
    }  # fmt: skip
    assert {path.name for path in (run / "artifacts").iterdir()} == {
        "teacher.tflite", "student.keras", "student_saved_model", "student_float32.tflite",
        "student_float16.tflite", "student_dynamic_range.tflite", "student_int8.tflite",
        "student_pruned_int8.tflite", "generator.keras", "discriminator.keras", "manifest.json",
    }  # fmt: skip
    assert list((run / "samples").glob("*.png"))
    assert not [*run.rglob("*.tmp*"), *run.rglob(".*"), *run.parent.glob(".*")]


def test_the_configuration_and_the_environment_are_kept(run):
    config = load_config(run / "config.yaml")
    assert (config.gan.steps, config.data.source) == (40, "digits.npz")
    packages = json.loads((run / "environment.json").read_text())["packages"]
    assert packages["tensorflow"]
    assert packages["ai-edge-litert"]


def test_the_test_split_is_the_one_of_scikit_learn(run):
    with np.load("digits.npz") as data:
        y = data["y"]
    _, test = train_test_split(np.arange(200), test_size=0.3, stratify=y, random_state=20261121)
    with np.load(run / "splits.npz") as splits:
        np.testing.assert_array_equal(np.sort(splits["test"]), np.sort(test))
        train, validation = splits["train"], splits["validation"]
    assert sorted([*train, *validation, *test]) == list(range(200))
    assert len(validation) == 28  # a fifth of the rest
    assert all((y[validation] == name).sum() == 7 for name in NAMES)


def test_the_ledger_keeps_its_schema(run):
    text = (run / "ledger.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    ledger = json.loads(text)
    assert set(ledger) == {
        "schema", "data", "seed", "teacher", "rival", "gan", "gate", "stages", "comparisons",
    }  # fmt: skip
    assert (ledger["schema"], ledger["seed"]) == (2, 0)
    assert ledger["data"] == {
        "name": "digits",
        "modality": "image",
        "classes": sorted(NAMES.tolist()),
        "train": 112,
        "validation": 28,
        "test": 60,
        "test_per_class": [15, 15, 15, 15],
        "duplicates_removed": 0,
    }
    gan = ledger["gan"]
    assert gan["steps"] == 40
    assert gan["seconds"] > 0
    assert gan["kid_stderr"] >= 0
    assert gan["images_per_second"] == pytest.approx(40 * 16 / gan["seconds"])
    assert gan["feature_space"]
    assert 0 <= gan["synthetic_only_accuracy"] <= 1
    assert 0 <= gan["real_only_accuracy"] <= 1
    gate = ledger["gate"]
    # With every arm given up, there is nothing left to compare.
    compared = gate["pairs"]
    assert compared == 5 or (2 <= compared < 5 and gate["decision"] == "real_only")
    assert 0 <= gate["generated_fraction"] < 1
    names = [arm["name"] for arm in gate["arms"]]
    assert gate["decision"] in ("real_only", "gan", "pca_gaussian")
    assert {"gan", "pca_gaussian"} <= set(names)
    for arm in gate["arms"]:
        # Arms that fall behind are given up after some pairs; real data only runs them all.
        pairs = len(arm["validation_accuracy"])
        assert pairs == compared if arm["name"] == "real_only" else 2 <= pairs <= compared
        assert arm["mean"] == pytest.approx(np.mean(arm["validation_accuracy"]))
        if arm["name"] != "real_only":
            low, high = arm["gain_ci95"]
            assert low <= arm["gain"] <= high


def test_every_stage_is_in_the_ledger_with_figures_that_can_be(run):
    rows = json.loads((run / "ledger.json").read_text())["stages"]
    assert [row["name"] for row in rows] == list(STAGES) == list(FORMATS)
    for row in rows:
        assert row["format"] == FORMATS[row["name"]]
        file = run / row["file"]
        assert file.exists()
        if file.is_file():
            assert row["bytes"] == file.stat().st_size
        for share in ("accuracy", "balanced_accuracy", "macro_f1", "agreement"):
            assert 0 <= row[share] <= 1
        assert row["sparsity"] is None or 0 <= row["sparsity"] <= 1
        # Every accuracy is a share of the 60 test rows, with Wilson's interval.
        assert row["accuracy"] * 60 == pytest.approx(round(row["accuracy"] * 60), abs=1e-6)
        np.testing.assert_allclose(row["ci95"], wilson(row["accuracy"], 60), atol=1e-3)
        assert row["input"]["shape"][1:] == [8, 8, 1]
        # Float input = raw * scale + offset: the raw values run from 0 to 16.
        assert row["input"]["scale"] == pytest.approx(1 / 16)
        assert row["input"]["offset"] == 0
    by_name = {row["name"]: row for row in rows}
    assert by_name["student_keras"]["agreement"] == 1
    for name in ("student_int8", "student_pruned_int8"):
        assert (by_name[name]["dtype_in"], by_name[name]["dtype_out"]) == ("int8", "int8")
        assert by_name[name]["latency_ms"]["p10"] <= by_name[name]["latency_ms"]["p90"]
    assert by_name["student_pruned_int8"]["sparsity"] > by_name["student_int8"]["sparsity"] + 0.3


def test_the_ledger_holds_the_student_against_the_ensemble_and_the_rival(run):
    ledger = json.loads((run / "ledger.json").read_text())
    teacher, rival = ledger["teacher"], ledger["rival"]
    assert teacher["members"] == ["svm", "convnet"]
    assert (rival["training_rows"], rival["name"] in rival["tried"]) == (112, True)
    with np.load("digits.npz") as data, np.load(run / "splits.npz") as splits:
        x, y = data["x"].reshape(200, -1), data["y"]
        train, test = splits["train"], splits["test"]
    if rival["name"] == "svm":
        machine = make_pipeline(StandardScaler(), SVC()).fit(x[train] / 16, y[train])
        right = np.sum(machine.predict(x[test] / 16) == y[test])
        assert abs(rival["accuracy"] * 60 - right) <= 1
    # The teacher's file puts out probabilities: taken for logits they would be near even.
    assert open_artifact(run / "artifacts" / "teacher.tflite").metadata.output == "softmax"
    shares = {row["name"]: row["accuracy"] for row in ledger["stages"]}
    shares |= {"teacher": teacher["accuracy"], "rival": rival["accuracy"]}
    pairs = {(row["first"], row["second"]): row for row in ledger["comparisons"]}
    assert {("student_int8", other) for other in ("teacher", "rival", "student_float32")} <= set(
        pairs
    )
    for (first, second), row in pairs.items():
        assert row["rows"] == 60
        assert row["difference"] == pytest.approx(shares[first] - shares[second])
        assert row["difference"] * 60 == pytest.approx(row["only_first"] - row["only_second"])
        assert row["ci95"][0] <= row["ci95"][1]


def wilson(share, count, z=1.959964):
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count)
    half *= math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half


def test_metrics_are_a_json_object_a_line(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    assert steps[-1] == 40
    assert any(row.get("kid") is not None for row in rows)


def test_the_manifest_holds_the_digest_of_every_artefact(run):
    folder = run / "artifacts"
    found = digest(folder)
    del found["manifest.json"]
    assert json.loads((folder / "manifest.json").read_text()) == found


def test_the_report_needs_no_network(run):
    text = (run / "report.html").read_text()
    loads = re.findall(r"""(?:src|href|action|poster)\s*=\s*["']?([^"'\s>]+)""", text)
    loads += re.findall(r"url\(\s*[\"']?([^\"')]+)", text)
    assert loads
    assert all(each.startswith(("data:", "#")) for each in loads), loads
    assert "@import" not in text
    assert "<script src" not in text
    assert "student_pruned_int8" in text


def test_resuming_a_finished_run_changes_nothing(run, ganaccel):
    before = {p: (p.stat().st_mtime_ns, d) for p, d in both(run)}
    code, out = ganaccel("run", "--resume", "run")
    assert code == 0
    assert "Report: run/report.html" in out
    assert {p: (p.stat().st_mtime_ns, d) for p, d in both(run)} == before


def both(folder):
    return [(folder / name, value) for name, value in digest(folder).items()]


def test_what_is_published_verifies_until_a_byte_changes(run, ganaccel, home):
    code, out = ganaccel("run", "--resume", "run", "--publish", "mine", "--json")
    assert code == 0
    assert json.loads(out)["published"] == "saved_models/mine"
    folder = home / "saved_models" / "mine"
    assert {"ledger.json", "manifest.json", "student_pruned_int8.tflite"} <= {
        path.name for path in folder.iterdir()
    }
    code, out = ganaccel("verify", folder, "--data", "digits.npz", "--json")
    assert code == 0
    ledger = Ledger.load(folder / "ledger.json")
    for row in json.loads(out):
        assert row["accuracy"] == ledger.stage(row["name"])["accuracy"]
    file = folder / "student_int8.tflite"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert ganaccel("verify", folder, "--data", "digits.npz")[0] == 1


def test_a_run_folder_verifies(run, ganaccel):
    code, out = ganaccel("verify", run)
    assert code == 0
    assert out.count("accuracy") == 6  # every TFLite file


def test_a_promise_that_is_not_kept_fails(run, ganaccel):
    file = run / "artifacts" / "student_int8.tflite"
    assert ganaccel("verify", file, "--data", "digits.npz", "--int8")[0] == 0
    assert ganaccel("verify", file, "--data", "digits.npz", "--max-bytes", "100")[0] == 1
    assert ganaccel("verify", file, "--data", "digits.npz", "--min-accuracy", "1.1")[0] != 0


def test_predictions_are_those_that_the_ledger_counted(run, ganaccel, tmp_path):
    with np.load("digits.npz") as data, np.load(run / "splits.npz") as splits:
        x, y = data["x"][splits["test"]], data["y"][splits["test"]]
    np.save(tmp_path / "x.npy", x)
    file = run / "artifacts" / "student_pruned_int8.tflite"
    code, out = ganaccel("predict", file, tmp_path / "x.npy", "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert len(rows) == 60
    right = np.mean([row["label"] == name for row, name in zip(rows, y, strict=True)])
    stage = Ledger.load(run / "ledger.json").stage("student_pruned_int8")
    assert right == pytest.approx(stage["accuracy"])
    assert ganaccel("predict", file, tmp_path / "x.npy", "--out", tmp_path / "p.csv")[0] == 0
    with open(tmp_path / "p.csv") as table:
        lines = list(csv.DictReader(table))
    assert [line["label"] for line in lines] == [row["label"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        for name, chance in row["probabilities"].items():
            assert float(line[f"p_{name}"]) == pytest.approx(chance, abs=1e-6)


def test_the_report_can_be_made_anew(run, ganaccel):
    before = (run / "report.md").read_text()
    (run / "report.md").unlink()
    assert ganaccel("report", "run")[0] == 0
    assert (run / "report.md").read_text() == before


def gan_is_under_way(run):
    return any((run / "checkpoints" / "gan").glob("*"))


def some_pairs_are_done(run):
    return (run / "checkpoints" / "gate_pairs.json").is_file()


def after(stage):
    return lambda run: (run / "checkpoints" / f"{stage}.json").is_file()


EARLY_AND_LATE = [("gan", gan_is_under_way), ("gate", some_pairs_are_done)]
EVERYWHERE = [
    ("teacher", after("data")),
    *EARLY_AND_LATE,
    ("transfer_set", after("gate")),
    ("student", after("transfer_set")),
    ("compress", after("student")),
    ("export", after("compress")),
    ("verify", after("export")),
    ("report", after("verify")),
]


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(EARLY_AND_LATE, id="gan and gate", marks=pytest.mark.slow),
        pytest.param(EVERYWHERE, id="every stage", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_killed_ends_on_the_same_ledger(run, home, tmp_path, kills):
    os.symlink(home / "digits.npz", tmp_path / "digits.npz")
    stopped = tmp_path / "run"
    process = started(tmp_path, "run")
    for stage, reached in kills:
        kill_when(process, lambda reached=reached: reached(stopped))
        assert not after(stage)(stopped) or stage == "report", f"killed after {stage}"
        process = subprocess.Popen(
            command("run", "--resume", "run"), cwd=tmp_path, stdout=subprocess.DEVNULL
        )
    assert process.wait(timeout=1200) == 0
    ledger = Ledger.load(stopped / "ledger.json").without_times()
    assert ledger == Ledger.load(run / "ledger.json").without_times()
    assert steps_of(stopped) == steps_of(run)


def kill_when(process, reached):
    """Kills a process as soon as it has come so far; it must not have ended by itself."""
    end = time.monotonic() + 600
    while not reached():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    for pipe in (process.stdout, process.stderr):
        with contextlib.suppress(AttributeError):
            pipe.close()


def steps_of(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]
