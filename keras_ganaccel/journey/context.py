"""What every stage of a run is given, and where it finds what the stages before it made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import keras
import numpy as np

from keras_ganaccel.classifier.teacher import Ensemble
from keras_ganaccel.clones import clone
from keras_ganaccel.config import RunConfig
from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.journey.progress import Progress
from keras_ganaccel.journey.user_model import with_unit_input
from keras_ganaccel.rundir import RunFolder
from keras_ganaccel.seeds import derive_seed

if TYPE_CHECKING:
    import tensorflow as tf

R = TypeVar("R")


@dataclass
class Journey:
    """One run under way.

    Args:
        run: Its folder.
        data: Its data, split.
        strategy: What models are built and trained under.
        progress: What is told how far it is.
        user_model: The user's own student, or None for ours.
    """

    run: RunFolder
    data: LabelledData
    strategy: tf.distribute.Strategy
    progress: Progress
    user_model: keras.Model | None = None

    @property
    def config(self) -> RunConfig:
        """The resolved configuration."""
        return self.run.config

    @cached_property
    def train(self) -> tuple[np.ndarray, np.ndarray]:
        """Training samples, float32 in [0, 1], and labels."""
        return self.data.arrays("train")

    @cached_property
    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """Validation samples and labels; the training ones where validation is empty."""
        x, y = self.data.arrays("validation")
        return (x, y) if len(y) else self.train

    @cached_property
    def teacher(self) -> Ensemble:
        """The teacher that the run's second stage wrote, loaded and traced once."""
        return Ensemble.load(self.run.checkpoints / "teacher")

    def steps(self, part: str) -> int:
        """Optimizer steps of a part of the run, such as ``"student"``; see `journey.budget`."""
        steps = getattr(self.config, part).steps
        assert steps is not None, f"the steps of {part} were left open"
        return int(steps)

    def seed(self, *names: str | int) -> int:
        """Derives the seed of one consumer of randomness."""
        return derive_seed(self.config.seed, *names)

    def to_student_range(self, unit: np.ndarray) -> np.ndarray:
        """Maps [0, 1] to what the student takes."""
        low, high = self.config.model.input_range or (0.0, 1.0)
        return (
            unit if (low, high) == (0.0, 1.0) else unit * np.float32(high - low) + np.float32(low)
        )

    def new_student(self) -> tuple[keras.Model, keras.Model]:
        """Builds the student with the weights that every arm starts from.

        Returns:
            The student, and the same one behind a mapping from [0, 1]: training the second
            trains the first.
        """
        from keras_ganaccel.classifier.build import build_classifier
        from keras_ganaccel.initial_weights import reinitialize

        settings = self.config.student
        with self.strategy.scope():
            if self.user_model is None:
                student = build_classifier(
                    self.data.spec,
                    settings.architecture,
                    settings.size,
                    activation=settings.activation,
                    seed=self.seed("student", "weights"),
                    name="student",
                )
            else:
                student = clone(self.user_model)
                if self.config.model.reinitialize:
                    reinitialize(student, self.seed("student", "weights"))
            unit = with_unit_input(
                student, self.config.model.input_range, self.data.spec.sample_shape
            )
        return student, unit


@dataclass(frozen=True)
class Stage(Generic[R]):
    """One step of the journey.

    Args:
        name: Its name in progress lines and records.
        work: Does it and returns its record.
        summary: Tells the record's outcome in a few words.
        record: The dataclass of its record, of values that JSON can hold, or `dict`.
    """

    name: str
    work: Callable[[Journey], R]
    summary: Callable[[R], str]
    record: type[R] = dict  # type: ignore[assignment]

    def values(self, record: R) -> dict[str, Any]:
        """The record as JSON holds it."""
        return asdict(record) if is_dataclass(record) else dict(record)  # type: ignore[arg-type, call-overload]

    def read(self, journey: Journey) -> R | None:
        """What the stage recorded in a run, or None if it is still to do.

        Raises:
            InvalidInputError: The record is another version's.
        """
        values = journey.run.record(self.name)
        if values is None:
            return None
        if not is_dataclass(self.record):
            return self.record(values)  # type: ignore[call-arg]
        known = {field.name for field in fields(self.record)}
        try:
            return self.record(**{key: values[key] for key in values if key in known})
        except TypeError:
            raise InvalidInputError(
                f"The record of the stage {self.name!r} is another version's. Received: the run "
                f"{str(journey.run.path)!r}. Start a new run."
            ) from None

    def done(self, journey: Journey) -> R:
        """What the stage recorded, where it must have been done."""
        found = self.read(journey)
        if found is None:
            raise InvalidInputError(
                f"The stage {self.name!r} comes first. Received: a run without its record. "
                "Do it, or leave `only` out."
            )
        return found
