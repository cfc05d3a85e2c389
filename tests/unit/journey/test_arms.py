"""The arms of a run: which pools they draw on, and what the chosen one trains the student with."""

import shutil

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.config import preset, with_values
from keras_ganaccel.generated.pool import read_facts
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.journey.stages import write_transfer_set
from keras_ganaccel.options import ARMS
from keras_ganaccel.rundir import RunFolder

pytestmark = pytest.mark.train

SMALL = {
    "gan.steps": 20, "gan.width": 8, "gan.evaluate_every": 20, "pool.size": 200,
    "pool.filters": (), "teacher.members": ("svm", "mlp"), "teacher.size": "tiny",
    "teacher.steps": 20, "gate.teacher_members": ("svm",),
    "gate.arms": ARMS, "gate.steps": 40, "gate.headroom_check": False, "student.steps": 60,
    "student.architecture": "mlp", "student.transfer_size": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 3)[:120]
    return digits.images[rows], digits.target[rows]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms") / "run"
    accelerate(
        data=data,
        config=with_values(preset(), SMALL),
        out=folder,
        only=("data", "teacher", "headroom", "gan", "pool", "gate"),
    )
    return RunFolder(folder)


def test_a_run_compares_what_the_student_doubts(finished):
    arms = {arm["name"]: arm for arm in finished.record("gate")["ledger"]["arms"]}
    assert set(arms) == {
        "real_only", "gan", "gan_first", "gan_disagreement", "pca_gaussian", "pca_disagreement"
    }  # fmt: skip
    for arm in arms.values():
        assert len(arm["validation_accuracy"]) >= 2
    between = read_facts(finished.path / "pool_between")
    assert between.source["source"] == "label_mixing"
    assert between.class_counts == read_facts(finished.path / "pool").class_counts


@pytest.mark.parametrize(("decision", "pools"), [("gan_disagreement", 400), ("gan", 200)])
def test_the_student_learns_from_what_was_chosen(finished, data, monkeypatch, decision, pools):
    drawn = []
    mixed = write_transfer_set.with_pool

    def watched(real, arm, pool, *rest):
        drawn.append((arm.name, len(arm.pool.x), len(pool.x), np.unique(pool.y).tolist()))
        return mixed(real, arm, pool, *rest)

    monkeypatch.setattr(write_transfer_set, "with_pool", watched)
    gate = finished.record("gate")
    finished.finish("gate", {**gate, "ledger": {**gate["ledger"], "decision": decision}})
    doubting = []
    in_doubt = write_transfer_set._student_in_doubt
    monkeypatch.setattr(
        write_transfer_set,
        "_student_in_doubt",
        lambda journey: doubting.append(1) or in_doubt(journey),
    )
    accelerate(data=data, resume=finished.path, only=("transfer_set", "student"))
    written = finished.record("transfer_set")
    for folder in ("student", "fine_tuning"):
        transfer = TransferSet.read(finished.path / "transfer_set" / folder)
        assert transfer.sources == ("real", "gan")
        assert transfer.generated_fraction == 0.5
    for stage in ("transfer_set", "student"):
        (finished.checkpoints / f"{stage}.json").unlink()
    shutil.rmtree(finished.path / "transfer_set")
    assert (written["decision"], written["generated"] > 0) == (decision, True)
    # The pool of the student's training is that of its compression, chosen once.
    assert drawn[0] == drawn[1]
    assert len(doubting) == (decision == "gan_disagreement")
    name, candidates, left, classes = drawn[0]
    assert (name, candidates) == (decision, pools)
    if decision == "gan":
        assert (left, classes) == (200, [0, 1, 2])
    else:
        assert 0.1 * pools < left < 0.5 * pools
        assert classes == [-1]
