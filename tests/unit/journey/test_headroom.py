"""In a run, too, the headroom comes first: without it no GAN is trained."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ganaccel.config import preset, with_values
from keras_ganaccel.data.spec import DataSpec
from keras_ganaccel.files import save_keras
from keras_ganaccel.gan.generator import build_generator
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.rundir import RunFolder

SMALL = {
    "gan.steps": 10, "gan.width": 8, "gan.evaluate_every": 10, "student.steps": 500,
    "student.transfer_size": 2000, "student.architecture": "mlp", "gate.teacher_members": ("svm",),
}  # fmt: skip
ENOUGH, TOO_FEW = {"gate.steps": 400}, {"gate.steps": 2}


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 2)[:300]
    return digits.images[rows], digits.target[rows]


def run(data, folder, settings):
    config = with_values(preset(), {**SMALL, **settings})
    accelerate(data=data, config=config, out=folder, only=("data", "headroom", "gan"))
    return RunFolder(folder)


def test_no_gan_is_trained_for_a_student_that_reaches_its_teacher(data, tmp_path):
    finished = run(data, tmp_path / "run", ENOUGH)
    assert finished.record("headroom")["gap"] < 0.005
    generator = finished.record("gan")
    assert generator["ledger"] is None
    assert "no more than half a point is to be gained" in generator["notes"][0]
    assert "5 folds of" in generator["notes"][0]
    assert finished.record("headroom")["ledger"]["teacher"] > 0.9
    assert not list(finished.artifacts.glob("generator*"))


@pytest.mark.parametrize("settings", [TOO_FEW, {**ENOUGH, "gate.generate_anyway": True}])
def test_a_gan_is_trained_where_it_can_help_or_is_insisted_on(data, tmp_path, settings):
    finished = run(data, tmp_path / "run", settings)
    assert (finished.record("headroom")["gap"] > 0.05) == (settings is TOO_FEW)
    assert finished.record("gan")["ledger"]["steps"] == 10


def test_a_generator_that_is_there_is_used_whatever_the_headroom(data, tmp_path):
    network = build_generator(DataSpec(8, 8, 1, ("0", "1")), 8, width=8)
    save_keras(tmp_path / "generator.keras", network)
    path = str(tmp_path / "generator.keras")
    finished = run(data, tmp_path / "run", {**ENOUGH, "reuse.generator": path})
    assert finished.record("headroom")["reason"] == "no generator to train"
    assert finished.record("gan")["ledger"]["synthetic_only_accuracy"] >= 0
