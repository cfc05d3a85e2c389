"""How good a generator is after a given time: every way of training, on the same data and seeds."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.benchmarks.cells import CellFile
from keras_ganaccel.config import DataConfig, RunConfig, with_values
from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.data.split import Splits
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.files import save_keras
from keras_ganaccel.gan.build import build_gan
from keras_ganaccel.gan.callbacks import KIDCallback, SampleGrid, Watchdog
from keras_ganaccel.gan.train import train_gan
from keras_ganaccel.gan.trained import TrainedGenerator
from keras_ganaccel.journey.measure import measure_generator
from keras_ganaccel.metrics.features import train_feature_extractor
from keras_ganaccel.modality.load import load_configured
from keras_ganaccel.seeds import derive_seed

# What each row changes in the configuration that all share.
ROWS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "residual, non-saturating": {"gan.objective": "non_saturating"},
    "batch norm, relativistic": {"gan.generator": "transposed"},
    "batch norm, non-saturating": {
        "gan.generator": "transposed",
        "gan.objective": "non_saturating",
    },
    "without DiffAugment": {"gan.augmentation": []},
    "DiffAugment at full strength": {"gan.adaptive_augmentation": False},
    "one generator pass": {"gan.shared_generator_pass": True},
    "float32": {"gan.precision": "float32"},
}
FIGURES = (
    "steps", "seconds", "kid", "kid_stderr", "precision", "recall", "density", "coverage",
    "synthetic_only_accuracy", "real_only_accuracy", "ratio", "worst_class", "rollbacks",
)  # fmt: skip
SPLITS = ("validation", "withheld", "test")
_KEYS = ("data", "labels_per_class", "split", "settings", "row", "seed")
_GENERATED = 10_000
_NO_END = 10_000_000


class Deadline(keras.callbacks.Callback):
    """Ends training after a number of seconds, tracing and compiling included."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the clock."""
        if time.monotonic() - self._began > self._seconds:
            self.model.stop_training = True


def benchmark_gan(
    out: Path,
    data: DataConfig | None = None,
    *,
    rows: Iterable[str] = tuple(ROWS),
    seeds: Iterable[int] = (0, 1, 2),
    seconds: float | None = None,
    split: str = "validation",
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> list[dict[str, str]]:
    """Trains a GAN per row and seed, and measures it on a split that it has not seen.

    Args:
        out: Folder of ``gan.csv``, which is continued, and of a folder per cell with its generator
            and a picture.
        data: Where from; the digits by default.
        rows: Names out of `ROWS`.
        seeds: Seeds of the labelled subset and of the training.
        seconds: Length of each training, in place of the configuration's steps.
        split: Where real samples come from: ``"validation"``; ``"withheld"``, the rows outside of
            the test split whose labels training does not see; ``"test"``.
        settings: Dotted configuration values for all rows.
        progress: Called with a line per measured cell.

    Returns:
        The rows of the CSV that were asked for.

    Raises:
        InvalidInputError: There are no withheld rows, or an argument does not fit.
    """
    cells = CellFile(out / "gan.csv", _KEYS)
    data = data or DataConfig()
    settings = dict(settings or {})
    said = {**_others(data), **settings}
    text = " ".join(f"{name}={value}" for name, value in sorted(said.items()))
    found = []
    for seed in seeds:
        loaded = _with_reported(load_configured(data, seed), split)
        for name in rows:
            key = {
                "data": loaded.name,
                "labels_per_class": data.labels_per_class or "all",
                "split": split,
                "settings": text,
                "row": name,
                "seed": seed,
            }
            if cells.find(**key) is None:
                config = with_values(RunConfig(seed=seed), {**settings, **ROWS[name]})
                digest = hashlib.sha256(repr(key).encode()).hexdigest()[:8]
                folder = out / f"{loaded.name}-seed{seed}-{digest}"
                cells.add({**key, **measure_cell(loaded, config, seconds, folder)})
            row = cells.find(**key)
            assert row is not None
            found.append(row)
            progress(
                f"seed {seed}: {name}: {row['steps']} steps, {float(row['seconds']):.0f} s, KID "
                f"{float(row['kid']):.4f}, ratio {float(row['ratio']):.3f}"
            )
    return found


def _others(data: DataConfig) -> dict[str, Any]:
    """What else is said of the data than their source and the number of labels."""
    plain = DataConfig(data.source, labels_per_class=data.labels_per_class)
    return {
        f"data.{item.name}": getattr(data, item.name)
        for item in fields(data)
        if getattr(data, item.name) != getattr(plain, item.name)
    }


def measure_cell(
    data: LabelledData, config: RunConfig, seconds: float | None, folder: Path
) -> dict[str, Any]:
    """Trains one GAN and returns the `FIGURES` by name.

    Args:
        data: With what is to be reported on in the place of its test split.
        config: Its seed and its GAN.
        seconds: Length of the training; None takes the configuration's steps.
        folder: Gets the generator and a picture of what it makes.
    """
    x, y = data.arrays("train")
    held_x, held_y = data.arrays("validation")
    extractor = train_feature_extractor(x, y, data.spec, seed=config.seed)
    gan = build_gan(config.gan, data.spec, config.seed)
    every = config.gan.evaluate_every or config.gan.steps
    watchdog = Watchdog(x, y, every, seed=config.seed)
    callbacks: list[keras.callbacks.Callback] = [
        watchdog,
        KIDCallback(held_x, extractor, every, labels=held_y, seed=config.seed),
        SampleGrid(folder, _NO_END, class_names=data.spec.class_names),
    ]
    began = time.monotonic()
    if seconds is not None:
        callbacks.append(Deadline(seconds))
    train_gan(
        gan,
        x,
        y,
        steps=config.gan.steps if seconds is None else _NO_END,
        batch_size=config.gan.batch_size,
        seed=derive_seed(config.seed, "order"),
        checkpoint_every=config.gan.checkpoint_every,
        callbacks=callbacks,
        steps_per_execution=config.gan.steps_per_execution,
    )
    took = time.monotonic() - began
    save_keras(folder / "generator.keras", gan.ema_generator)
    generator = TrainedGenerator(gan.ema_generator, data.spec.num_classes, data.spec)
    figures = measure_generator(
        generator,
        data,
        split="test",
        count=_GENERATED,
        seed=config.seed,
        extractor=extractor,
        real_classifier=extractor.classifier,
    )
    figures |= {
        "steps": int(gan.step),
        "seconds": took,
        "ratio": figures["synthetic_only_accuracy"] / figures["real_only_accuracy"],
        "worst_class": min(figures["per_class"]["synthetic_only"]),
        "rollbacks": len(watchdog.events),
    }
    return {name: figures[name] for name in FIGURES}


def withheld_rows(data: LabelledData) -> np.ndarray:
    """The row numbers of labelled data that are in no split: nobody has seen their labels."""
    splits = data.splits
    taken = np.concatenate([splits.train, splits.validation, splits.test, splits.removed])
    return np.setdiff1d(np.flatnonzero(data.y >= 0), taken)


def _with_reported(data: LabelledData, split: str) -> LabelledData:
    """Puts the rows to report on in the place of the test split."""
    splits = data.splits
    rows = withheld_rows(data) if split == "withheld" else getattr(splits, split)
    if not len(rows):
        raise InvalidInputError(
            f"There are no rows to report on. Received: the split {split!r}. "
            "Ask for fewer labels per class, or for another split."
        )
    return replace(data, splits=Splits(splits.train, splits.validation, rows))
