"""Where a run keeps what its student learns from, and the real samples of it."""

from __future__ import annotations

from pathlib import Path

from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.journey.weighing import recipe_of

_FOLDER = "transfer_set"


def student_folder(journey: Journey) -> Path:
    """Where the transfer set of the student's training lies."""
    return journey.run.path / _FOLDER / "student"


def tuning_folder(journey: Journey) -> Path:
    """Where the transfer set of the compression's fine-tuning lies."""
    return journey.run.path / _FOLDER / "fine_tuning"


def real_part(journey: Journey) -> TransferSet:
    """Writes the real samples of the student's training; returns at once where they are there."""
    x, y = journey.train
    return TransferSet.for_recipe(
        recipe_of(journey, journey.steps("student")),
        journey.teacher,
        x,
        y,
        num_classes=journey.data.spec.num_classes,
        seed=journey.seed("student"),
        folder=student_folder(journey),
    )
