"""Training and measuring the students of one subject, all from the same first weights."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.benchmarks.subject import Subject
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.verify import verify
from keras_ganaccel.gate.arms import Arm, arm_pool, chosen, with_pool
from keras_ganaccel.gate.statistics import calibrated_log_loss
from keras_ganaccel.seeds import derive_seed

Figures = dict[str, Any]
# Seconds to an accuracy: looked at every so many steps.
_LOOK_EVERY = 20
_CALIBRATION = 300


class Students:
    """Trains and measures the students of one subject, all from the same first weights.

    Args:
        subject: The subject whose labels and teacher they learn from.
        labels_only: Whether they learn from the labels alone.
    """

    def __init__(self, subject: Subject, *, labels_only: bool = False) -> None:
        self.subject, self.labels_only = subject, labels_only
        self._trainees: dict[Recipe, Trainee] = {}
        self._real: dict[Recipe, TransferSet] = {}
        #: Median seconds of a step of the last training, tracing left out.
        self.step_seconds = 0.0

    def trainee(self, recipe: Recipe) -> Trainee:
        """The student with its optimiser, made once for each recipe."""
        if recipe not in self._trainees:
            self._trainees[recipe] = Trainee(
                self.subject.new_student(), recipe, steps_per_execution=_LOOK_EVERY
            )
        return self._trainees[recipe]

    def real(self, recipe: Recipe) -> TransferSet:
        """The real samples of a recipe, augmented and labelled by the teacher."""
        if recipe not in self._real:
            subject = self.subject
            self._real = {
                recipe: TransferSet.for_recipe(
                    recipe,
                    nobody(subject) if self.labels_only else subject.teacher,
                    subject.x,
                    subject.y,
                    num_classes=subject.spec.num_classes,
                    seed=derive_seed(subject.seed, "real"),
                )
            }
        return self._real[recipe]

    def mixed(
        self, arm: Arm, doubting: Callable[[], Any] = lambda: None
    ) -> tuple[TransferSet, Figures]:
        """The real samples of the settings' recipe with an arm's pool among them.

        Args:
            arm: The arm.
            doubting: Gives a student that has learnt from the real samples, where doubts choose.

        Returns:
            The samples, and the share of the pool that the arm kept.
        """
        subject, seed = self.subject, derive_seed(self.subject.seed, "pool")
        pool = arm_pool(arm, subject.x, subject.y, seed)
        # Filters ask the subject's teacher, even where the student learns from labels alone.
        left = chosen(arm, pool, _Late(subject), doubting, seed)
        recipe = subject.settings.recipe
        teacher = nobody(subject) if self.labels_only else subject.teacher
        samples = with_pool(self.real(recipe), arm, left, teacher, recipe.samples, seed)
        return samples, {"acceptance": len(left.x) / len(pool.x)}

    def train(
        self,
        recipe: Recipe,
        samples: TransferSet,
        *,
        turn: int = 0,
        labels_only: bool | None = None,
        callbacks: tuple[keras.callbacks.Callback, ...] = (),
    ) -> Trainee:
        """Trains a student from its first weights, or, in a later turn, from that turn's."""
        trainee = self.trainee(recipe)
        trainee.reset(derive_seed(self.subject.seed, "student", turn) if turn else None)
        clock = _Clock()
        only = self.labels_only if labels_only is None else labels_only
        trainee.train(samples, labels_only=only, callbacks=(clock, *callbacks))
        self.step_seconds = clock.step_seconds
        return trainee

    def averaged(
        self,
        recipe: Recipe,
        samples: TransferSet,
        *,
        labels_only: bool | None = None,
        look: Callable[[Trainee], Figures] = lambda trainee: {},
    ) -> Figures:
        """Means of what `measured` and `look` say of the cell's students."""
        found = []
        for turn in range(self.subject.settings.students):
            trained = self.train(recipe, samples, turn=turn, labels_only=labels_only)
            found.append({**self.measured(trained), **look(trained)})
        means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
        return {**means, "int8_bytes": round(means["int8_bytes"])}

    def measured(self, trainee: Trainee) -> Figures:
        """A student's figures on what is reported on; int8 is measured on the exported file."""
        x, y = self.subject.test
        logits = trainee.logits(x)
        with tempfile.TemporaryDirectory() as folder:
            path = export_tflite(
                trainee.student,
                Path(folder) / "student.tflite",
                "int8",
                representative_dataset=self.subject.x[:_CALIBRATION],
                spec=self.subject.spec,
            )
            int8 = verify(path, (x, y), spec=self.subject.spec, latency_repeats=0)
        return {
            "accuracy": float(np.mean(logits.argmax(axis=1) == y)),
            "log_loss": calibrated_log_loss(logits, y),
            "int8_accuracy": int8.accuracy,
            "int8_bytes": int8.bytes,
        }

    def curve(self, recipe: Recipe, samples: TransferSet) -> list[tuple[int, float]]:
        """Steps, and the accuracy of the cell's students there on what is reported on: the mean."""
        curves = []
        for turn in range(self.subject.settings.students):
            look = _Look(self.trainee(recipe), *self.subject.test, recipe.steps)
            self.train(recipe, samples, turn=turn, callbacks=(look,))
            curves.append(look.curve)
        steps, accuracies = np.array(curves).mean(axis=0).T
        return list(zip(steps.astype(int).tolist(), accuracies.tolist(), strict=True))


class _Clock(keras.callbacks.Callback):
    """Times the executions after the first, without what callbacks do in between."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds: list[float] = []
        self._first = 0
        self._began: float | None = None

    @property
    def step_seconds(self) -> float:
        """Median seconds of a step, which pauses do not move; 0 if there was but one execution."""
        return float(np.median(self._seconds)) if self._seconds else 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._began, self._first = time.perf_counter(), batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops it; the first execution traces and does not count."""
        if self._began is not None and self._first > 0:
            steps = batch - self._first + 1
            self._seconds.append((time.perf_counter() - self._began) / steps)


class _Look(keras.callbacks.Callback):
    """Measures a student every so many steps of its training."""

    def __init__(self, trainee: Trainee, x: np.ndarray, y: np.ndarray, steps: int) -> None:
        super().__init__()
        self._trainee, self._x, self._y, self._steps = trainee, x, y, steps
        self.curve: list[tuple[int, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks if it is time."""
        step = batch + 1
        done = self.curve[-1][0] if self.curve else 0
        if step // _LOOK_EVERY > done // _LOOK_EVERY or step == self._steps:
            seen = self._trainee.logits(self._x).argmax(axis=1)
            self.curve.append((step, float(np.mean(seen == self._y))))


class _Late:
    """The subject's teacher, trained when it is first asked: many an arm asks nobody."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Asks it."""
        return self._subject.teacher.predict_proba(x)


def nobody(subject: Subject) -> Callable[[np.ndarray], np.ndarray]:
    """A teacher who knows nothing, where labels alone are learnt from."""
    classes = subject.spec.num_classes
    return lambda x: np.full((len(x), classes), 1.0 / classes, np.float32)
