"""Several worker processes share a training; one that dies costs no more than a few steps."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_ganaccel.report.ledger import STAGES

pytestmark = pytest.mark.slow

LAUNCHER = Path(__file__).parents[2] / "scripts" / "launch_workers.py"
SMALL = [
    "gan.steps=60", "gan.width=8", "gan.latent_dim=8", "gan.batch_size=16",
    "gan.steps_per_execution=5", "gan.evaluate_every=30", "gan.checkpoint_every=10",
]  # fmt: skip
REST = [
    "teacher.members=[svm, convnet]", "teacher.size=tiny", "teacher.steps=20",
    "gate.teacher_members=[svm]", "gate.steps=20", "student.steps=100", "student.transfer_size=200",
    "pool.size=64", "pool.filters=[]", "compression.steps=30",
]  # fmt: skip


def command(name, *words, settings=()):
    given = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-m", "keras_ganaccel", *name.split(), *map(str, words), *given]


def launcher():
    spec = importlib.util.spec_from_file_location("launch_workers", LAUNCHER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_workers_share_a_run(tmp_path):
    """The chief's folder is whole; the other worker leaves nothing behind."""
    out = tmp_path / "shared"
    words = command("run", "--strategy", "multiworker", "--out", out, settings=SMALL + REST)
    result = subprocess.run(
        [sys.executable, str(LAUNCHER), "--workers", "2", "--", *words],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("\nReport: ") == 1
    ledger = json.loads((out / "ledger.json").read_text())
    assert [row["name"] for row in ledger["stages"]] == list(STAGES)
    assert not list(tmp_path.glob("ganaccel-worker-*"))


def test_a_worker_that_dies_leaves_a_checkpoint_to_go_on_from(tmp_path, capfd):
    out = tmp_path / "shared"
    start = launcher()
    processes = start.launch(
        command("gan train", "--strategy", "multiworker", "--out", out, settings=SMALL), 2
    )
    deadline = time.monotonic() + 300
    while not list(out.glob("checkpoints/gan/*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    processes[1].kill()
    assert start.wait(processes) != 0
    assert not (out / "artifacts" / "generator.keras").exists()

    assert start.wait(start.launch(command("gan train", "--resume", out), 2)) == 0
    assert (out / "artifacts" / "generator.keras").is_file()
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60
    capfd.readouterr()
