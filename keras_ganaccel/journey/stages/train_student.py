"""The stage that trains the student on the transfer set."""

from __future__ import annotations

import time
from dataclasses import dataclass

from keras_ganaccel.classifier.train import score_logits
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.files import save_keras
from keras_ganaccel.gate.arms import REAL_ONLY
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.stages import weigh_arms
from keras_ganaccel.journey.stages.check_headroom import EARLY_STUDENT
from keras_ganaccel.journey.training import load_student, trained_student, validation_logits
from keras_ganaccel.journey.transfer_sets import student_folder
from keras_ganaccel.words import on_rows


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        parameters: Of the student.
        validation_accuracy: In [0, 1].
        validation_rows: Rows that it was measured on.
        decision: The arm of the gate that it follows.
        seconds: Spent.
        trained_for_headroom: Whether it is the student of the headroom's stage.
    """

    parameters: int
    validation_accuracy: float
    validation_rows: int
    decision: str
    seconds: float
    trained_for_headroom: bool


def train_student(journey: Journey) -> Record:
    """Trains the student on what the gate chose, and writes `student.keras`."""
    began = time.monotonic()
    decision = weigh_arms.STAGE.done(journey).decision
    early = journey.run.checkpoints / EARLY_STUDENT
    ready = decision == REAL_ONLY and early.is_file()
    if ready:
        student = load_student(journey, early)
    else:
        student = trained_student(journey, TransferSet.read(student_folder(journey)))
    save_keras(journey.run.artifacts / "student.keras", student)
    logits = validation_logits(journey, student)
    return Record(
        parameters=student.count_params(),
        validation_accuracy=score_logits(logits, journey.validation[1])["accuracy"],
        validation_rows=len(journey.data.splits.validation),
        decision=decision,
        seconds=time.monotonic() - began,
        trained_for_headroom=ready,
    )


def summary(record: Record) -> str:
    """Says how large and how good it is."""
    reached = on_rows(record.validation_accuracy, record.validation_rows, "validation")
    return f"{record.parameters:,} parameters, {reached}"


STAGE = Stage("student", train_student, summary, Record)
