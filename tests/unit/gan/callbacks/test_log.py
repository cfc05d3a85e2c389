import json

import numpy as np

from keras_ganaccel.gan.callbacks import MetricsLog
from keras_ganaccel.gan.callbacks.log import cut_back
from keras_ganaccel.rundir import read_metrics


def test_rows_hold_interval_means_and_what_others_put_in(gan, drive, tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", every=4)
    drive(log, gan, [2, 4], generator_loss=1.0)
    drive(log, gan, [6, 8], {"kid": np.float64(0.5)}, generator_loss=3.0)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows == [
        {"stage": "gan", "step": 4, "generator_loss": 1.0},
        {"stage": "gan", "step": 8, "kid": 0.5, "generator_loss": 3.0},
    ]


def test_what_is_not_finite_is_null(gan, drive, tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", every=4)
    drive(log, gan, [4], generator_loss=np.nan)
    assert read_metrics(tmp_path / "metrics.jsonl")[0]["generator_loss"] is None


def test_a_resumed_log_equals_an_uninterrupted_one(gan, drive, tmp_path):
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    drive(MetricsLog(whole, every=4), gan, range(1, 13), generator_loss=2.0)
    gan.step.assign(0)
    gan.reset_metrics()
    first = MetricsLog(killed, every=4)
    drive(first, gan, range(1, 7), generator_loss=2.0)  # the checkpoint holds step 6
    state = json.loads(json.dumps(first.get_state()))
    drive(first, gan, range(7, 10), generator_loss=5.0)  # lost to the kill
    with open(killed, "a") as file:
        file.write('{"stage": "gan", "st')
    gan.step.assign(6)
    gan.reset_metrics()
    second = MetricsLog(killed, every=4)
    second.set_state(state)
    drive(second, gan, range(7, 13), generator_loss=2.0)
    assert killed.read_text() == whole.read_text()


def test_cutting_back_spares_other_stages(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"stage": "gate", "step": 90}, *({"stage": "gan", "step": s} for s in (10, 20, 30))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    cut_back(path, "gan", 20)
    assert read_metrics(path) == rows[:3]
    before = path.stat().st_mtime_ns
    cut_back(path, "gan", 20)  # nothing to cut: the file is not touched
    assert path.stat().st_mtime_ns == before
    cut_back(tmp_path / "none.jsonl", "gan", 20)
    assert not (tmp_path / "none.jsonl").exists()
