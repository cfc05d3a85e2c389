"""The least that is documented, two labels a class: one row to learn from and one to choose by."""

import pytest

from keras_ganaccel.config import preset, with_values
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.modality.load import load_data
from keras_ganaccel.rundir import RunFolder

pytestmark = pytest.mark.train

TINY = {
    "gan.steps": 20, "gan.width": 8, "gan.evaluate_every": 20, "pool.size": 100,
    "pool.filters": (), "teacher.members": ("svm", "mlp"), "teacher.steps": 20, "student.steps": 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return load_data("digits", labels_per_class=2)


def test_what_cannot_be_weighed_is_not_generated_and_it_is_said(data, tmp_path):
    config = with_values(preset(), TINY)
    accelerate(data=data, config=config, out=tmp_path / "run", only=("data", "headroom", "gan"))
    run = RunFolder(tmp_path / "run")
    (note,) = run.record("headroom")["notes"]
    assert note.startswith("One training row of '0', '1', '2', '3', '4' and 5 more: ")
    assert not (run.artifacts / "generator.keras").exists()


@pytest.mark.slow
def test_a_generator_that_is_asked_for_anyway_is_trained_but_not_weighed(data, tmp_path):
    config = with_values(preset("quick"), {**TINY, "gate.generate_anyway": True})
    stages = ("data", "teacher", "headroom", "gan", "pool", "gate")
    accelerate(data=data, config=config, out=tmp_path / "run", only=stages)
    run = RunFolder(tmp_path / "run")
    assert (run.artifacts / "generator.keras").exists()
    gate = run.record("gate")
    assert gate["ledger"]["decision"] == "real_only"
    assert len(gate["notes"]) == 1
