"""However many replicas share the global batch, training must end on the same weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Whole runs: minutes each.
pytestmark = pytest.mark.slow

TRAINING = [sys.executable, str(Path(__file__).with_name("parity_training.py"))]
LAUNCHER = Path(__file__).parents[2] / "scripts" / "launch_workers.py"
TOLERANCE = 1e-4


def train(folder, strategies, steps):
    """Trains under each strategy (those of one size in one process) and returns all variables."""
    command = [*TRAINING, str(folder), "--strategies", strategies, "--steps", str(steps)]
    if strategies == "multiworker":
        command = [sys.executable, str(LAUNCHER), "--workers", "2", "--", *command]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return [np.load(folder / f"{name}.npz") for name in strategies.split(",")]


def assert_same(expected, found):
    assert set(expected.files) == set(found.files)
    for name in expected.files:
        one, other = expected[name].astype(float), found[name].astype(float)
        difference = np.linalg.norm(one - other)
        assert difference <= TOLERANCE * np.linalg.norm(one), (name, difference)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """Twelve steps on one device: lazy penalties included."""
    folder = tmp_path_factory.mktemp("single")
    return train(folder, "default", 12)[0]


@pytest.mark.parametrize("strategy", ["2", "multiworker"])
def test_two_replicas_end_where_one_does(single, tmp_path, strategy):
    (found,) = train(tmp_path, strategy, 12)
    assert_same(single, found)


@pytest.mark.slow
def test_one_two_and_four_replicas_and_two_workers_after_fifty_steps(tmp_path):
    expected, mirrored = train(tmp_path, "default,1", 50)
    assert_same(expected, mirrored)
    for strategy in ("2", "4", "multiworker"):
        assert_same(expected, *train(tmp_path, strategy, 50))
