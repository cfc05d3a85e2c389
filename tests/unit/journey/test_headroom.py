"""In a run, too, the headroom comes first: without it no GAN is trained."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ganaccel.config import preset, with_values
from keras_ganaccel.files import save_keras
from keras_ganaccel.gan.networks import build_generator
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.rundir import RunFolder

pytestmark = pytest.mark.train

SMALL = {
    "gan.steps": 10, "gan.width": 8, "gan.evaluate_every": 10, "student.steps": 500,
    "student.transfer_size": 2000, "student.architecture": "mlp", "gate.teacher_members": ("svm",),
    "teacher.members": ("mlp",),
    "teacher.steps": 50,
}  # fmt: skip
ENOUGH, TOO_FEW = {"gate.steps": 400}, {"gate.steps": 2}


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 2)[:300]
    return digits.images[rows], digits.target[rows]


def run(data, folder, settings, more=()):
    config = with_values(preset(), {**SMALL, **settings})
    stages = ("data", "teacher", "headroom", "gan", *more)
    accelerate(data=data, config=config, out=folder, only=stages)
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


ON_VALIDATION = {"gate.headroom_rows": "validation", "teacher.members": ("svm", "mlp")}


def test_a_student_level_with_its_teacher_on_validation_rows_is_the_runs_own(data, tmp_path):
    finished = run(data, tmp_path / "run", ON_VALIDATION, more=("pool", "gate", "student"))
    assert finished.record("headroom")["skip_generator"]
    assert "so no generator is worth its time" in finished.record("gan")["notes"][0]
    assert finished.record("student")["trained_for_headroom"]
    early = keras.saving.load_model(
        finished.checkpoints / "student_on_real_data.keras", compile=False
    )
    student = keras.saving.load_model(finished.artifacts / "student.keras", compile=False)
    for mine, its in zip(student.get_weights(), early.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_student_certainly_behind_on_validation_rows_gets_a_generator(data, tmp_path):
    finished = run(data, tmp_path / "run", {**ON_VALIDATION, "student.steps": 1})
    assert finished.record("headroom")["gap"] > 0.2
    assert finished.record("gan")["ledger"]["steps"] == 10


def test_samples_too_large_for_a_generator_are_told_so(data, tmp_path):
    finished = run(data, tmp_path / "run", {"gan.largest_side": 7})
    assert finished.record("headroom")["reason"] == "no generator to train"
    assert "Set gan.largest_side to 8" in finished.record("gan")["notes"][0]
