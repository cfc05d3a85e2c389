"""A training that is killed and resumed must end on the bits of one that is not."""

import subprocess
import sys
from pathlib import Path

import pytest

# Whole runs: minutes each.
pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "kill_and_resume.py"


@pytest.mark.parametrize(
    ("kills", "steps"), [(2, 60), pytest.param(20, 600, marks=pytest.mark.slow)]
)
def test_killed_training_ends_on_the_same_bits(kills, steps):
    command = [sys.executable, str(SCRIPT), "--kills", str(kills), "--steps", str(steps)]
    result = subprocess.run(
        [*command, "--every", "10"], capture_output=True, text=True, timeout=1800, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 differ" in result.stdout
