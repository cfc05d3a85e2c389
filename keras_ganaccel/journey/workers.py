"""The run folder where several processes share a run: the chief's, and copies that vanish."""

from __future__ import annotations

import atexit
import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from keras_ganaccel.distribution import bytes_from_chief, is_chief, is_multi_worker
from keras_ganaccel.rundir import RunFolder


def folder_of_worker(strategy: tf.distribute.Strategy, make: Callable[[], RunFolder]) -> RunFolder:
    """Returns the folder that this process writes to.

    Every worker does every stage, because all of them must take part in the distributed ones. But
    the chief alone writes into the run folder: each other worker has a copy of its own, as it is
    now, which is deleted when the process ends. Disks need not be shared.

    Args:
        strategy: What the run trains under.
        make: Makes, or opens, the run folder; called on the chief alone.

    Returns:
        The run folder, or this worker's copy.
    """
    run = make() if is_chief(strategy) else None
    if not is_multi_worker(strategy):
        assert run is not None
        return run
    content = bytes_from_chief(strategy, None if run is None else _packed(run.path))
    if run is not None:
        return run
    assert content is not None
    copy = Path(tempfile.mkdtemp(prefix="ganaccel-worker-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(copy, filter="data")
    return RunFolder(copy)


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()
