"""What the stages share that weigh students on folds: recipe, teacher, and who can be weighed."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.teacher import Ensemble, build_teacher
from keras_ganaccel.data.labels import named
from keras_ganaccel.journey.context import Journey

_STATE = "gate_pairs.json"


def weighing_options(journey: Journey) -> dict[str, Any]:
    """What headroom and gate share: with the same state file the one takes over from the other."""
    settings = journey.config.gate
    return {
        "num_classes": journey.data.spec.num_classes,
        "recipe": recipe_of(journey, journey.steps("gate")),
        "pairs": settings.pairs,
        "seed": journey.seed("gate"),
        "reinitialize": journey.user_model is None or journey.config.model.reinitialize,
        "from_logits": journey.config.model.from_logits,
        "state_file": journey.run.checkpoints / _STATE,
        "progress": lambda done, total, text: journey.progress.advance(done, total),
    }


def recipe_of(journey: Journey, steps: int) -> Recipe:
    """The run's recipe for so many steps of its student."""
    settings = journey.config.student
    assert settings.learning_rate is not None, "the learning rate was left open"
    return Recipe(
        steps=steps,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        schedule=settings.schedule,
        temperature=settings.temperature,
        alpha=settings.alpha,
        label_smoothing=settings.label_smoothing,
        augmentation=settings.augmentation,
        transfer_size=settings.transfer_size,
    )


def teacher_factory(journey: Journey) -> Any:
    """Trains a pair's teacher, its Keras members for no more steps than a student."""
    settings, gate = journey.config.teacher, journey.config.gate

    def train(x: np.ndarray, y: np.ndarray, seed: int) -> Ensemble:
        return build_teacher(
            journey.data.spec,
            x,
            y,
            members=gate.teacher_members,
            size=settings.size,
            steps=min(journey.steps("teacher"), journey.steps("gate")),
            batch_size=journey.config.student.batch_size,
            seed=seed,
        )

    return train


def too_few_to_weigh(journey: Journey) -> str | None:
    """Why no comparison on folds is possible: each fold needs every class on both of its sides."""
    names = journey.data.spec.class_names
    counts = np.bincount(journey.train[1], minlength=len(names))
    few = [name for name, count in zip(names, counts, strict=True) if count < 2]
    if not few:
        return None
    return (
        f"One training row of {named(few)}: generated data cannot be weighed on folds, and the "
        "student learns from real data only."
    )


def generator_unwanted(journey: Journey) -> str | None:
    """Says why the configuration has no GAN trained on these data, or None if it has one."""
    config, shape = journey.config, journey.data.spec.sample_shape
    if not config.gan.enabled:
        return "No GAN was trained: generated data were switched off."
    most = config.gan.largest_side
    if most is not None and max(shape[:2]) > most:
        return (
            f"No GAN was trained: for samples of {shape[0]}x{shape[1]} it would take longer than "
            f"all the rest. Set gan.largest_side to {max(shape[:2])}, or take a larger preset."
        )
    return None
