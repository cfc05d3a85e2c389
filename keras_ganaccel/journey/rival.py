"""The stage that fits the rival: simple models on the rows that the student learns from."""

from __future__ import annotations

from typing import Any

from keras_ganaccel.classifier.rival import Rival, fit_rival
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.report.findings import rival_name
from keras_ganaccel.words import on_rows

_FILE = "rival.joblib"


def train_rival(journey: Journey) -> dict[str, Any]:
    """Fits the rival on the training split and keeps it for the test at the end."""
    rival = fit_rival(
        *journey.train,
        journey.validation,
        asked=len(journey.data.splits.test),
        seed=journey.seed("rival"),
    )
    rival.save(journey.run.checkpoints / _FILE)
    return {
        "name": rival.name,
        "recipe": rival.recipe,
        "training_rows": rival.rows,
        "validation_accuracy": rival.validation_accuracy,
        "validation_rows": len(journey.data.splits.validation),
        "tried": dict(rival.tried),
        "seconds": rival.seconds,
    }


def load_rival(journey: Journey) -> Rival:
    """Loads the rival that the stage fitted."""
    return Rival.load(journey.run.checkpoints / _FILE)


def summary(record: dict[str, Any]) -> str:
    """Says how good it is on validation rows."""
    reached = on_rows(record["validation_accuracy"], record["validation_rows"], "validation")
    return f"{rival_name(record)} on the same rows: {reached}"
