"""What holds in every test."""

import sys
import time
import traceback
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parent)
OURS = str(Path(__file__).parents[1] / "keras_ganaccel")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What is slow trains: `-m "not train"` leaves it out, as the default `-m "not slow"` does."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.train)


@pytest.fixture(autouse=True)
def pipeline_starts(monkeypatch):
    """When each `tf.data` pipeline of a test was started; none of the package's may wait.

    TensorFlow's tuner must be off in it, see `keras_ganaccel.pipelines`. A pipeline is the
    package's where the innermost frame outside of libraries is its own.
    """
    starts: list[float] = []
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return starts
    iterate = tensorflow.data.Dataset.__iter__

    def checked(dataset):
        starts.append(time.perf_counter())
        files = [frame.filename for frame in traceback.extract_stack()[:-1]]
        caller = next((file for file in reversed(files) if file.startswith((OURS, TESTS))), "")
        if caller.startswith(OURS):
            assert dataset.options().autotune.enabled is False, f"{caller} waits at its end"
        return iterate(dataset)

    monkeypatch.setattr(tensorflow.data.Dataset, "__iter__", checked)
    return starts
