"""The stage that writes what the gate chose: what the student and its compression learn from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.compression.compress import TECHNIQUES
from keras_ganaccel.gate.arms import REAL_ONLY, Arm, arm_pool, chosen, with_pool
from keras_ganaccel.generated.candidates import Pool
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.run_arms import arms_of
from keras_ganaccel.journey.stages import weigh_arms
from keras_ganaccel.journey.transfer_sets import real_part, tuning_folder
from keras_ganaccel.journey.weighing import recipe_of
from keras_ganaccel.words import percent


@dataclass(frozen=True)
class Record:
    """What the stage wrote.

    Args:
        decision: The arm of the gate that it follows.
        real: Real samples that the student learns from, augmented.
        generated: Generated ones beside them.
        generated_fraction: Their share in the stream.
        seconds: Spent.
    """

    decision: str
    real: int
    generated: int
    generated_fraction: float
    seconds: float


def write_transfer_set(journey: Journey) -> Record:
    """Writes the shards that the student and its compression learn from, answered by the teacher.

    Those of the student are augmented. Fine-tuning takes the same samples as they are: mixing them
    makes a lesson that a small, mostly pruned student fails at.
    """
    began = time.monotonic()
    decision = weigh_arms.STAGE.done(journey).decision
    student, tuning = real_part(journey), _real_part_as_it_is(journey)
    if decision != REAL_ONLY:
        arm = arms_of(journey)[decision]
        pool = _chosen_pool(journey, arm)
        batch_size, seed = journey.config.student.batch_size, journey.seed("student")
        taken = journey.steps("student") * batch_size
        student = with_pool(student, arm, pool, journey.teacher, taken, seed)
        tuning = with_pool(
            tuning, arm, pool, journey.teacher, tuning_steps(journey) * batch_size, seed
        )
    return Record(
        decision=decision,
        real=student.real.size,
        generated=0 if student.generated is None else student.generated.size,
        generated_fraction=student.generated_fraction,
        seconds=time.monotonic() - began,
    )


def tuning_steps(journey: Journey) -> int:
    """Steps of all fine-tunings of the compression's technique together."""
    technique = journey.config.compression.technique
    return len(TECHNIQUES[technique]) * journey.steps("compression")


def _real_part_as_it_is(journey: Journey) -> TransferSet:
    x, y = journey.train
    recipe = recipe_of(journey, tuning_steps(journey))
    return TransferSet.for_recipe(
        replace(recipe, augmentation=(), transfer_size=None),
        journey.teacher,
        x,
        y,
        num_classes=journey.data.spec.num_classes,
        seed=journey.seed("student"),
        folder=tuning_folder(journey),
    )


def _chosen_pool(journey: Journey, arm: Arm) -> Pool:
    """What the arm's filter and the student's doubts leave of its pool."""
    seed = journey.seed("student")
    pool = arm_pool(arm, *journey.train, seed)
    return chosen(arm, pool, journey.teacher, lambda: _student_in_doubt(journey), seed)


def _student_in_doubt(journey: Journey) -> Callable[[np.ndarray], np.ndarray]:
    """A student that has learnt from real samples, for as long as those of the gate."""
    x, y = journey.train
    recipe = recipe_of(journey, journey.steps("gate"))
    seed = journey.seed("student", "doubt")
    trainee = Trainee(
        journey.new_student()[1], recipe, from_logits=journey.config.model.from_logits
    )
    classes = journey.data.spec.num_classes
    trainee.train(
        TransferSet.for_recipe(recipe, journey.teacher, x, y, num_classes=classes, seed=seed)
    )
    return trainee.probabilities


def summary(record: Record) -> str:
    """Says how much there is of what."""
    real = f"{record.real:,} real samples"
    if not record.generated:
        return real
    share = percent(record.generated_fraction, 0)
    return f"{real}, {record.generated:,} generated ones ({record.decision}, {share} of the stream)"


STAGE = Stage("transfer_set", write_transfer_set, summary, Record)
