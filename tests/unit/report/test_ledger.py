"""The ledger: its schema, what it refuses, and what it says in words."""

import copy
import json
from pathlib import Path

import pytest

import keras_ganaccel
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.report.ledger import Ledger


def stage(name="student_int8", **values):
    return {
        "name": name, "file": f"artifacts/{name}.tflite", "format": "int8", "accuracy": 0.97,
        "ci95": [0.95, 0.98], "balanced_accuracy": 0.97, "macro_f1": 0.97, "agreement": 0.99,
        "bytes": 20000, "gzip_bytes": 12000, "parameters": 9000, "sparsity": 0.1,
        "latency_ms": {"median": 0.1, "p10": 0.09, "p90": 0.2, "threads": 1},
        "dtype_in": "int8", "dtype_out": "int8",
        "input": {"shape": [1, 8, 8, 1], "scale": 0.0625, "offset": 0.0}, **values,
    }  # fmt: skip


def arm(name, gain=None, ci=None):
    return {
        "name": name, "validation_accuracy": [0.9] * 5, "mean": 0.9, "gain": gain,
        "gain_ci95": ci, "seconds": 1.0,
    }  # fmt: skip


@pytest.fixture
def values():
    return {
        "schema": 1,
        "data": {
            "name": "digits", "modality": "image", "classes": ["0", "1"], "train": 10,
            "validation": 2, "test": 5, "duplicates_removed": 0,
        },
        "seed": 0,
        "gan": {
            "steps": 10, "seconds": 1.0, "images_per_second": 640.0, "kid": 0.1,
            "kid_stderr": 0.01, "feature_space": "f", "synthetic_only_accuracy": 0.9,
            "real_only_accuracy": 0.95,
        },
        "gate": {
            "decision": "real_only", "generated_fraction": 0.0, "pairs": 5,
            "arms": [arm("real_only"), arm("gan", 0.001, [-0.01, 0.012])],
        },
        "stages": [
            stage("student_float32", accuracy=0.98, bytes=50000), stage(),
            stage("student_keras", latency_ms=None, sparsity=None),
        ],
    }  # fmt: skip


def test_round_trip(ledger, tmp_path):
    values = ledger(teacher=950, rival=930)
    Ledger(values).save(tmp_path / "ledger.json")
    assert Ledger.load(tmp_path / "ledger.json").values == values
    assert Ledger(values).stage("student_int8")["bytes"] == 14000


def test_a_ledger_of_the_first_schema_is_read_with_null_for_what_it_did_not_measure(values):
    before = copy.deepcopy(values)
    read = Ledger(values)
    assert values == before
    assert (read.values["teacher"], read.values["rival"], read.values["comparisons"]) == (
        None,
        None,
        [],
    )
    assert read.values["gate"]["headroom"] is None
    assert read.values["gate"]["arms"][1]["source"] is None
    assert read.stage("student_int8")["robust"] is None
    assert read.stage("student_int8")["accuracy"] == 0.97
    assert "Too few test rows" in read.verdict()  # five
    values["data"]["test"] = 540
    assert Ledger(values).verdict().startswith("The int8 file is right on 97.0 %")


def test_a_ledger_from_before_the_areas_were_measured_is_read(ledger):
    values = ledger(teacher=950, rival=930)
    for row in (values["teacher"], *values["stages"]):
        del row["auc"]
    read = Ledger(values)
    assert read.values["teacher"]["auc"] is None
    assert read.stage("student_int8")["auc"] is None


def test_the_published_ledger_is_still_read():
    root = Path(keras_ganaccel.__file__).parents[1]
    read = Ledger.load(root / "saved_models" / "digits" / "ledger.json")
    assert read.verdict()
    assert "student_int8" in repr(read)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("rival"), "without rival"),
        (lambda v: v["teacher"].pop("ci95"), "teacher without ci95"),
        (lambda v: v["rival"].update(accuracy=98.9), "rival.accuracy = 98.9"),
        (lambda v: v["comparisons"][0].pop("p_value"), "without p_value"),
        (lambda v: v["stages"][0].pop("log_loss"), "without log_loss"),
        (lambda v: v["data"].pop("test_per_class"), "data without test_per_class"),
    ],
)
def test_todays_ledger_must_have_todays_fields(ledger, change, words):
    values = ledger(teacher=950, rival=930)
    change(values)
    with pytest.raises(InvalidInputError, match=words):
        Ledger(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(schema=3), "schema 2 or earlier"),
        (lambda v: v.pop("gate"), "without gate"),
        (lambda v: v["data"].pop("test"), "data without test"),
        (lambda v: v["stages"][1].update(accuracy=1.2), "student_int8.accuracy = 1.2"),
        (lambda v: v["stages"][1].update(sparsity=-0.1), "sparsity"),
        (lambda v: v["stages"][1].pop("agreement"), "without agreement"),
        (lambda v: v["gan"].update(kid=float("nan")), "kid = nan"),
        (lambda v: v["gate"].update(decision="magic"), "decision = 'magic'"),
    ],
)
def test_what_cannot_be_is_refused(values, change, words):
    change(values)
    with pytest.raises(InvalidInputError) as caught:
        Ledger(values)
    assert words in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(MissingFileError):
        Ledger.load(tmp_path / "ledger.json")
    (tmp_path / "ledger.json").write_text("{")
    with pytest.raises(InvalidInputError, match="not valid JSON"):
        Ledger.load(tmp_path / "ledger.json")


def test_times_are_left_out_of_a_comparison(values):
    other = copy.deepcopy(values)
    other["gan"]["seconds"] = 99.0
    other["gate"]["arms"][1]["seconds"] = 99.0
    other["stages"][1]["latency_ms"]["median"] = 99.0
    assert Ledger(values).without_times() == Ledger(other).without_times()
    other["stages"][1]["bytes"] += 1
    assert Ledger(values).without_times() != Ledger(other).without_times()
    assert '"seconds"' not in json.dumps(Ledger(values).without_times())


def test_it_shows_itself(values):
    assert "student_int8" in repr(Ledger(values))
    assert "97.0 %" in repr(Ledger(values))
    values["data"]["name"] = "<b>"
    values["stages"][0]["name"] = "<i>"
    shown = Ledger(values)._repr_html_()
    assert "<i>" not in shown
    assert "&lt;i&gt;" in shown


def test_the_table_shows_the_ensemble_and_the_rival_and_balance_where_classes_are_uneven(ledger):
    even = repr(Ledger(ledger(teacher=993, rival=981, int8=956)))
    assert "teacher, ensemble of 2  99.3 %" in even
    assert "one-line SVM" in even
    assert "balanced" not in even
    uneven = repr(Ledger(ledger(teacher=993, rival=981, int8=956, shares=(9, 1), balanced=0.71)))
    assert "balanced" in uneven
    assert "71.0 %" in uneven
