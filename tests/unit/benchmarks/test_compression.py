"""The table of techniques: its figures belong together, and its refusals are plain."""

import json

import pytest

from keras_ganaccel.benchmarks.compression import FIGURES, benchmark_compression
from keras_ganaccel.cli.main import _run

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def found():
    return benchmark_compression(
        seeds=1, train_steps=150, steps=5, rows=("float32", "int8", "pqat 80 %")
    )


def test_the_figures_of_a_row_belong_together(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    rows = {row["name"]: row["mean"] for row in found["rows"]}
    assert list(rows) == ["float32", "int8", "pqat 80 %"]
    for row in rows.values():
        assert set(row) == set(FIGURES)
        assert row["drop"] == pytest.approx(rows["float32"]["accuracy"] - row["accuracy"])
    assert rows["float32"]["accuracy"] > 0.8
    assert rows["float32"]["drop"] == 0
    assert rows["int8"]["bytes"] < 0.4 * rows["float32"]["bytes"]
    assert rows["int8"]["macs"] == rows["float32"]["macs"] > 0
    assert rows["pqat 80 %"]["sparsity"] == pytest.approx(0.8, abs=0.005)
    assert rows["pqat 80 %"]["gzip_bytes"] < 0.6 * rows["int8"]["gzip_bytes"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "resnet"], "resnet8"),
        (["--row", "int9"], "int8"),
        (["--pad", "32x32"], "32x32x3"),
        (["--pad", "4x4x1"], "smaller"),
        (["--pad", "32x32x2"], "channels"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, said, capfd):
    assert _run(["bench", "compression", *words]) == 2
    err = capfd.readouterr().err
    assert said in err.splitlines()[-1]
