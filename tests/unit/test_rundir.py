"""The run folder: appears complete, records stages, and survives being cut short."""

import os

import numpy as np
import pytest

from keras_ganaccel.config import preset
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.rundir import RunFolder, check_out_folder, read_metrics, save_splits


def test_a_new_folder_is_complete_and_can_be_opened_again(tmp_path):
    config = preset("quick")
    splits = {"train": np.array([1, 2]), "validation": np.array([3]), "test": np.array([0])}
    run = RunFolder.create(tmp_path / "a" / "run", config, lambda f: save_splits(f, splits))
    assert RunFolder(run.path).config == config
    with np.load(run.path / "splits.npz") as saved:
        for name, rows in splits.items():
            np.testing.assert_array_equal(saved[name], rows)
            assert saved[name].dtype == np.int64
    assert {p.name for p in run.path.iterdir()} == {
        "config.yaml", "environment.json", "splits.npz", "checkpoints", "samples", "artifacts",
    }  # fmt: skip


def test_nothing_is_left_when_preparing_fails(tmp_path):
    def fail(folder):
        assert (folder / "config.yaml").is_file()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        RunFolder.create(tmp_path / "run", preset(), fail)
    assert os.listdir(tmp_path) == []


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert check_out_folder(tmp_path / "empty")
    for name in ("full", "file"):
        with pytest.raises(InvalidInputError, match="new or empty"):
            check_out_folder(tmp_path / name)
    with pytest.raises(InvalidInputError, match="cannot be written"):
        check_out_folder(tmp_path / "file" / "below")
    with pytest.raises(MissingFileError, match="no run"):
        RunFolder(tmp_path / "empty")


def test_an_empty_folder_becomes_the_run(tmp_path):
    (tmp_path / "run").mkdir()
    assert RunFolder.create(tmp_path / "run", preset()).path == tmp_path / "run"


def test_records_mark_what_is_done(tmp_path):
    run = RunFolder.create(tmp_path / "run", preset())
    assert run.record("teacher") is None
    assert not run.finished
    assert run.finish("teacher", {"accuracy": 0.5, "names": ("a",)}) == {
        "accuracy": 0.5,
        "names": ["a"],
    }
    run.finish("report", {})
    assert RunFolder(run.path).finished


def test_metrics_are_appended_cut_and_survive_a_torn_line(tmp_path):
    run = RunFolder.create(tmp_path / "run", preset())
    run.log([{"stage": "gan", "step": 1}, {"stage": "student", "step": 1}])
    with open(run.metrics, "a") as file:
        file.write('{"stage": "gan", "st')
    assert len(read_metrics(run.metrics)) == 2
    run.cut_metrics("gan")
    assert read_metrics(run.metrics) == [{"stage": "student", "step": 1}]
    assert run.metrics.read_text() == '{"stage": "student", "step": 1}\n'
