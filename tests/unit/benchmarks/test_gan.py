"""The comparison of ways to train a GAN: real figures, continued, on rows that nobody learned."""

import csv

import numpy as np
import pytest

from keras_ganaccel.benchmarks.gan import FIGURES, _with_reported, benchmark_gan
from keras_ganaccel.cli.main import _run
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.load import load_data

pytestmark = pytest.mark.train

SMALL = {"gan.width": 8, "gan.steps": 20, "gan.evaluate_every": 20}


def measure(out, rows):
    lines = []
    found = benchmark_gan(out, rows=rows, seeds=(0,), settings=SMALL, progress=lines.append)
    return found, lines


def test_cells_hold_every_figure_and_are_measured_once(tmp_path, monkeypatch):
    found, lines = measure(tmp_path, ["default"])
    assert len(lines) == 1
    (row,) = found
    assert set(FIGURES) <= set(row)
    assert row["steps"] == "20"
    real, made = float(row["real_only_accuracy"]), float(row["synthetic_only_accuracy"])
    assert real > 0.9 > made
    assert float(row["ratio"]) == pytest.approx(made / real, rel=1e-4)
    assert len(list(tmp_path.glob("*/*.png"))) == 1

    monkeypatch.setattr("keras_ganaccel.benchmarks.gan.measure_cell", lambda *_: 1 / 0)
    assert measure(tmp_path, ["default"])[0] == found
    with pytest.raises(ZeroDivisionError):
        measure(tmp_path, ["float32"])
    with (tmp_path / "gan.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == found


def test_withheld_rows_are_those_in_no_split():
    data = load_data("digits", labels_per_class=20)
    reported = _with_reported(data, "withheld").splits.test
    used = np.concatenate([data.splits.train, data.splits.validation, data.splits.test])
    assert len(reported) + len(used) + len(data.splits.removed) == len(data.y)
    assert not np.isin(reported, used).any()
    with pytest.raises(InvalidInputError, match="no rows"):
        _with_reported(load_data("digits"), "withheld")


def test_a_training_ends_after_its_seconds(tmp_path):
    (row,) = benchmark_gan(tmp_path, rows=["default"], seeds=(0,), seconds=1, settings=SMALL)
    assert 1 <= float(row["seconds"]) < 60
    assert 20 <= int(row["steps"]) < 2000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--row", "defualt"], "default"),
        (["--split", "tset"], "test"),
        (["--set", "gan.widht=8"], "gan.width"),
        (["--split", "withheld", "--row", "default"], "fewer labels"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, said, capfd, tmp_path):
    assert _run(["bench", "gan", "--out", str(tmp_path), *words]) == 2
    assert said in capfd.readouterr().err.splitlines()[-1]
