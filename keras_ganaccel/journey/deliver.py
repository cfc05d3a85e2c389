"""The second half of the journey: compress, export, verify, report."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_ganaccel.classifier.teacher import Ensemble
from keras_ganaccel.compression.compress import TECHNIQUES, compress
from keras_ganaccel.export.manifest import write_manifest
from keras_ganaccel.export.saved_model import export_saved_model
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.verify import Verification, verify
from keras_ganaccel.journey.choose import chosen_samples
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.report.html import write_report
from keras_ganaccel.report.ledger import SCHEMA, Ledger

_POST_TRAINING = ("float32", "float16", "dynamic_range", "int8")


def load_student(journey: Journey) -> keras.Model:
    """Loads the trained student that an earlier stage wrote."""
    return keras.saving.load_model(
        journey.run.artifacts / "student.keras",
        compile=False,
        safe_mode=not journey.config.model.allow_unsafe,
    )


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
    samples = chosen_samples(
        journey, len(TECHNIQUES[settings.technique]) * settings.steps, augmented=False
    )
    stream = samples.batches().map(lambda x, targets, _: (journey.to_student_range(x), targets))
    compressed = compress(
        load_student(journey),
        stream,
        technique=settings.technique,
        sparsity=settings.sparsity,
        schedule=settings.schedule,
        steps=settings.steps,
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
    teacher = Ensemble.load(journey.run.checkpoints / "teacher").keras_model()
    # The teacher takes [0, 1], whatever a user's student takes.
    export_tflite(
        teacher, folder / "teacher.tflite", quantization="float32", spec=journey.data.spec
    )
    return {"files": sorted(path.name for path in folder.iterdir())}


def verify_artifacts(journey: Journey) -> dict[str, Any]:
    """Runs every delivered file on the test split; the only stage that reads it."""
    folder = journey.run.artifacts
    x, y = journey.data.arrays("test")
    student = load_student(journey)
    promises = (journey.run.record("compress") or {}).get("promises")
    student_x = journey.to_student_range(x)
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
            input_range=(0.0, 1.0)
            if name == "teacher_float32"
            else journey.config.model.input_range,
            promises=promises if name == "student_pruned_int8" else _promises(form),
        )
        rows.append(found.stage(name, file=f"artifacts/{file}", format=form))
        details[name] = _details(found)
    return {"stages": rows, "details": details}


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
    gate = dict(run.record("gate") or {})
    return {
        "schema": SCHEMA,
        "data": {
            "name": data.name,
            "modality": data.spec.modality,
            "classes": list(data.spec.class_names),
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "duplicates_removed": data.audit.duplicates_removed,
        },
        "seed": journey.config.seed,
        "gan": (run.record("gan") or {}).get("ledger"),
        "gate": gate["ledger"],
        "stages": (run.record("verify") or {})["stages"],
    }
