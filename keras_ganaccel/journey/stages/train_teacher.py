"""The stage that trains the teacher: an ensemble on the training split."""

from __future__ import annotations

import functools
import shutil
import time
from dataclasses import dataclass

from keras_ganaccel.classifier.teacher import build_teacher
from keras_ganaccel.classifier.train import score_logits
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.words import on_rows, percent

# From here on a teacher's members take long enough to be named one by one.
_MANY_ROWS = 5_000


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        validation_accuracy: In [0, 1].
        validation_rows: Rows that it was measured on.
        members: What the ensemble consists of.
        seconds: Spent.
    """

    validation_accuracy: float
    validation_rows: int
    members: list[str]
    seconds: float


def train_teacher(journey: Journey) -> Record:
    """Trains the teacher's ensemble on the training split."""
    settings = journey.config.teacher
    began = time.monotonic()
    x, y = journey.train
    parts = journey.run.checkpoints / "teacher_parts"
    teacher = build_teacher(
        journey.data.spec,
        x,
        y,
        members=settings.members,
        size=settings.size,
        steps=journey.steps("teacher"),
        batch_size=journey.config.student.batch_size,
        seed=journey.seed("teacher"),
        parts=parts,
        progress=functools.partial(_tell_member, journey),
    )
    teacher.save(journey.run.checkpoints / "teacher")
    shutil.rmtree(parts)
    for each in teacher.evidence:
        journey.progress.note(
            f"Teacher: {each.name} is right on {percent(each.accuracy)} of {each.rows} rows that "
            f"it did not learn from, and has {percent(each.weight, 0)} of the say."
        )
    held_x, held_y = journey.validation
    return Record(
        validation_accuracy=score_logits(teacher.predict_logits(held_x), held_y)["accuracy"],
        validation_rows=len(journey.data.splits.validation),
        members=list(settings.members),
        seconds=time.monotonic() - began,
    )


def _tell_member(journey: Journey, index: int, count: int, member: str) -> None:
    """Moves the bar; where members take long, a line says so to those who see no bar."""
    journey.progress.advance(index, count)
    rows = len(journey.train[1])
    if rows >= _MANY_ROWS:
        journey.progress.note(f"Teacher: {member} ({index + 1} of {count}) learns {rows} samples.")


def summary(record: Record) -> str:
    """Says who teaches, and how good it is on validation rows."""
    reached = on_rows(record.validation_accuracy, record.validation_rows, "validation")
    return f"{' + '.join(record.members)}: {reached}"


STAGE = Stage("teacher", train_teacher, summary, Record)
