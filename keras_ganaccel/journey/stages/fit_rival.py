"""The stage that fits the rival: simple models on the rows that the student learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keras_ganaccel.classifier.rival import Rival, fit_rival
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.report.findings import rival_name
from keras_ganaccel.words import on_rows

_FILE = "rival.joblib"


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        name: The model that was best.
        recipe: What it consists of.
        training_rows: Rows that it learnt from.
        validation_accuracy: In [0, 1].
        validation_rows: Rows that it was measured on.
        tried: The accuracy of each model that was tried.
        seconds: Spent.
    """

    name: str
    recipe: str
    training_rows: int
    validation_accuracy: float
    validation_rows: int
    tried: Mapping[str, float]
    seconds: float


def train_rival(journey: Journey) -> Record:
    """Fits the rival on the training split and keeps it for the test at the end."""
    rival = fit_rival(
        *journey.train,
        journey.validation,
        asked=len(journey.data.splits.test),
        seed=journey.seed("rival"),
    )
    rival.save(journey.run.checkpoints / _FILE)
    return Record(
        name=rival.name,
        recipe=rival.recipe,
        training_rows=rival.rows,
        validation_accuracy=rival.validation_accuracy,
        validation_rows=len(journey.data.splits.validation),
        tried=dict(rival.tried),
        seconds=rival.seconds,
    )


def load_rival(journey: Journey) -> Rival:
    """Loads the rival that the stage fitted."""
    return Rival.load(journey.run.checkpoints / _FILE)


def ledger_row(record: Record) -> dict[str, Any]:
    """What the ledger says of the rival beside its figures on the test split."""
    return {key: value for key, value in asdict(record).items() if key != "validation_rows"}


def summary(record: Record) -> str:
    """Says how good it is on validation rows."""
    reached = on_rows(record.validation_accuracy, record.validation_rows, "validation")
    return f"{rival_name(asdict(record))} on the same rows: {reached}"


STAGE = Stage("rival", train_rival, summary, Record)
