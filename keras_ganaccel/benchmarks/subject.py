"""One seed of a comparison: its labels, and the teacher and generator that all arms share."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.benchmarks.gan import withheld_rows
from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.teacher import Ensemble, build_teacher
from keras_ganaccel.config import DataConfig, GanConfig
from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.files import save_keras
from keras_ganaccel.gan.build import build_gan
from keras_ganaccel.gan.callbacks import Watchdog
from keras_ganaccel.gan.train import train_gan
from keras_ganaccel.gan.trained import TrainedGenerator
from keras_ganaccel.generated.candidates import Pool
from keras_ganaccel.generated.sources import Source
from keras_ganaccel.json_files import write_json
from keras_ganaccel.metrics.synthetic_only import synthetic_only_accuracy
from keras_ganaccel.modality.load import load_configured
from keras_ganaccel.seeds import derive_seed

Labelled = tuple[np.ndarray, np.ndarray]

RARE_CLASSES = 3
_RARE_SHARE = 0.05
_SCORE_STEPS = 500
# After this share of its steps the generator is kept as the early one.
_EARLY = 0.25


@dataclass(frozen=True)
class Settings:
    """What all seeds of a comparison share.

    Args:
        data: Where from.
        student: Architecture and size, see `build_classifier`.
        students: Trained per cell, each from other first weights. Their figures are averaged: the
            luck of one training hides a gain of a point.
        recipe: How each student is trained.
        members: The teacher's, see `build_teacher`.
        teacher_size: Size of its Keras members.
        teacher_steps: Optimizer steps of its Keras members.
        teacher_augmentation: Augmentation of its Keras members' samples.
        gan: The generator and its training.
        pool_size: Samples that a pool is drawn from or filtered to.
        fraction: Share of a pool in the stream.
        report_on: ``"test"``; ``"withheld"`` to search for settings: half of the withheld rows
            are then reported on, and the oracle gets the other half; ``"validation"``, which is
            then not trained on.
        rare: Whether three classes keep a twentieth of the labels that the others have.
    """

    data: DataConfig = field(default_factory=DataConfig)
    student: tuple[str, str] = ("separable", "tiny")
    students: int = 1
    recipe: Recipe = field(default_factory=lambda: Recipe(steps=2500, learning_rate=1e-2))
    members: tuple[str, ...] = ("svm", "extra_trees", "convnet", "convnet", "separable")
    teacher_size: str = "base"
    teacher_steps: int = 1000
    teacher_augmentation: tuple[str, ...] = ("shift", "mixup")
    gan: GanConfig = field(default_factory=GanConfig)
    pool_size: int = 10_000
    fraction: float = 0.5
    report_on: str = "test"
    rare: bool = False

    def shared(self) -> dict[str, Any]:
        """What teacher and generator depend on: all students that share it share these, too."""
        names = ("data", "members", "teacher_size", "teacher_steps",
                 "teacher_augmentation", "gan", "report_on", "rare")  # fmt: skip
        values = asdict(self)
        return {name: values[name] for name in names}


class Subject:
    """A seed's data, and what is trained on them once; kept in a folder, for a resume.

    Args:
        settings: The settings of the comparison.
        seed: Draws the labelled rows, and everything else.
        folder: Where teacher and generators are kept.
        data: The data, if they are loaded already.

    Attributes:
        x, y: The labelled samples, float32 in [0, 1] and integers.
        withheld: Further samples of the same kind, for the oracle.
        test: What is reported on.
    """

    def __init__(
        self, settings: Settings, seed: int, folder: Path, data: LabelledData | None = None
    ) -> None:
        self.settings, self.seed, self.folder = settings, seed, folder
        self.data = data or load_configured(settings.data, seed)
        self.spec = self.data.spec
        splits = self.data.splits
        used = [splits.train] if settings.report_on == "validation" else [
            splits.train, splits.validation
        ]  # fmt: skip
        rows = np.concatenate(used)
        if settings.rare:
            rows = _with_rare_classes(rows, self.data.y, seed)
        self.x, self.y = self._rows(rows)
        withheld = np.random.default_rng(seed).permutation(withheld_rows(self.data))
        reported = getattr(splits, settings.report_on, None)
        if reported is None:
            if len(withheld) < 2:
                raise InvalidInputError(
                    "There are no rows to search on. Received: every label is used. "
                    "Ask for fewer labels per class."
                )
            withheld, reported = np.split(withheld, [len(withheld) // 2])
        self.withheld, self.test = self._rows(withheld)[0], self._rows(reported)
        self._teacher_path, self._gan_path = folder / "teacher", folder / "gan.json"
        folder.mkdir(parents=True, exist_ok=True)

    def _rows(self, rows: np.ndarray) -> Labelled:
        return self.spec.encode(self.data.x[rows]), self.data.y[rows]

    def new_student(self) -> keras.Model:
        """Builds the student with the weights that every arm of this seed starts from."""
        architecture, size = self.settings.student
        seed = derive_seed(self.seed, "student")
        return build_classifier(self.spec, architecture, size, seed=seed, name="student")

    @functools.cached_property
    def teacher(self) -> Ensemble:
        """The ensemble, trained on the labels with augmentation."""
        path = self._teacher_path
        if not path.exists():
            settings = self.settings
            made = build_teacher(
                self.spec,
                self.x,
                self.y,
                members=settings.members,
                size=settings.teacher_size,
                steps=settings.teacher_steps,
                augmentation=settings.teacher_augmentation,
                seed=derive_seed(self.seed, "teacher"),
            )
            made.save(path)
        return Ensemble.load(path)

    @functools.cached_property
    def gan_facts(self) -> dict[str, Any]:
        """Steps, seconds and rollbacks of the GAN's training, which this does if need be."""
        path = self._gan_path
        if not path.is_file():
            write_json(path, self._trained_gan())
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return facts

    def generator(self, early: bool = False) -> TrainedGenerator:
        """The generator, or the one of a quarter of its training."""
        assert self.gan_facts
        name = "early.keras" if early else "generator.keras"
        return TrainedGenerator.load(self.folder / name, self.spec.num_classes, self.spec)

    def _trained_gan(self) -> dict[str, Any]:
        config = self.settings.gan
        began = time.perf_counter()
        gan = build_gan(config, self.spec, self.seed)
        watchdog = Watchdog(self.x, self.y, max(1, config.steps // 4), seed=self.seed)
        early = max(1, round(_EARLY * config.steps))
        for steps, name in ((early, "early.keras"), (config.steps, "generator.keras")):
            train_gan(
                gan,
                self.x,
                self.y,
                steps=steps,
                batch_size=config.batch_size,
                seed=derive_seed(self.seed, "order"),
                callbacks=[watchdog],
                steps_per_execution=config.steps_per_execution,
            )
            save_keras(self.folder / name, gan.ema_generator)
        return {
            "gan_steps": config.steps,
            "gan_seconds": time.perf_counter() - began,
            "gan_rollbacks": len(watchdog.events),
        }

    def pool(self, source: Source, size: int | None = None) -> Pool:
        """Draws a balanced pool from a source.

        Args:
            source: Where from.
            size: Samples; None takes the settings'.
        """
        size = size or self.settings.pool_size
        y = np.resize(np.arange(self.spec.num_classes), size)
        return Pool(source.sample(y, 0), y)

    def drawn(self, sources: Mapping[str, Callable[[], Source]]) -> Callable[[str, int], Pool]:
        """Draws balanced pools of so many samples from sources, by their names."""
        return lambda name, size: self.pool(sources[name](), size)

    def facts(self) -> dict[str, Any]:
        """What a table must say of a seed: its labels, its teacher, its generator, their cost.

        What no arm has needed is left out.
        """
        x, y = self.test
        found: dict[str, Any] = {
            "labels": len(self.y),
            "withheld": len(self.withheld),
            "students": self.settings.students,
            "student_parameters": self.new_student().count_params(),
        }
        if self._teacher_path.exists():
            seen = ask(self.teacher, x).argmax(axis=1)
            found["teacher_accuracy"] = float(np.mean(seen == y))
        if self._gan_path.exists():
            found |= self.gan_facts | self._generator_facts()
        return found

    def _generator_facts(self) -> dict[str, Any]:
        labels = np.resize(np.arange(self.spec.num_classes), self.settings.pool_size)
        made = self.generator().generate(labels, derive_seed(self.seed, "facts"))
        scores = synthetic_only_accuracy(
            made, labels, (self.x, self.y), self.test, self.spec, seed=self.seed, steps=_SCORE_STEPS
        )
        return {
            "class_agreement": float(np.mean(ask(self.teacher, made).argmax(axis=1) == labels)),
            "synthetic_only_accuracy": scores["synthetic_only_accuracy"],
            "real_only_accuracy": scores["real_only_accuracy"],
        }

    def with_recipe(self, **changes: Any) -> Recipe:
        """The settings' recipe with changes."""
        return replace(self.settings.recipe, **changes)


def _with_rare_classes(rows: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Leaves three classes, drawn by the seed, a twentieth of the others' mean, two at least."""
    random = np.random.default_rng(seed)
    classes = np.unique(y[rows])
    rare = random.choice(classes, RARE_CLASSES, replace=False)
    others = np.isin(y[rows], rare, invert=True).sum() / (len(classes) - RARE_CLASSES)
    least = max(2, round(_RARE_SHARE * others))
    kept = [
        np.flatnonzero(y[rows] == label)[: least if label in rare else None] for label in classes
    ]
    return rows[np.sort(np.concatenate(kept))]
