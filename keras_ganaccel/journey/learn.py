"""The first half of the journey: the data, the teacher, the generator, the pool."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.classifier.teacher import build_teacher
from keras_ganaccel.classifier.train import score_logits
from keras_ganaccel.errors import RunFailedError
from keras_ganaccel.files import save_keras
from keras_ganaccel.gan.build import build_gan
from keras_ganaccel.gan.callbacks import KIDCallback, MetricsLog, SampleGrid, Watchdog
from keras_ganaccel.gan.train import train_gan
from keras_ganaccel.gan.trained import TrainedGenerator
from keras_ganaccel.generated.coverage import LabelMixing
from keras_ganaccel.generated.filters import (
    ConfidenceBand,
    Filter,
    NearDuplicates,
    TeacherAgreement,
)
from keras_ganaccel.generated.pool import PoolFacts, write_pool
from keras_ganaccel.generated.rejection import (
    DensityRatio,
    DiscriminatorRejection,
    discriminator_score,
)
from keras_ganaccel.generated.sources import GanSource, Source
from keras_ganaccel.journey.callbacks import StepProgress
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.journey.measure import balanced_samples, measure_generator
from keras_ganaccel.metrics.features import FeatureExtractor, train_feature_extractor
from keras_ganaccel.modality.image.preprocess import unit_to_signed
from keras_ganaccel.report import plots
from keras_ganaccel.report.html import SAMPLES
from keras_ganaccel.words import percent

_PICTURE_COLUMNS = 8
# From here on a teacher's members take long enough to be named one by one.
_MANY_ROWS = 5_000
# A classifier that learns from fewer generated samples would tell of their number.
_MEASURED_SAMPLES = 4096
# What the filters that compare densities are calibrated on.
_CALIBRATION_SAMPLES = 2000


def describe_data(journey: Journey) -> dict[str, Any]:
    """Records what the data look like and what its audit found."""
    data = journey.data
    notes = [*data.audit.warnings, *(f"Left out: {path}" for path in data.audit.skipped)]
    for note in notes:
        journey.progress.note(note)
    return {
        "fingerprint": data.fingerprint(),
        "shape": list(data.spec.image_shape),
        "classes": list(data.spec.class_names),
        "rows": {
            "train": len(data.splits.train),
            "validation": len(data.splits.validation),
            "test": len(data.splits.test),
        },
        "notes": notes,
    }


def train_teacher(journey: Journey) -> dict[str, Any]:
    """Trains the teacher's ensemble on the training split."""
    settings = journey.config.teacher
    began = time.monotonic()
    x, y = journey.train
    teacher = build_teacher(
        journey.data.spec,
        x,
        y,
        members=settings.members,
        size=settings.size,
        steps=journey.steps("teacher"),
        batch_size=journey.config.student.batch_size,
        seed=journey.seed("teacher"),
        progress=functools.partial(_tell_member, journey),
    )
    teacher.save(journey.run.checkpoints / "teacher")
    held_x, held_y = journey.validation
    return {
        "validation_accuracy": score_logits(teacher.predict_logits(held_x), held_y)["accuracy"],
        "validation_rows": len(journey.data.splits.validation),
        "members": list(settings.members),
        "seconds": time.monotonic() - began,
    }


def _tell_member(journey: Journey, index: int, count: int, member: str) -> None:
    """Moves the bar; where members take long, a line says so to those who see no bar."""
    journey.progress.advance(index, count)
    rows = len(journey.train[1])
    if rows >= _MANY_ROWS:
        journey.progress.note(f"Teacher: {member} ({index + 1} of {count}) learns {rows} samples.")


def train_generator(journey: Journey) -> dict[str, Any]:
    """Trains the GAN, or takes over an earlier run's, and measures what it makes."""
    config = journey.config
    if config.reuse.pool is not None:
        return {"ledger": None, "notes": ["A pool of an earlier run was used; no GAN was trained."]}
    reason = _no_generator(journey)
    if reason is not None:
        return {"ledger": None, "notes": [reason]}
    began = time.monotonic()
    extractor = _feature_extractor(journey)
    if config.reuse.generator is not None:
        seconds, steps, notes = None, None, ["The generator of an earlier run was used."]
        shutil.copyfile(config.reuse.generator, journey.run.artifacts / "generator.keras")
    else:
        steps, notes = config.gan.steps, _train_gan(journey, extractor)
        seconds = time.monotonic() - began
    generator = load_generator(journey)
    measured, more_notes = _measured(journey, generator, extractor)
    _save_picture(journey, generator)
    return {
        "ledger": {
            "steps": steps,
            "seconds": seconds,
            "images_per_second": steps * config.gan.batch_size / seconds
            if steps and seconds
            else None,
            **measured,
        },
        "validation_rows": len(journey.data.splits.validation),
        "notes": notes + more_notes,
    }


def load_generator(journey: Journey) -> TrainedGenerator:
    """Loads the generator that this run trained or took over."""
    return TrainedGenerator.load(
        journey.run.artifacts / "generator.keras", journey.data.spec.num_classes
    )


def make_pool(journey: Journey) -> dict[str, Any]:
    """Writes the filtered pools that the gate compares, with the teacher's answers."""
    config = journey.config
    if config.reuse.pool is not None:
        return {"pools": {"gan": str(Path(config.reuse.pool).absolute())}, "notes": []}
    if (journey.run.record("gan") or {}).get("ledger") is None:
        return {"pools": {}, "notes": []}
    source = GanSource(load_generator(journey), seed=journey.seed("pool"))
    try:
        facts = _write_pool(journey, source)
    except RunFailedError as failure:
        # A generator that the filters reject is a finding, not the end of the run.
        return {"pools": {}, "notes": [f"The pool was given up. {failure}"]}
    pools = {"gan": "pool"}
    if "gan_disagreement" in config.gate.arms and config.reuse.generator is None:
        pools["gan_between"] = "pool_between"
        _write_pool_between(journey, source)
    return {"pools": pools, "notes": _acceptance_notes(facts)}


def _acceptance_notes(facts: PoolFacts) -> list[str]:
    kept = {
        name: float(np.mean([share for share in shares if share is not None]))
        for name, shares in facts.acceptance.items()
    }
    return [f"The filter {name} kept {percent(share, 0)}." for name, share in kept.items()]


def _write_pool(journey: Journey, source: Source) -> PoolFacts:
    settings = journey.config.pool
    available: dict[str, Callable[[], Filter]] = {
        "teacher_agreement": lambda: TeacherAgreement(journey.teacher),
        "confidence_band": lambda: ConfidenceBand(journey.teacher),
        "near_duplicates": lambda: NearDuplicates(journey.train[0]),
        "discriminator": lambda: _discriminator_filter(journey),
        "density_ratio": lambda: DensityRatio(
            _feature_extractor(journey), *_labelled(journey.train), *_calibration(journey)
        ),
    }
    return write_pool(
        journey.run.path / "pool",
        source,
        settings.size,
        num_classes=journey.data.spec.num_classes,
        filters=[available[each]() for each in settings.filters],
        teacher=journey.teacher,
        seed=journey.seed("pool", "classes"),
        progress=journey.progress.advance,
    )


def _write_pool_between(journey: Journey, source: GanSource) -> None:
    """Samples between classes, for the student's doubts to choose from."""
    classes = journey.data.spec.num_classes
    write_pool(
        journey.run.path / "pool_between",
        LabelMixing(source, classes, seed=journey.seed("pool", "between")),
        journey.config.pool.size,
        num_classes=classes,
        teacher=journey.teacher,
        seed=journey.seed("pool", "classes"),
        progress=journey.progress.advance,
    )


def _discriminator_filter(journey: Journey) -> DiscriminatorRejection:
    path = journey.run.artifacts / "discriminator.keras"
    network = keras.saving.load_model(path, compile=False, safe_mode=True)
    return DiscriminatorRejection(
        discriminator_score(network), *_calibration(journey), seed=journey.seed("pool", "filter")
    )


def _calibration(journey: Journey) -> tuple[np.ndarray, np.ndarray]:
    """Generated samples that are not the pool's, and their classes."""
    return balanced_samples(
        load_generator(journey), _CALIBRATION_SAMPLES, journey.seed("pool", "calibration")
    )


def _labelled(data: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    x, y = data
    return x[y >= 0], y[y >= 0]


def generator_unwanted(journey: Journey) -> str | None:
    """Says why the configuration has no GAN trained on these data, or None if it has one."""
    config, shape = journey.config, journey.data.spec.image_shape
    if not config.gan.enabled:
        return "No GAN was trained: generated data were switched off."
    most = config.gan.largest_side
    if most is not None and max(shape[:2]) > most:
        return (
            f"No GAN was trained: for samples of {shape[0]}x{shape[1]} it would take longer than "
            f"all the rest. Set gan.largest_side to {max(shape[:2])}, or take a larger preset."
        )
    return None


def _no_generator(journey: Journey) -> str | None:
    """Says why no GAN is trained, or None if one is."""
    headroom = journey.run.record("headroom") or {}
    return generator_unwanted(journey) or (
        headroom["reason"] if headroom.get("skip_generator") else None
    )


def _measuring_steps(journey: Journey) -> int:
    """Steps of the classifiers that only measure the generator: a share of the student's."""
    return min(1000, max(100, journey.steps("student") // 5))


def _feature_extractor(journey: Journey) -> FeatureExtractor:
    """The feature space of KID: a classifier trained on the training split, kept for a resume."""
    path = journey.run.checkpoints / "features.keras"
    x, y = journey.train
    classifier = _kept_model(path)
    if classifier is None:
        made = train_feature_extractor(
            x, y, journey.data.spec, seed=journey.seed("features"), steps=_measuring_steps(journey)
        )
        save_keras(path, made.classifier)
        classifier = keras.saving.load_model(path, compile=False)
    name = "convnet-small trained on the real training split"
    return FeatureExtractor(classifier, name=name)


def _kept_model(path: Path) -> keras.Model | None:
    """A model that this stage wrote before it was interrupted, if it is there and whole."""
    try:
        return keras.saving.load_model(path, compile=False)
    # A damaged file raises nearly anything.
    except Exception:
        return None


def _train_gan(journey: Journey, extractor: FeatureExtractor) -> list[str]:
    config, spec, run = journey.config.gan, journey.data.spec, journey.run
    x, y = journey.train
    held_x, held_y = journey.validation
    with journey.strategy.scope():
        gan = build_gan(config, spec, journey.config.seed)
    every = config.evaluate_every or config.steps
    # With both, even a class with one training row has two different real samples.
    watched = np.concatenate([x, held_x]), np.concatenate([y, held_y])
    watchdog = Watchdog(*watched, every, seed=journey.seed("watchdog"))
    callbacks = [
        watchdog,
        KIDCallback(
            held_x, extractor, every, labels=held_y, restore_best=True, seed=journey.seed("kid")
        ),
        # After KID, so that its rows hold it.
        MetricsLog(run.metrics, every=max(1, min(100, every))),
        SampleGrid(run.samples, every, class_names=spec.class_names),
        StepProgress(journey.progress, config.steps),
    ]
    unlabelled = journey.data.unlabelled_arrays()
    train_gan(
        gan,
        unit_to_signed(x),
        y,
        steps=config.steps,
        batch_size=config.batch_size,
        seed=journey.seed("gan", "order"),
        unlabelled=None if unlabelled is None else unit_to_signed(unlabelled),
        checkpoint_dir=run.checkpoints / "gan",
        checkpoint_every=config.checkpoint_every,
        callbacks=callbacks,
        steps_per_execution=config.steps_per_execution,
    )
    save_keras(run.artifacts / "generator.keras", gan.ema_generator)
    save_keras(run.artifacts / "discriminator.keras", gan.discriminator)
    return [f"The GAN's watchdog stepped in: {text}" for text in watchdog.interventions]


def _measured(
    journey: Journey, generator: TrainedGenerator, extractor: FeatureExtractor
) -> tuple[dict[str, Any], list[str]]:
    """The ledger's figures of a generator, and what to say of memorisation."""
    found = measure_generator(
        generator,
        journey.data,
        count=max(len(journey.train[1]), _MEASURED_SAMPLES),
        steps=_measuring_steps(journey),
        seed=journey.seed("features"),
        extractor=extractor,
        real_classifier=extractor.classifier,
    )
    copied = found["memorization"]["pixel"]
    copies = copied["share"] > copied["expected_share"] + 3 * copied["share_stderr"] + 0.05
    note = (
        f"{100 * copied['share']:.0f} % of the generated samples lie as near to a training sample "
        f"as the nearest {100 * copied['expected_share']:.0f} % of held-out real ones do"
    )
    keys = ("kid", "kid_stderr", "feature_space", "synthetic_only_accuracy", "real_only_accuracy")
    ending = "; the GAN copies its training data." if copies else "."
    return {key: found[key] for key in keys}, [note + ending]


def _save_picture(journey: Journey, generator: TrainedGenerator) -> None:
    classes = journey.data.spec.num_classes
    plots.save_real_and_generated(
        journey.run.samples / SAMPLES,
        journey.train,
        balanced_samples(generator, classes * _PICTURE_COLUMNS, journey.seed("picture")),
        journey.data.spec.class_names,
        columns=_PICTURE_COLUMNS,
    )
