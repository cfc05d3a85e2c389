"""The protocols: every arm gets the same, cells are measured once, the test split stays shut."""

import csv

import numpy as np
import pytest

from keras_ganaccel.benchmarks.evidence import run_evidence
from keras_ganaccel.benchmarks.gan import withheld_rows
from keras_ganaccel.benchmarks.protocols import PROTOCOLS
from keras_ganaccel.benchmarks.students import Students
from keras_ganaccel.benchmarks.subject import Settings, Subject
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.cli.main import _run
from keras_ganaccel.config import DataConfig, GanConfig
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.load import load_data

SMALL = Settings(
    data=DataConfig(labels_per_class=10),
    recipe=Recipe(steps=200),
    members=("svm",),
    gan=GanConfig(width=8, steps=20),
    pool_size=200,
)


def cells(folder):
    with (folder / "cells.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.train
def test_distillation_is_measured_cell_by_cell_and_once(tmp_path, monkeypatch):
    arms = ("kd", "gan_filtered", "gan_and_pca_disagreement", "oracle")
    run_evidence("P2", SMALL, tmp_path, seeds=[0], arms=arms[:2])
    first = cells(tmp_path)
    summary = run_evidence("P2", SMALL, tmp_path, seeds=[0], arms=arms)
    assert [row["arm"] for row in cells(tmp_path)] == list(arms)
    assert [row["accuracy"] for row in cells(tmp_path)[:2]] == [row["accuracy"] for row in first]
    assert [entry["arm"] for entry in summary] == list(arms)
    for row in cells(tmp_path):
        assert 0.3 < float(row["int8_accuracy"]) <= 1
        assert int(row["int8_bytes"]) > 1000
    with (tmp_path / "seeds.csv").open(newline="") as file:
        (seed,) = csv.DictReader(file)
    assert seed["labels"] == "100"
    assert float(seed["gan_seconds"]) > 0
    assert int(seed["student_parameters"]) <= 10_000
    assert 0.5 < float(seed["teacher_accuracy"]) <= 1
    assert (tmp_path / "P2-digits-10-separable-tiny.md").is_file()
    assert (tmp_path / "P2-digits-10-separable-tiny.png").is_file()

    # Killed before the last file was written, it is made good.
    (tmp_path / "seeds.csv").unlink()
    assert run_evidence("P2", SMALL, tmp_path, seeds=[0], arms=arms) == summary
    with (tmp_path / "seeds.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [seed]

    monkeypatch.setattr("keras_ganaccel.benchmarks.evidence.Subject", lambda *_: 1 / 0)
    assert run_evidence("P2", SMALL, tmp_path, seeds=[0], arms=arms) == summary


@pytest.mark.train
def test_another_protocol_or_setting_is_another_cell(tmp_path):
    run_evidence("P1", SMALL, tmp_path, seeds=[0], arms=("augmented", "pca"))
    run_evidence("P1", SMALL, tmp_path, seeds=[0], arms=("augmented",))
    longer = Settings(**{**vars(SMALL), "recipe": Recipe(steps=220)})
    run_evidence("P1", longer, tmp_path, seeds=[0], arms=("augmented",))
    run_evidence("P2", SMALL, tmp_path, seeds=[0], arms=("kd",))
    assert [row["arm"] for row in cells(tmp_path)] == ["augmented", "pca", "augmented", "kd"]
    with (tmp_path / "seeds.csv").open(newline="") as file:
        assert not any(row.get("gan_seconds") for row in csv.DictReader(file))


@pytest.mark.train
def test_students_share_teacher_and_generator(tmp_path):
    run_evidence("P2", SMALL, tmp_path, seeds=[0], arms=("kd", "gan"))
    (shared,) = (tmp_path / "work").iterdir()
    made = {file: file.stat().st_mtime_ns for file in (shared / "0").iterdir()}
    smaller = Settings(**{**vars(SMALL), "student": ("mlp", "tiny")})
    run_evidence("P2", smaller, tmp_path, seeds=[0], arms=("kd", "gan"))
    assert [row["student"] for row in cells(tmp_path)] == ["separable-tiny"] * 2 + ["mlp-tiny"] * 2
    assert list((tmp_path / "work").iterdir()) == [shared]
    assert {file: file.stat().st_mtime_ns for file in (shared / "0").iterdir()} == made
    assert (tmp_path / "P2-digits-10-mlp-tiny.png").is_file()


@pytest.mark.train
def test_a_cell_is_the_mean_of_its_students(tmp_path):
    settings = Settings(**{**vars(SMALL), "students": 3})
    run_evidence("P2", settings, tmp_path / "three", seeds=[0], arms=("kd",))
    run_evidence("P2", SMALL, tmp_path / "one", seeds=[0], arms=("kd",))
    students = Students(Subject(settings, 0, next((tmp_path / "three" / "work").iterdir()) / "0"))
    samples = students.real(settings.recipe)
    alone = [
        students.measured(students.train(settings.recipe, samples, turn=turn)) for turn in range(3)
    ]
    (three,), (one,) = cells(tmp_path / "three"), cells(tmp_path / "one")
    for figure in ("accuracy", "int8_accuracy", "log_loss"):
        values = [each[figure] for each in alone]
        assert len(set(values)) > 1
        assert float(three[figure]) == pytest.approx(np.mean(values), rel=1e-4)
        assert float(one[figure]) == pytest.approx(values[0], rel=1e-4)
    steps, accuracies = zip(*students.curve(settings.recipe, samples), strict=True)
    assert steps[-1] == settings.recipe.steps
    assert accuracies[-1] == pytest.approx(float(three["accuracy"]), rel=1e-4)


@pytest.mark.train
def test_time_to_accuracy_ends_with_the_baseline_at_its_target(tmp_path):
    settings = Settings(**{**vars(SMALL), "data": DataConfig(), "recipe": Recipe(steps=100)})
    run_evidence("P3", settings, tmp_path, seeds=[0], arms=("pca", "kd", "gan"))
    pca, row, gan = cells(tmp_path)
    assert 0 < int(row["steps_to_target"]) <= 100
    assert row["pool_seconds"] == ""
    assert float(row["target"]) == pytest.approx(0.98 * float(row["accuracy"]), rel=1e-4)
    assert float(row["seconds_to_target"]) == pytest.approx(
        int(row["steps_to_target"]) * float(row["step_seconds"]), rel=1e-3
    )
    assert pca["target"] == gan["target"] == row["target"]
    with (tmp_path / "seeds.csv").open(newline="") as file:
        (seed,) = csv.DictReader(file)
    assert float(gan["pool_seconds"]) > float(seed["gan_seconds"]) > 0
    for pool in (pca, gan):
        assert pool["step_seconds"] == row["step_seconds"]
        assert (pool["reached"] == "1") == (pool["steps_to_target"] != "")


@pytest.mark.train
def test_imbalance_is_measured_on_the_rare_classes(tmp_path):
    arms = ("plain", "class_weights", "oversampling", "smote")
    settings = Settings(**{**vars(SMALL), "data": DataConfig(), "recipe": Recipe(steps=150)})
    run_evidence("P4", settings, tmp_path, seeds=[0], arms=arms)
    plain, *others = cells(tmp_path)
    assert max(float(row["minority_recall"]) for row in others) > float(plain["minority_recall"])


def test_a_subject_keeps_its_rows_apart(tmp_path):
    data = load_data("digits", labels_per_class=10, seed=3)
    assert len(withheld_rows(data)) == 1797 - len(data.splits.test) - 100 - len(data.splits.removed)
    reported = Subject(SMALL, 3, tmp_path / "a")
    assert np.array_equal(reported.test[0], data.arrays("test")[0])
    assert len(reported.x) == 100

    searching = Subject(Settings(**{**vars(SMALL), "report_on": "withheld"}), 3, tmp_path / "b")
    assert len(searching.test[1]) + len(searching.withheld) == len(reported.withheld)
    shown = {image.tobytes() for image in searching.test[0]}
    assert not shown & {image.tobytes() for image in data.arrays("test")[0]}
    assert not shown & {image.tobytes() for image in searching.withheld}

    choosing = Subject(Settings(**{**vars(SMALL), "report_on": "validation"}), 3, tmp_path / "c")
    assert len(choosing.x) == 80
    assert len(choosing.test[1]) == 20


def test_three_classes_are_rare(tmp_path):
    settings = Settings(**{**vars(SMALL), "data": DataConfig(), "rare": True})
    counts = np.bincount(Subject(settings, 0, tmp_path).y)
    assert sorted(counts)[:3] == [6, 6, 6]
    assert min(sorted(counts)[3:]) > 100


def test_nothing_can_be_searched_on_where_every_label_is_used(tmp_path):
    settings = Settings(**{**vars(SMALL), "data": DataConfig(), "report_on": "withheld"})
    with pytest.raises(InvalidInputError, match="fewer labels"):
        Subject(settings, 0, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--protocol", "P5"], "P1"),
        (["--protocol", "P2", "--arm", "gna"], "gan"),
        (["--protocol", "P2", "--set", "gan.widht=8"], "gan.width"),
        (["--protocol", "P2", "--student", "mlp-tyni"], "mlp-tiny"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, said, capfd, tmp_path):
    assert _run(["bench", "evidence", "--out", str(tmp_path), *words]) == 2
    assert said in capfd.readouterr().err.splitlines()[-1]


def test_every_protocol_has_its_baseline_among_its_arms():
    for kind in PROTOCOLS.values():
        assert kind.baseline in kind.arms
