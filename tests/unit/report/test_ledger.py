"""The ledger: its schema, what it refuses, and what it says in words."""

import copy
import json

import pytest

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


def test_round_trip(values, tmp_path):
    Ledger(values).save(tmp_path / "ledger.json")
    assert Ledger.load(tmp_path / "ledger.json").values == values
    assert Ledger(values).stage("student_int8")["bytes"] == 20000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(schema=2), "schema 1"),
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


def test_it_never_claims_a_gain_that_was_not_found(values):
    text = " ".join(Ledger(values).findings())
    assert "did not help for certain" in text
    assert "-1.00 to +1.20" in text
    assert "costs 1.0 points of accuracy" in text

    given_up = {**arm("gan", -0.02, [-0.4, 0.3]), "validation_accuracy": [0.9] * 3}
    values["gate"]["arms"][1] = given_up
    text = " ".join(Ledger(values).findings())
    assert "gan, stood at -2.00 points on 3 validation pairs and was given up" in text
    assert "+30.00" not in text

    values["gate"].update(decision="gan", generated_fraction=0.5)
    values["gate"]["arms"][1] = arm("gan", 0.02, [0.01, 0.03])
    text = " ".join(Ledger(values).findings())
    assert "Generated data helped" in text
    assert "+2.00 points" in text

    values["gate"].update(decision="real_only", arms=[])
    assert "No generated data were compared" in " ".join(Ledger(values).findings())


def test_it_shows_itself(values):
    assert "student_int8" in repr(Ledger(values))
    assert "97.0 %" in repr(Ledger(values))
    values["data"]["name"] = "<b>"
    values["stages"][0]["name"] = "<b>"
    shown = Ledger(values)._repr_html_()
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
