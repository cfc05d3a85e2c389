"""A damaged run folder: resumed to the same ledger, or refused in one line and left alone."""

import functools
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from keras_ganaccel.config import preset
from keras_ganaccel.environment import environment
from keras_ganaccel.errors import GanAccelError, InvalidInputError, RunFailedError, RunInterrupted
from keras_ganaccel.export.manifest import write_manifest
from keras_ganaccel.journey import stages
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.journey.context import Stage
from keras_ganaccel.journey.progress import Silent
from keras_ganaccel.journey.stages.describe_data import describe_data
from keras_ganaccel.json_files import write_json
from keras_ganaccel.rundir import RunFolder

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[3]


def learn(journey):
    """As the teacher's stage: a pickle in the checkpoints."""
    x, y = journey.train
    folder = journey.run.checkpoints / "teacher"
    folder.mkdir(exist_ok=True)
    (folder / "member0.joblib").write_bytes(pickle.dumps(SVC().fit(x.reshape(len(x), -1), y)))
    return {"validation_accuracy": 1.0}


def export(journey):
    """As the later stages: artefacts that follow from what the earlier ones wrote."""
    machine = pickle.loads((journey.run.checkpoints / "teacher" / "member0.joblib").read_bytes())
    x, _ = journey.data.arrays("test")
    answers = machine.predict(x.reshape(len(x), -1))
    (journey.run.artifacts / "saved").mkdir(exist_ok=True)
    (journey.run.artifacts / "saved" / "student.tflite").write_bytes(answers.tobytes())
    return {"answers": answers[:5].tolist()}


def report(journey):
    """As the last stage."""
    write_json(journey.run.path / "ledger.json", journey.run.record("export"))
    write_manifest(journey.run.artifacts)
    for name in ("report.html", "report.md"):
        (journey.run.path / name).write_text("told")
    return {}


@pytest.fixture(autouse=True)
def quick_stages(monkeypatch):
    """The real machinery around stages that take no time."""
    work = {"data": describe_data, "teacher": learn, "export": export, "report": report}
    quick = tuple(Stage(name, function, lambda record: "done") for name, function in work.items())
    monkeypatch.setattr(stages, "STAGES", quick)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A data file in the working directory, small and with names for labels."""
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 3)[:90]
    np.savez("digits.npz", x=digits.images[rows], y=digits.target[rows])
    return "digits.npz"


run = functools.partial(accelerate, progress=Silent())


@pytest.fixture
def finished(source, tmp_path):
    return run(data=source, config=preset("quick"), out=tmp_path / "run").folder


@pytest.fixture
def unfinished(finished, tmp_path):
    """The same run, killed before its last stage."""
    folder = shutil.copytree(finished, tmp_path / "unfinished")
    for name in ("ledger.json", "report.html", "report.md", "artifacts/manifest.json"):
        (folder / name).unlink()
    (folder / "checkpoints" / "report.json").unlink()
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def refusal(folder):
    """Resumes; returns the project's error if it is refused."""
    try:
        run(resume=folder)
    except GanAccelError as error:
        return error
    return None


def replaced_by_folder(path):
    path.unlink()
    path.mkdir()


def replaced_by_dead_link(path):
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


MUTATIONS = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(b"\x80\x04\xff noise" * 9),
    "another type": lambda path: path.write_bytes(b"[3]\n"),
    "lengthened": lambda path: path.write_bytes(path.read_bytes() + b"\n{}"),
    "folder": replaced_by_folder,
    "dead link": replaced_by_dead_link,
    "deleted": Path.unlink,
}


@pytest.mark.parametrize(
    ("state", "mutation"),
    [
        *(("unfinished", mutation) for mutation in MUTATIONS),
        *(("finished", mutation) for mutation in ("cut", "folder", "deleted")),
    ],
)
def test_every_file_damaged_in_every_way(request, finished, tmp_path, state, mutation):
    original = request.getfixturevalue(state)
    expected = (finished / "ledger.json").read_bytes()
    names = sorted(contents(original))
    assert {"config.yaml", "environment.json", "splits.npz", "checkpoints/run.json"} <= set(names)
    refused = set()
    for name in names:
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, folder)
        MUTATIONS[mutation](folder / name)
        before = contents(folder)
        error = refusal(folder)
        if error is None:
            assert (folder / "ledger.json").read_bytes() == expected, name
            assert refusal(folder) is None, "what was mended must stay so"
        else:
            refused.add(name)
            assert error.exit_code == 2
            assert "\n" not in str(error)
            assert contents(folder) == before, "more was destroyed"
    # What is missing can be computed again; all but the beginning itself.
    assert (refused == {"checkpoints/run.json"}) == (mutation == "deleted")


def test_what_is_missing_is_done_again_with_what_followed(finished):
    expected = contents(finished)
    (finished / "checkpoints" / "teacher" / "member0.joblib").unlink()
    assert run(resume=finished).folder == finished, "only what is delivered counts in the end"
    (finished / "artifacts" / "saved" / "student.tflite").unlink()
    told = []
    progress = Silent()
    progress.note = told.append
    run(resume=finished, progress=progress)
    (line,) = told
    assert "artifacts/saved/student.tflite" in line or "member0.joblib" in line
    assert contents(finished).keys() == expected.keys()
    assert (finished / "ledger.json").read_bytes() == expected["ledger.json"]


def test_an_edited_setting_is_named(finished, unfinished):
    for folder in (finished, unfinished):
        path = folder / "config.yaml"
        text = path.read_text()
        path.write_text(text.replace("preset: quick", "preset: best") + "# a remark\n")
        with pytest.raises(InvalidInputError, match="preset: 'best' for 'quick'"):
            run(resume=folder)
        path.write_text(text + "# a remark\n")
        run(resume=folder)
        path.unlink()
        run(resume=folder)


def test_other_versions_are_told(unfinished):
    path = unfinished / "environment.json"
    known = environment()
    told = []
    progress = Silent()
    progress.note = told.append
    packages = {**known["packages"], "tensorflow": "1.15.0"}
    path.write_text(json.dumps({**known, "packages": packages}))
    run(resume=unfinished, progress=progress)
    (line,) = told
    assert "tensorflow 1.15.0 then" in line


def test_another_version_of_this_package_is_refused(unfinished):
    path = unfinished / "environment.json"
    packages = {"keras-ganaccel": "0.0.1"}
    path.write_text(json.dumps({"packages": packages}))
    with pytest.raises(InvalidInputError, match=r"0\.0\.1"):
        run(resume=unfinished)


def test_a_record_of_another_run_is_refused(source, unfinished, tmp_path):
    other = run(data=source, config=preset("quick"), out=tmp_path / "other").folder
    shutil.copyfile(
        other / "checkpoints" / "teacher.json", unfinished / "checkpoints" / "teacher.json"
    )
    with pytest.raises(InvalidInputError, match="not of this run"):
        run(resume=unfinished)


def test_a_foreign_pickle_is_not_opened(unfinished, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (unfinished / "checkpoints" / "export.json").unlink()
    (unfinished / "checkpoints" / "teacher" / "member0.joblib").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InvalidInputError, match=r"member0\.joblib"):
        run(resume=unfinished)
    assert not (tmp_path / "sprung").exists()


def test_a_run_is_resumed_from_elsewhere_and_after_it_was_moved(
    unfinished, finished, tmp_path, monkeypatch
):
    moved = tmp_path / "möved and renamed"
    unfinished.rename(moved)
    (moved / "checkpoints" / "teacher.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run(resume=moved)
    assert (moved / "ledger.json").read_bytes() == (finished / "ledger.json").read_bytes()


def test_a_relative_out_folder_stays_where_it_was(source, tmp_path, monkeypatch):
    def wander(journey):
        (tmp_path / "elsewhere").mkdir()
        os.chdir(tmp_path / "elsewhere")
        return {}

    first = (Stage("data", describe_data, str), Stage("wander", wander, str))
    monkeypatch.setattr(stages, "STAGES", first + stages.STAGES[1:])
    result = run(data=source, config=preset("quick"), out="run")
    assert result.folder == tmp_path / "run"
    assert result.report.is_file()


def test_a_linked_out_folder_is_filled(source, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    run(data=source, config=preset("quick"), out=tmp_path / "link")
    assert (tmp_path / "disk" / "run" / "ledger.json").is_file()


def test_an_out_folder_within_the_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    for out, source in (("pictures/run", "pictures"), (None, ".")):
        with pytest.raises(InvalidInputError, match="must not lie in the data folder"):
            run(data=source, config=preset("quick"), out=out)
    assert os.listdir(tmp_path) == ["pictures"]


@pytest.mark.parametrize("out", ["run", None])
def test_two_runs_at_once(source, tmp_path, out):
    ended = []

    def go():
        try:
            ended.append(run(data=source, config=preset("quick"), out=out).folder)
        except Exception as error:
            ended.append(error)

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folders = [each for each in ended if isinstance(each, Path)]
    assert all(isinstance(each, (Path, InvalidInputError)) for each in ended), ended
    assert len(set(folders)) == len(folders) >= 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_run_that_still_goes_on_cannot_be_resumed(unfinished):
    with RunFolder(unfinished).held(), pytest.raises(InvalidInputError, match="Another process"):
        run(resume=unfinished)
    run(resume=unfinished)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/somewhere/state"),
        OSError("262144 requested and 4096 written"),
        OSError("Unable to synchronously write (file write failed: errno = 28, error message)"),
        RuntimeError("ResourceExhaustedError: shard-0; No space left on device"),
    ],
    ids=["system", "numpy", "hdf5", "tensorflow"],
)
def test_a_full_disk_is_one_line_and_the_run_goes_on_after(
    source, finished, tmp_path, monkeypatch, error
):
    def full(journey):
        raise error

    whole = stages.STAGES
    broken = [Stage("export", full, str) if each.name == "export" else each for each in whole]
    monkeypatch.setattr(stages, "STAGES", tuple(broken))
    with pytest.raises(RunFailedError, match="disk is full") as told:
        run(data=source, config=preset("quick"), out=tmp_path / "full")
    assert told.value.exit_code == 1
    assert str(told.value).endswith("run --resume full")
    monkeypatch.setattr(stages, "STAGES", whole)
    run(resume=tmp_path / "full")
    expected = (finished / "ledger.json").read_bytes()
    assert (tmp_path / "full" / "ledger.json").read_bytes() == expected


def test_an_interrupted_run_says_how_to_go_on(source, tmp_path, monkeypatch):
    def stop(journey):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "STAGES", (*stages.STAGES[:1], Stage("teacher", stop, str)))
    monkeypatch.setattr(sys, "argv", ["-c"])
    with pytest.raises(RunInterrupted) as told:
        run(data=source, config=preset("quick"), out="a run")
    assert str(told.value) == (
        f"Interrupted. Go on with: {sys.executable} -m keras_ganaccel run --resume 'a run'"
    )
    rows = np.load(source)
    with pytest.raises(RunInterrupted, match=r"accelerate\(data=\.\.\., resume='.*memory'\)"):
        run(data=(rows["x"], rows["y"]), config=preset("quick"), out="memory")


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_the_hint_after_a_signal_works_when_pasted(source, tmp_path, signal):
    command = [sys.executable, "-m", "keras_ganaccel", "run", "--data", source, "--no-gan"]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    process = subprocess.Popen(
        [*command, "--preset", "quick", "--out", "a run"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=surroundings,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "a run" / "checkpoints" / "data.json").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    subprocess.run(["kill", f"-{signal}", str(process.pid)], check=True)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.count("\n") == 1
    pasted = err.partition("Go on with: ")[2].strip()
    again = subprocess.run(pasted, shell=True, env=surroundings, check=False, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "a run" / "ledger.json").is_file()
