"""Training the run's student, for the stages that do so, and asking it afterwards."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from keras_ganaccel.classifier.outputs import predict_logits
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.journey.callbacks import StepProgress
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.journey.weighing import recipe_of


def trained_student(journey: Journey, samples: TransferSet) -> keras.Model:
    """A new student, trained on the samples by the run's recipe."""
    recipe = recipe_of(journey, journey.steps("student"))
    student, unit = journey.new_student()
    trainee = Trainee(unit, recipe, from_logits=journey.config.model.from_logits)
    trainee.train(samples, callbacks=[StepProgress(journey.progress, recipe.steps)])
    return student


def load_student(journey: Journey, path: Path | None = None) -> keras.Model:
    """Loads the student that the stage `train_student` wrote, or the one at another place."""
    return keras.saving.load_model(
        path or journey.run.artifacts / "student.keras",
        compile=False,
        safe_mode=not journey.config.model.allow_unsafe,
    )


def validation_logits(journey: Journey, student: keras.Model) -> np.ndarray:
    """The student's logits for the validation rows."""
    x = journey.to_student_range(journey.validation[0])
    return predict_logits(student, x, from_logits=journey.config.model.from_logits)
