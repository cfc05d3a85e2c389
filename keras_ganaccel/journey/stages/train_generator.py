"""The stage that trains the GAN, or takes over an earlier one, and measures what it makes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.files import save_keras
from keras_ganaccel.gan.build import build_gan
from keras_ganaccel.gan.callbacks import KIDCallback, MetricsLog, SampleGrid, Watchdog
from keras_ganaccel.gan.train import train_gan
from keras_ganaccel.gan.trained import TrainedGenerator
from keras_ganaccel.journey.callbacks import StepProgress
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.measure import balanced_samples, measure_generator
from keras_ganaccel.journey.stages import check_headroom
from keras_ganaccel.journey.weighing import generator_unwanted
from keras_ganaccel.metrics.features import FeatureExtractor, train_feature_extractor
from keras_ganaccel.report import plots
from keras_ganaccel.report.html import SAMPLES
from keras_ganaccel.words import on_rows, percent

_PICTURE_COLUMNS = 8
# A classifier that learns from fewer generated samples would tell of their number.
_MEASURED_SAMPLES = 4096


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        ledger: The `gan` part of the ledger; None without a generator.
        notes: What there is to say of it.
        validation_rows: Rows that it was measured on.
    """

    ledger: Mapping[str, Any] | None
    notes: list[str]
    validation_rows: int = 0

    @property
    def seconds(self) -> float:
        """Seconds that the training took; 0 without one."""
        return (self.ledger or {}).get("seconds") or 0.0


def train_generator(journey: Journey) -> Record:
    """Trains the GAN, or takes over an earlier run's, and measures what it makes."""
    config = journey.config
    if config.reuse.pool is not None:
        return Record(None, ["A pool of an earlier run was used; no GAN was trained."])
    reason = _no_generator(journey)
    if reason is not None:
        return Record(None, [reason])
    began = time.monotonic()
    extractor = feature_extractor(journey)
    if config.reuse.generator is not None:
        seconds, steps, notes = None, None, ["The generator of an earlier run was used."]
        shutil.copyfile(config.reuse.generator, journey.run.artifacts / "generator.keras")
    else:
        steps, notes = config.gan.steps, _train_gan(journey, extractor)
        seconds = time.monotonic() - began
    generator = load_generator(journey)
    measured, more_notes = _measured(journey, generator, extractor)
    _save_picture(journey, generator)
    pace = steps * config.gan.batch_size / seconds if steps and seconds else None
    ledger = {"steps": steps, "seconds": seconds, "images_per_second": pace, **measured}
    return Record(ledger, notes + more_notes, len(journey.data.splits.validation))


def load_generator(journey: Journey) -> TrainedGenerator:
    """Loads the generator that this run trained or took over."""
    return TrainedGenerator.load(
        journey.run.artifacts / "generator.keras",
        journey.data.spec.num_classes,
        journey.data.spec,
    )


def _no_generator(journey: Journey) -> str | None:
    """Says why no GAN is trained, or None if one is."""
    headroom = check_headroom.STAGE.read(journey)
    found = None if headroom is None or not headroom.skip_generator else headroom.reason
    return generator_unwanted(journey) or found


def _measuring_steps(journey: Journey) -> int:
    """Steps of the classifiers that only measure the generator: a share of the student's."""
    return min(1000, max(100, journey.steps("student") // 5))


def feature_extractor(journey: Journey) -> FeatureExtractor:
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
        x,
        y,
        steps=config.steps,
        batch_size=config.batch_size,
        seed=journey.seed("gan", "order"),
        unlabelled=unlabelled,
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


def summary(record: Record) -> str:
    """Says how good the generated samples are, or why there are none."""
    ledger = record.ledger
    if ledger is None:
        return record.notes[0]
    alone = on_rows(ledger["synthetic_only_accuracy"], record.validation_rows, "validation")
    return (
        f"KID {ledger['kid']:.4f} ± {ledger['kid_stderr']:.4f}; a classifier trained on real "
        f"samples is right on {percent(ledger['real_only_accuracy'])}, on generated ones alone on "
        f"{alone}"
    )


STAGE = Stage("gan", train_generator, summary, Record)
