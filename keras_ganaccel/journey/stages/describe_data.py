"""The stage that looks at the data: what they look like, and what their audit found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keras_ganaccel.journey.context import Journey, Stage


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        fingerprint: Tells the data from all others.
        shape: Shape of a sample.
        classes: Their names.
        rows: Rows of each split.
        notes: What the audit has to say.
    """

    fingerprint: str
    shape: list[int]
    classes: list[str]
    rows: Mapping[str, int]
    notes: list[str]


def describe_data(journey: Journey) -> Record:
    """Records what the data look like and what its audit found."""
    data = journey.data
    notes = [*data.audit.warnings, *(f"Left out: {path}" for path in data.audit.skipped)]
    for note in notes:
        journey.progress.note(note)
    return Record(
        fingerprint=data.fingerprint(),
        shape=list(data.spec.sample_shape),
        classes=list(data.spec.class_names),
        rows={
            "train": len(data.splits.train),
            "validation": len(data.splits.validation),
            "test": len(data.splits.test),
        },
        notes=notes,
    )


def summary(record: Record) -> str:
    """Says how many there are of what."""
    rows = record.rows
    size = "x".join(str(side) for side in record.shape)
    return (
        f"{len(record.classes)} classes, {size}, {rows['train']} to train on, "
        f"{rows['validation']} to validate, {rows['test']} to test"
    )


STAGE = Stage("data", describe_data, summary, Record)
