"""The second half of the journey: compress, export, verify, report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_ganaccel.classifier.outputs import SOFTMAX
from keras_ganaccel.compression.compress import TECHNIQUES
from keras_ganaccel.export.manifest import write_manifest
from keras_ganaccel.export.saved_model import export_saved_model
from keras_ganaccel.export.scores import Scores, score
from keras_ganaccel.export.techniques import compress_and_check
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.verify import Verification, verify
from keras_ganaccel.journey.choose import chosen_samples, load_student
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.journey.rival import load_rival
from keras_ganaccel.metrics.proportions import paired_difference
from keras_ganaccel.report.findings import RIVAL, TEACHER
from keras_ganaccel.report.html import write_report
from keras_ganaccel.report.ledger import Ledger
from keras_ganaccel.report.schema import SCHEMA

_POST_TRAINING = ("float32", "float16", "dynamic_range", "int8")


def calibration(journey: Journey) -> np.ndarray:
    """Draws the training samples that set the integer ranges, in the student's range."""
    x, _ = journey.train
    count = min(journey.config.compression.calibration_samples, len(x))
    rows = np.random.default_rng(journey.seed("calibration")).permutation(len(x))[:count]
    return journey.to_student_range(x[rows])


def compress_student(journey: Journey) -> dict[str, Any]:
    """Prunes and quantization-aware trains the student; writes `student_pruned_int8.tflite`."""
    settings = journey.config.compression
    # As they are: mixing them makes a lesson that a small, mostly pruned student fails at.
    steps = len(TECHNIQUES[settings.technique]) * journey.steps("compression")
    samples = chosen_samples(journey, steps, augmented=False)
    batches = samples.batches(steps, journey.config.student.batch_size)
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
        **_labels(journey),
    )
    return {"technique": compressed.technique, "promises": dict(compressed.promises)}


def export_student(journey: Journey) -> dict[str, Any]:
    """Writes the SavedModel and every post-training TFLite format, and the teacher's file."""
    folder = journey.run.artifacts
    student = load_student(journey)
    labels = _labels(journey)
    export_saved_model(student, folder / "student_saved_model", **labels)
    for done, quantization in enumerate(_POST_TRAINING):
        journey.progress.advance(done, len(_POST_TRAINING) + 1)
        export_tflite(
            student,
            folder / f"student_{quantization}.tflite",
            quantization=quantization,
            representative_dataset=calibration(journey) if quantization == "int8" else None,
            **labels,
        )
    journey.progress.advance(len(_POST_TRAINING), len(_POST_TRAINING) + 1)
    # The teacher takes [0, 1], whatever a user's student takes.
    export_tflite(
        journey.teacher.keras_model(),
        folder / "teacher.tflite",
        quantization="float32",
        spec=journey.data.spec,
        output=SOFTMAX,  # the mean of probabilities, though no softmax is its last layer
    )
    return {"files": sorted(path.name for path in folder.iterdir())}


def verify_artifacts(journey: Journey) -> dict[str, Any]:
    """Runs every delivered file on the test split; the only stage that reads it."""
    folder = journey.run.artifacts
    x, y = journey.data.arrays("test")
    student = load_student(journey)
    teacher, rival, right = _judged(journey, x, y)
    promises = (journey.run.record("compress") or {}).get("promises")
    student_x, student_range = journey.to_student_range(x), _labels(journey)["input_range"]
    files = {
        "teacher_float32": ("teacher.tflite", "float32"),
        "student_keras": ("student.keras", "keras"),
        "student_saved_model": ("student_saved_model", "saved_model"),
        **{f"student_{name}": (f"student_{name}.tflite", name) for name in _POST_TRAINING},
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
    return {
        "teacher": teacher,
        "rival": rival,
        "test_per_class": np.bincount(y, minlength=journey.data.spec.num_classes).tolist(),
        "stages": rows,
        "comparisons": _comparisons(right),
        "details": details,
    }


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
    beaten = score(load_rival(journey).predict(x), y, classes)
    teacher = {
        "members": (journey.run.record("teacher") or {})["members"],
        **_score_row(taught),
        "log_loss": taught.log_loss,
        "calibration_error": taught.calibration_error,
        "auc": taught.auc,
    }
    chosen = journey.run.record("rival") or {}
    kept = ("name", "recipe", "training_rows", "validation_accuracy", "tried", "seconds")
    rival = {**{key: chosen[key] for key in kept}, **_score_row(beaten)}
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


def report(journey: Journey) -> dict[str, Any]:
    """Writes the ledger, the manifest, and the report."""
    ledger = Ledger(_ledger_values(journey))
    ledger.save(journey.run.path / "ledger.json")
    write_manifest(journey.run.artifacts)
    write_report(journey.run.path)
    return {"findings": ledger.findings()}


def _labels(journey: Journey) -> dict[str, Any]:
    return {
        "spec": journey.data.spec,
        "input_range": journey.config.model.input_range or (0.0, 1.0),
    }


def _promises(form: str) -> dict[str, Any]:
    return {"int8": True} if form == "int8" else {}


def _details(found: Verification) -> dict[str, Any]:
    return {
        "confusion_matrix": np.asarray(found.confusion_matrix).tolist(),
        "macs": found.macs,
        "operators": dict(found.operators),
    }


def _ledger_values(journey: Journey) -> dict[str, Any]:
    data, run = journey.data, journey.run
    splits = data.splits
    measured = run.record("verify") or {}
    gate = (run.record("gate") or {})["ledger"]
    return {
        "schema": SCHEMA,
        "data": {
            "name": data.name,
            "modality": data.spec.modality,
            "classes": list(data.spec.class_names),
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "test_per_class": measured["test_per_class"],
            "duplicates_removed": data.audit.duplicates_removed,
        },
        "seed": journey.config.seed,
        "teacher": measured["teacher"],
        "rival": measured["rival"],
        "gan": (run.record("gan") or {}).get("ledger"),
        "gate": {**gate, "headroom": (run.record("headroom") or {}).get("ledger")},
        "stages": measured["stages"],
        "comparisons": measured["comparisons"],
    }
