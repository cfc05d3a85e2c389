"""The stage that writes the SavedModel, every format that needs no training, and the front end."""

from __future__ import annotations

from dataclasses import dataclass

from keras_ganaccel.classifier.outputs import SOFTMAX
from keras_ganaccel.export.front_end import export_front_end
from keras_ganaccel.export.saved_model import export_saved_model
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.journey.artefacts import POST_TRAINING, calibration, labels_of
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.training import load_student


@dataclass(frozen=True)
class Record:
    """What the stage wrote.

    Args:
        files: Names of all artefacts.
    """

    files: list[str]


def export_student(journey: Journey) -> Record:
    """Writes the SavedModel, every post-training TFLite format, the teacher and the front end."""
    folder = journey.run.artifacts
    student = load_student(journey)
    labels = labels_of(journey)
    export_saved_model(student, folder / "student_saved_model", **labels)
    for done, quantization in enumerate(POST_TRAINING):
        journey.progress.advance(done, len(POST_TRAINING) + 1)
        export_tflite(
            student,
            folder / f"student_{quantization}.tflite",
            quantization=quantization,
            representative_dataset=calibration(journey) if quantization == "int8" else None,
            **labels,
        )
    journey.progress.advance(len(POST_TRAINING), len(POST_TRAINING) + 1)
    # The teacher takes [0, 1], whatever a user's student takes.
    export_tflite(
        journey.teacher.keras_model(),
        folder / "teacher.tflite",
        quantization="float32",
        spec=journey.data.spec,
        output=SOFTMAX,  # the mean of probabilities, though no softmax is its last layer
    )
    export_front_end(journey.data.spec, folder, journey.data.raw("validation")[0])
    return Record(sorted(path.name for path in folder.iterdir()))


def summary(record: Record) -> str:
    """Says how many there are."""
    return f"{len(record.files)} artefacts"


STAGE = Stage("export", export_student, summary, Record)
