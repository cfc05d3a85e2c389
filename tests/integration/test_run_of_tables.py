"""A run on the rows of a table, from the shell to the int8 file."""

from __future__ import annotations

import json

import numpy as np
import pytest

import keras_ganaccel as ga
from keras_ganaccel.cli.main import _run
from keras_ganaccel.config_file import load_config

pytestmark = pytest.mark.train

SETTINGS = [
    "teacher.members=[extra_trees, table_mlp]", "teacher.size=tiny", "teacher.steps=100",
    "gate.teacher_members=[extra_trees]", "gate.steps=50", "gate.arms=[spunge, donors]",
    "student.steps=400", "compression.steps=50", "compression.calibration_samples=100",
    "pool.size=500",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("tables") / "run"
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    data = ["--data", "tables:breast_cancer", "--labels", "200"]
    assert _run(["run", *data, "--preset", "quick", "--out", str(out), *words]) == 0
    return out


def test_the_files_are_small_whole_integers_and_right(folder):
    ledger = json.loads((folder / "ledger.json").read_text())
    assert ledger["data"]["modality"] == "table"
    assert ledger["gan"] is None
    rows = {row["name"]: row for row in ledger["stages"]}
    for name in ("student_int8", "student_pruned_int8"):
        row = rows[name]
        assert (row["dtype_in"], row["dtype_out"]) == ("int8", "int8")
        assert row["bytes"] <= 12_000
        assert row["accuracy"] > 0.9
    arms = {arm["name"]: arm for arm in ledger["gate"]["arms"]}
    assert set(arms) == {"real_only", "spunge", "donors"}
    assert arms["donors"]["source"] == "donors"


def test_raw_rows_go_through_the_file_and_come_out_as_verified(folder, tmp_path):
    data = ga.load_data("tables:breast_cancer", labels=200)
    raw, y = data.raw("test")
    path = tmp_path / "rows.csv"
    raw.to_csv(path, index=False)
    found = ga.predict_files(folder / "artifacts" / "student_int8.tflite", path)
    ledger = json.loads((folder / "ledger.json").read_text())
    stated = next(row for row in ledger["stages"] if row["name"] == "student_int8")["accuracy"]
    right = np.mean(
        [row["label"] == data.spec.class_names[k] for row, k in zip(found, y, strict=True)]
    )
    assert right == pytest.approx(stated, abs=1e-9)


def test_the_front_end_rides_along(folder):
    names = {path.name for path in (folder / "artifacts").iterdir()}
    assert {"frontend.tflite", "frontend.c", "frontend.h", "frontend_vectors.npz"} <= names


def test_the_configuration_says_what_tables_are_given(folder):
    config = load_config(folder / "config.yaml")
    assert config.student.architecture == "table_mlp"
    assert not config.gan.enabled
    assert config.student.augmentation == ()
