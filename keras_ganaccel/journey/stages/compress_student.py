"""The stage that prunes and quantization-aware trains the student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.export.techniques import compress_and_check
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.journey.artefacts import calibration, labels_of
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.stages.write_transfer_set import tuning_steps
from keras_ganaccel.journey.training import load_student
from keras_ganaccel.journey.transfer_sets import tuning_folder
from keras_ganaccel.words import percent


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        technique: How the student was compressed.
        promises: What the exported file must keep, by name.
    """

    technique: str
    promises: Mapping[str, Any]


def compress_student(journey: Journey) -> Record:
    """Prunes and quantization-aware trains the student; writes `student_pruned_int8.tflite`."""
    settings = journey.config.compression
    samples = TransferSet.read(tuning_folder(journey))
    batches = samples.batches(tuning_steps(journey), journey.config.student.batch_size)
    stream = batches.map(lambda x, targets, _: (journey.to_student_range(x), targets))
    compressed = compress_and_check(
        load_student(journey),
        stream,
        technique=settings.technique,
        sparsity=settings.sparsity,
        schedule=settings.schedule,
        steps=journey.steps("compression"),
        learning_rate=settings.learning_rate,
        temperature=journey.config.student.temperature,
        alpha=journey.config.student.alpha,
        seed=journey.seed("compression"),
        calibration_samples=settings.calibration_samples,
        on_progress=journey.progress.advance,
    )
    export_tflite(
        compressed,
        journey.run.artifacts / "student_pruned_int8.tflite",
        quantization="int8",
        representative_dataset=calibration(journey),
        **labels_of(journey),
    )
    return Record(compressed.technique, dict(compressed.promises))


def summary(record: Record) -> str:
    """Says what was done."""
    sparsity = record.promises.get("sparsity")
    pruned = f", {percent(sparsity, 0)} zeros" if sparsity else ""
    return f"{record.technique}{pruned}"


STAGE = Stage("compress", compress_student, summary, Record)
