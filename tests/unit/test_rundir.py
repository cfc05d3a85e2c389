"""The run folder: appears complete, records stages, and survives being cut short."""

import os

import numpy as np
import pytest

from keras_ganaccel.config import preset
from keras_ganaccel.errors import DamagedFileError, InvalidInputError, MissingFileError
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


def test_metrics_survive_a_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"stage": "gan", "step": 1}\n{"stage": "gan", "st')
    assert read_metrics(path) == [{"stage": "gan", "step": 1}]


@pytest.mark.parametrize(
    "content", [b'{"a": 1}\n{"a\n{"a": 2}\n', b"3\n", b"\xff\n", b"[" * 9999 + b"\n"]
)
def test_damaged_metrics_are_told(tmp_path, content):
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"metrics\.jsonl"):
        read_metrics(tmp_path / "metrics.jsonl")
