"""The run folder: appears complete, records stages, and survives being cut short."""

import errno
import os

import numpy as np
import pytest

from keras_ganaccel.config import preset, with_values
from keras_ganaccel.errors import (
    DamagedFileError,
    InvalidInputError,
    MissingFileError,
    RunFailedError,
)
from keras_ganaccel.paths import anchored
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


def test_a_folder_that_cannot_be_renamed_onto_is_filled_in_place(tmp_path, monkeypatch):
    (tmp_path / "mounted").mkdir()
    rename = os.replace

    def busy(source, target):
        if str(target) == str(tmp_path / "mounted"):
            raise OSError(errno.EBUSY, "Device or resource busy")
        rename(source, target)

    monkeypatch.setattr(os, "replace", busy)
    run = RunFolder.create(tmp_path / "mounted", preset())
    assert os.listdir(tmp_path) == ["mounted"]
    assert {path.name for path in run.path.iterdir()} == {
        "config.yaml", "environment.json", "checkpoints", "samples", "artifacts",
    }  # fmt: skip
    assert run.check() is None


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.ENOSPC, RunFailedError, "disk is full"),
        (errno.EDQUOT, RunFailedError, "disk is full"),
        (errno.EIO, InvalidInputError, "cannot be written"),
    ],
)
def test_a_disk_that_fails_leaves_nothing(tmp_path, monkeypatch, in_place, number, kind, said):
    place = tmp_path / ("empty" if in_place else "a/b/c")
    if in_place:
        place.mkdir()

    def fail(folder):
        raise OSError(number, os.strerror(number), str(folder))

    with pytest.raises(kind, match=said):
        RunFolder.create(place, preset(), fail)
    assert [path.name for path in tmp_path.rglob("*")] == (["empty"] if in_place else [])


def test_whoever_comes_second_is_told(tmp_path):
    def overtaken(folder):
        RunFolder.create(tmp_path / "run", preset("best"))

    with pytest.raises(InvalidInputError, match="new or empty"):
        RunFolder.create(tmp_path / "run", preset(), overtaken)
    assert RunFolder(tmp_path / "run").config.preset == "best"
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("name", ["n" * 300, "a/" + "n" * 300 + "/b", "nul\0"])
def test_impossible_names_are_refused(tmp_path, name):
    with pytest.raises(InvalidInputError) as told:
        RunFolder.create(f"{tmp_path}/{name}", preset())
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300
    assert os.listdir(tmp_path) == []
    with pytest.raises(MissingFileError):
        RunFolder(f"{tmp_path}/{name}")


def test_relative_paths_mean_what_they_meant_at_the_beginning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.npy").write_bytes(b"")
    (tmp_path / "y.npy").write_bytes(b"")
    (tmp_path / "digits").mkdir()
    written = with_values(preset(), {"data.source": "x.npy,y.npy", "model.path": "missing.keras"})
    run = RunFolder.create("run", written)
    monkeypatch.chdir("/")
    found = RunFolder(run.path).config
    assert found.data.source == f"{tmp_path}/x.npy,{tmp_path}/y.npy"
    assert found.model.path == "missing.keras"
    assert anchored(preset(), tmp_path).data.source == "digits"
    assert "x.npy,y.npy\n" in (run.path / "config.yaml").read_text()
