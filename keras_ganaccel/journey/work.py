"""The stages of a run, one after the other, and what is said when one of them cannot be done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.disk_space import free_space, out_of_space
from keras_ganaccel.errors import GanAccelError, RunFailedError, RunInterrupted, chain_of, reason_of
from keras_ganaccel.files import shown
from keras_ganaccel.invocation import command_line
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.result import AccelerationResult
from keras_ganaccel.journey.stages import stages_named
from keras_ganaccel.paths import MEMORY
from keras_ganaccel.rundir import RunFolder

# What TensorFlow raises where Python raises an OSError.
_UNREADABLE = (
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.DataLossError,
    tf.errors.UnavailableError,
)


def travel(journey: Journey, only: Sequence[str] | None) -> AccelerationResult:
    """Does every stage that is still to do, each from the files of those before it.

    Args:
        journey: The run.
        only: The stages to do; None does all of them.

    Returns:
        The result.

    Raises:
        RunFailedError: A file could not be written or read.
        RunInterrupted: The user stopped it.
    """
    progress, run, stages = journey.progress, journey.run, stages_named(only)
    try:
        for index, stage in enumerate(stages, start=1):
            progress.start(stage.name, index, len(stages))
            before = stage.read(journey)
            if before is None:
                progress.finish(stage.name, stage.summary(_done(journey, stage)))
            else:
                progress.finish(stage.name, f"{stage.summary(before)} (done before)")
    except KeyboardInterrupt:
        raise RunInterrupted(f"Interrupted. {_how_to_go_on(run)}", str(run.path)) from None
    finally:
        progress.close()
    return AccelerationResult(run.path)


def _done(journey: Journey, stage: Stage[Any]) -> Any:
    """Does a stage, and returns its record."""
    run = journey.run
    # A stage must not depend on what ran before it in the same process.
    keras.utils.set_random_seed(journey.seed(stage.name))
    try:
        with run.written() as files:
            found = stage.work(journey)
        run.finish(stage.name, stage.values(found), files)
        return stage.done(journey)
    except Exception as error:
        failure = _explained(error, stage, run)
        if failure is None:
            raise
        raise failure from error


def _explained(error: Exception, stage: Stage[Any], run: RunFolder) -> RunFailedError | None:
    """What a failure of the disk is told as; None for every other one."""
    if out_of_space(error):
        return RunFailedError(
            f"The disk is full. Received: {_full_place(error, run)}, in the stage "
            f"{stage.name!r}. Make space. {_how_to_go_on(run)}"
        )
    if isinstance(error, (OSError, *_UNREADABLE)) and not isinstance(error, GanAccelError):
        return RunFailedError(
            f"A file could not be written or read in the stage {stage.name!r}. Received: "
            f"{reason_of(error)}. Mend that. {_how_to_go_on(run)}"
        )
    return None


def _full_place(error: Exception, run: RunFolder) -> str:
    """The file that could not be written where it is known, else the fuller of two disks."""
    for each in chain_of(error):
        if isinstance(each, OSError) and isinstance(each.filename, (str, os.PathLike)):
            return f"{shown(each.filename)!r}, {free_space(each.filename)}"
    places = (run.path, Path(tempfile.gettempdir()))
    fuller = min(places, key=lambda place: shutil.disk_usage(place).free)
    return f"{shown(fuller)!r}, {free_space(fuller)}"


def _how_to_go_on(run: RunFolder) -> str:
    """The words that go on with a run, to paste."""
    in_memory = {
        "model": run.config.model.path == MEMORY,
        "data": run.config.data.source == MEMORY,
    }
    given = [f"{name}=..." for name, needed in in_memory.items() if needed]
    if given:
        return f"Go on from Python with: accelerate({', '.join(given)}, resume={str(run.path)!r})"
    return f"Go on with: {command_line('run', '--resume', shown(run.path))}"
