"""The stage that runs every delivered file on the test split; the only one that reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ganaccel.export.scores import Scores, score
from keras_ganaccel.export.verify import Verification, verify
from keras_ganaccel.journey.artefacts import POST_TRAINING, labels_of
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.stages import compress_student, fit_rival, train_teacher
from keras_ganaccel.journey.training import load_student
from keras_ganaccel.metrics.proportions import paired_difference
from keras_ganaccel.report.findings import RIVAL, TEACHER
from keras_ganaccel.words import kilobytes, percent


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        teacher: The ledger's row of the whole ensemble.
        rival: That of the rival.
        test_per_class: Test rows of each class.
        stages: The ledger's `stages`.
        comparisons: The ledger's `comparisons`.
        details: Confusion matrix, operations and operators of each file, by stage.
    """

    teacher: Mapping[str, Any]
    rival: Mapping[str, Any]
    test_per_class: list[int]
    stages: Sequence[Mapping[str, Any]]
    comparisons: Sequence[Mapping[str, Any]]
    details: Mapping[str, Any]


def verify_artifacts(journey: Journey) -> Record:
    """Runs every delivered file on the test split; the only stage that reads it."""
    folder = journey.run.artifacts
    x, y = journey.data.arrays("test")
    student = load_student(journey)
    teacher, rival, right = _judged(journey, x, y)
    promises = compress_student.STAGE.done(journey).promises
    student_x, student_range = journey.to_student_range(x), labels_of(journey)["input_range"]
    files = {
        "teacher_float32": ("teacher.tflite", "float32"),
        "student_keras": ("student.keras", "keras"),
        "student_saved_model": ("student_saved_model", "saved_model"),
        **{f"student_{name}": (f"student_{name}.tflite", name) for name in POST_TRAINING},
        "student_pruned_int8": ("student_pruned_int8.tflite", "int8"),
    }
    rows, details = [], {}
    for done, (name, (file, form)) in enumerate(files.items()):
        journey.progress.advance(done, len(files))
        found = verify(
            folder / file,
            (x if name == "teacher_float32" else student_x, y),
            reference=student,
            reference_x=student_x,
            spec=journey.data.spec,
            input_range=(0.0, 1.0) if name == "teacher_float32" else student_range,
            promises=promises if name == "student_pruned_int8" else _promises(form),
        )
        rows.append(found.stage(name, file=f"artifacts/{file}", format=form))
        details[name] = _details(found)
        right[name] = found.scores.right
    return Record(
        teacher=teacher,
        rival=rival,
        test_per_class=np.bincount(y, minlength=journey.data.spec.num_classes).tolist(),
        stages=rows,
        comparisons=_comparisons(right),
        details=details,
    )


def _judged(
    journey: Journey, x: np.ndarray, y: np.ndarray
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """Asks the whole ensemble and the rival about the test split: what the student is held to.

    Returns:
        The ledger's rows of both, and which test rows each gets right.
    """
    classes = journey.data.spec.num_classes
    chances = journey.teacher.predict_proba(x)
    taught = score(chances.argmax(axis=1), y, classes, chances=chances)
    beaten = score(fit_rival.load_rival(journey).predict(x), y, classes)
    teacher = {
        "members": train_teacher.STAGE.done(journey).members,
        **_score_row(taught),
        "log_loss": taught.log_loss,
        "calibration_error": taught.calibration_error,
        "auc": taught.auc,
    }
    rival = {**fit_rival.ledger_row(fit_rival.STAGE.done(journey)), **_score_row(beaten)}
    return teacher, rival, {TEACHER: taught.right, RIVAL: beaten.right}


def _score_row(scores: Scores) -> dict[str, Any]:
    return {
        "accuracy": scores.accuracy,
        "ci95": list(scores.ci95),
        "balanced_accuracy": scores.balanced_accuracy,
        "macro_f1": scores.macro_f1,
    }


def _comparisons(right: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Each delivered form of the student against teacher, rival and its own float32 file."""
    pairs = [(TEACHER, RIVAL)]
    for name in ("student_keras", "student_float32", "student_int8", "student_pruned_int8"):
        pairs += [(name, TEACHER), (name, RIVAL)]
        if name.endswith("int8"):
            pairs.append((name, "student_float32"))
    return [
        {
            "first": first,
            "second": second,
            **paired_difference(right[first], right[second]).as_dict(),
        }
        for first, second in pairs
    ]


def _promises(form: str) -> dict[str, Any]:
    return {"int8": True} if form == "int8" else {}


def _details(found: Verification) -> dict[str, Any]:
    return {
        "confusion_matrix": np.asarray(found.confusion_matrix).tolist(),
        "macs": found.macs,
        "operators": dict(found.operators),
    }


def summary(record: Record) -> str:
    """Says how good teacher, student and int8 file are."""
    rows = {row["name"]: row for row in record.stages}
    int8, plain = rows["student_int8"], rows["student_float32"]
    return (
        f"on the test split: teacher {percent(record.teacher['accuracy'])}, student float32 "
        f"{percent(plain['accuracy'])}, int8 {percent(int8['accuracy'])} in "
        f"{kilobytes(int8['bytes'])}"
    )


STAGE = Stage("verify", verify_artifacts, summary, Record)
