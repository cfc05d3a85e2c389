"""The last stage: the ledger, the manifest, and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_ganaccel.export.manifest import write_manifest
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.stages import (
    check_headroom,
    train_generator,
    verify_artifacts,
    weigh_arms,
)
from keras_ganaccel.report.html import write_report
from keras_ganaccel.report.ledger import Ledger
from keras_ganaccel.report.schema import SCHEMA


@dataclass(frozen=True)
class Record:
    """What the stage told.

    Args:
        findings: What the ledger's figures say, a sentence each.
    """

    findings: list[str]


def tell(journey: Journey) -> Record:
    """Writes the ledger, the manifest, and the report."""
    ledger = Ledger(_ledger_values(journey))
    ledger.save(journey.run.path / "ledger.json")
    write_manifest(journey.run.artifacts)
    write_report(journey.run.path)
    return Record(ledger.findings())


def _ledger_values(journey: Journey) -> dict[str, Any]:
    data = journey.data
    splits = data.splits
    measured = verify_artifacts.STAGE.done(journey)
    generator, headroom = train_generator.STAGE.done(journey), check_headroom.STAGE.done(journey)
    return {
        "schema": SCHEMA,
        "data": {
            "name": data.name,
            "modality": data.spec.modality,
            "classes": list(data.spec.class_names),
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "test_per_class": measured.test_per_class,
            "duplicates_removed": data.audit.duplicates_removed,
        },
        "seed": journey.config.seed,
        "teacher": measured.teacher,
        "rival": measured.rival,
        "gan": generator.ledger,
        "gate": {**weigh_arms.STAGE.done(journey).ledger, "headroom": headroom.ledger},
        "stages": measured.stages,
        "comparisons": measured.comparisons,
    }


def summary(record: Record) -> str:
    """Says where it stands."""
    return "ledger.json, report.html, report.md"


STAGE = Stage("report", tell, summary, Record)
