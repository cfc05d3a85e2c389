"""The middle of the journey: is there headroom, do generated data help, train the student."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.classifier.outputs import predict_logits
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.teacher import Ensemble, build_teacher
from keras_ganaccel.classifier.train import score_logits
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.data.labels import named
from keras_ganaccel.files import save_keras
from keras_ganaccel.gate.arms import Arm, arm_pool, filtered, with_pool
from keras_ganaccel.gate.decide import utility_gate
from keras_ganaccel.gate.headroom import LEAST_HEADROOM, headroom
from keras_ganaccel.generated.candidates import Pool, joined, most_doubted
from keras_ganaccel.generated.filters import TeacherAgreement
from keras_ganaccel.generated.sources import make_source
from keras_ganaccel.journey.callbacks import StepProgress
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.journey.learn import generator_unwanted
from keras_ganaccel.metrics.proportions import paired_difference
from keras_ganaccel.mixing.plan import class_targets, spread_labels
from keras_ganaccel.words import percent

_STATE = "gate_pairs.json"
# A generator takes as long as all the rest: chance alone must hardly ever ask for one.
_CONVINCED = 0.01
_EARLY_STUDENT = "student_on_real_data.keras"
# Of a pool that the student's doubts choose from.
_KEPT = 0.25


def check_headroom(journey: Journey) -> dict[str, Any]:
    """Asks, before any generator is trained, whether a transfer set could help the student."""
    settings = journey.config.gate
    if not _trains_generator(journey):
        return {"reason": "no generator to train", "skip_generator": False, "notes": []}
    reason = _too_few_to_weigh(journey)
    if reason:
        skip = not settings.generate_anyway
        return {"reason": reason, "skip_generator": skip, "notes": [reason]}
    if not settings.headroom_check:
        return {"reason": "not asked for", "skip_generator": False, "notes": []}
    if settings.headroom_rows == "validation":
        return _headroom_on_validation(journey)
    found = headroom(_student(journey), _teacher_factory(journey), *journey.train, **_gate(journey))
    skip = not found.present and not settings.generate_anyway
    reason = found.finding()
    return {
        "reason": reason,
        "skip_generator": skip,
        "ledger": {
            "teacher": found.mean_accuracy(found.teacher),
            "student": found.mean_accuracy(found.distilled),
            "oracle": None,
        },
        "gap": found.gap.mean,
        "gap_ci95": [found.gap.low, found.gap.high],
        "seconds": found.seconds,
        "notes": [reason],
    }


def weigh_arms(journey: Journey) -> dict[str, Any]:
    """Compares the student with and without generated data on paired folds."""
    arms = _arms(journey)
    reason = _too_few_to_weigh(journey)
    if reason or not arms:
        empty = {"decision": "real_only", "generated_fraction": 0.0, "pairs": 0, "arms": []}
        return {"ledger": empty, "notes": [reason] if reason and arms else []}
    found = utility_gate(
        _student(journey),
        _teacher_factory(journey),
        *journey.train,
        list(arms.values()),
        confidence=journey.config.gate.confidence,
        **_gate(journey),
    )
    return {"ledger": found.ledger(), "seconds": found.seconds, "notes": []}


def train_student(journey: Journey) -> dict[str, Any]:
    """Trains the student on what the gate chose, and writes `student.keras`."""
    began = time.monotonic()
    decision, early = _decision(journey), journey.run.checkpoints / _EARLY_STUDENT
    ready = decision == "real_only" and early.is_file()
    if ready:
        student = load_student(journey, early)
    else:
        student = _trained(journey, chosen_samples(journey, journey.steps("student")))
    save_keras(journey.run.artifacts / "student.keras", student)
    return {
        "parameters": student.count_params(),
        "validation_accuracy": score_logits(
            _student_logits(journey, student), journey.validation[1]
        )["accuracy"],
        "validation_rows": len(journey.data.splits.validation),
        "decision": decision,
        "seconds": time.monotonic() - began,
        "trained_for_headroom": ready,
    }


def load_student(journey: Journey, path: Path | None = None) -> keras.Model:
    """Loads the student that `train_student` wrote, or the one at another place."""
    return keras.saving.load_model(
        path or journey.run.artifacts / "student.keras",
        compile=False,
        safe_mode=not journey.config.model.allow_unsafe,
    )


def _trained(journey: Journey, samples: TransferSet) -> keras.Model:
    """A new student, trained on the samples by the run's recipe."""
    recipe = _recipe(journey, journey.steps("student"))
    student, unit = journey.new_student()
    trainee = Trainee(unit, recipe, from_logits=journey.config.model.from_logits)
    trainee.train(samples, callbacks=[StepProgress(journey.progress, recipe.steps)])
    return student


def _headroom_on_validation(journey: Journey) -> dict[str, Any]:
    """Trains the student on real samples first: not certainly behind its teacher, it is done.

    It is the very student that the run goes on with where no generated data are used. A
    difference that the validation rows do not show for certain is one whose removal by a
    generator they could not show either.
    """
    began = time.monotonic()
    x, y = journey.validation
    student = _trained(journey, _real(journey, journey.steps("student")))
    save_keras(journey.run.checkpoints / _EARLY_STUDENT, student)
    best = journey.teacher.predict_proba(x).argmax(axis=1) == y
    own = _student_logits(journey, student).argmax(axis=1) == y
    gap = paired_difference(best, own)
    present = gap.p_value < _CONVINCED and gap.difference >= LEAST_HEADROOM
    finding = (
        "there may be something to gain"
        if present
        else "not certainly behind, so no generator is worth its time"
    )
    reason = (
        f"On {len(y)} validation rows the teacher reaches {percent(float(best.mean()))}, the "
        f"student distilled from it on real data {percent(float(own.mean()))}: {finding}."
    )
    return {
        "reason": reason,
        "skip_generator": not present and not journey.config.gate.generate_anyway,
        "gap": gap.difference,
        "gap_ci95": list(gap.ci95),
        "ledger": {
            "teacher": float(best.mean()),
            "student": float(own.mean()),
            "oracle": None,
        },
        "seconds": time.monotonic() - began,
        "notes": [reason],
    }


def _student_logits(journey: Journey, student: keras.Model) -> np.ndarray:
    x = journey.to_student_range(journey.validation[0])
    return predict_logits(student, x, from_logits=journey.config.model.from_logits)


def chosen_samples(journey: Journey, steps: int, *, augmented: bool = True) -> TransferSet:
    """What the gate chose to train the student on, labelled by the teacher."""
    x, y = journey.train
    seed = journey.seed("student")
    samples = _real(journey, steps, augmented=augmented)
    decision = _decision(journey)
    if decision != "real_only":
        arm = _arms(journey)[decision]
        pool = filtered(arm, arm_pool(arm, x, y, seed), journey.teacher)
        if arm.doubted is not None:
            doubt = _student_in_doubt(journey)
            pool = most_doubted(pool, journey.teacher, doubt, arm.doubted, seed)
        taken = steps * journey.config.student.batch_size
        samples = with_pool(samples, arm, pool, journey.teacher, taken, seed)
    return samples


def _real(journey: Journey, steps: int, *, augmented: bool = True) -> TransferSet:
    """The real training samples, labelled by the teacher, for a training of so many steps."""
    x, y = journey.train
    recipe = _recipe(journey, steps)
    if not augmented:
        recipe = dataclasses.replace(recipe, augmentation=(), transfer_size=None)
    classes = journey.data.spec.num_classes
    return TransferSet.for_recipe(
        recipe, journey.teacher, x, y, num_classes=classes, seed=journey.seed("student")
    )


def _student_in_doubt(journey: Journey) -> Callable[[np.ndarray], np.ndarray]:
    """A student that has learnt from real samples, for as long as those of the gate."""
    x, y = journey.train
    recipe = _recipe(journey, journey.steps("gate"))
    seed = journey.seed("student", "doubt")
    trainee = Trainee(_student(journey), recipe, from_logits=journey.config.model.from_logits)
    classes = journey.data.spec.num_classes
    trainee.train(
        TransferSet.for_recipe(recipe, journey.teacher, x, y, num_classes=classes, seed=seed)
    )
    return trainee.probabilities


def _decision(journey: Journey) -> str:
    return (journey.run.record("gate") or {})["ledger"]["decision"]


def _too_few_to_weigh(journey: Journey) -> str | None:
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


def _trains_generator(journey: Journey) -> bool:
    """What is there already costs nothing more: the gate weighs it with or without headroom."""
    reuse = journey.config.reuse
    return reuse.pool is None and reuse.generator is None and generator_unwanted(journey) is None


def _student(journey: Journey) -> Any:
    return journey.new_student()[1]


def _gate(journey: Journey) -> dict[str, Any]:
    """What headroom and gate share: with the same state file the one takes over from the other."""
    settings = journey.config.gate
    return {
        "num_classes": journey.data.spec.num_classes,
        "recipe": _recipe(journey, journey.steps("gate")),
        "pairs": settings.pairs,
        "seed": journey.seed("gate"),
        "reinitialize": journey.user_model is None or journey.config.model.reinitialize,
        "from_logits": journey.config.model.from_logits,
        "state_file": journey.run.checkpoints / _STATE,
        "progress": lambda done, total, text: journey.progress.advance(done, total),
    }


def _recipe(journey: Journey, steps: int) -> Recipe:
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


def _teacher_factory(journey: Journey) -> Any:
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


def _arms(journey: Journey) -> dict[str, Arm]:
    """The candidates beside real data only, by name."""
    config = journey.config
    fraction, weight = config.pool.generated_fraction, config.pool.generated_weight
    folders = (journey.run.record("pool") or {}).get("pools", {})
    pools = {name: Pool.stored(journey.run.path / folder) for name, folder in folders.items()}
    seconds = ((journey.run.record("gan") or {}).get("ledger") or {}).get("seconds") or 0.0
    arms = []
    if pools:
        even = Arm(
            "gan",
            pools["gan"],
            fraction,
            filter=TeacherAgreement if config.pool.filters else None,
            generated_weight=weight,
            seconds=seconds,
            source="gan",
        )
        cheap = Arm(
            "pca_gaussian",
            _cheap_pool(journey),
            fraction,
            generated_weight=weight,
            source="pca_gaussian",
        )
        doubtful = dataclasses.replace(
            even, name="gan_disagreement", pool=joined(*pools.values()), filter=None, doubted=_KEPT
        )
        arms += [
            even,
            dataclasses.replace(even, name="gan_first", schedule="generated_first"),
            doubtful,
            cheap,
            dataclasses.replace(cheap, name="pca_disagreement", doubted=_KEPT),
        ]
    unlabelled = journey.data.unlabelled_arrays()
    if unlabelled is not None:
        nameless = np.full(len(unlabelled), -1, np.int64)
        arms.append(
            Arm(
                "unlabelled",
                Pool(unlabelled, nameless),
                fraction,
                learnt_from_labels=False,
                source="unlabelled",
            )
        )
    return {arm.name: arm for arm in arms if arm.name in config.gate.arms}


def _cheap_pool(journey: Journey) -> Callable[[np.ndarray, np.ndarray, int], Pool]:
    """A pool that costs nothing: a GAN that does not beat it has not earned its time."""
    size, classes = journey.config.pool.size, journey.data.spec.num_classes

    def make(x: np.ndarray, y: np.ndarray, seed: int) -> Pool:
        labels = spread_labels(class_targets(size, classes), seed)
        source = make_source("pca_gaussian", x=x, y=y, seed=seed)
        return Pool(source.sample(labels, 0), labels)

    return make
