"""The stage that asks, before any generator is trained, whether generated data could help."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_ganaccel.files import save_keras
from keras_ganaccel.gate.headroom import LEAST_HEADROOM, headroom
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.training import trained_student, validation_logits
from keras_ganaccel.journey.transfer_sets import real_part
from keras_ganaccel.journey.weighing import (
    generator_unwanted,
    teacher_factory,
    too_few_to_weigh,
    weighing_options,
)
from keras_ganaccel.metrics.proportions import paired_difference
from keras_ganaccel.words import percent

#: The student that learnt from real data only, where that was asked for first.
EARLY_STUDENT = "student_on_real_data.keras"
# A generator takes as long as all the rest: chance alone must hardly ever ask for one.
_CONVINCED = 0.01


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        reason: The finding in one sentence.
        skip_generator: Whether no generator is to be trained.
        ledger: The `headroom` of the ledger's `gate`; None where nothing was measured.
        gap: The teacher's accuracy less the student's.
        gap_ci95: Its 95 % interval.
        seconds: Spent.
        notes: What there is to say of it.
    """

    reason: str
    skip_generator: bool
    ledger: Mapping[str, Any] | None = None
    gap: float | None = None
    gap_ci95: list[float] | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def check_headroom(journey: Journey) -> Record:
    """Asks, before any generator is trained, whether a transfer set could help the student."""
    settings = journey.config.gate
    if not _trains_generator(journey):
        return Record("no generator to train", skip_generator=False)
    reason = too_few_to_weigh(journey)
    if reason:
        return Record(reason, skip_generator=not settings.generate_anyway, notes=[reason])
    if not settings.headroom_check:
        return Record("not asked for", skip_generator=False)
    if settings.headroom_rows == "validation":
        return _headroom_on_validation(journey)
    found = headroom(
        journey.new_student()[1],
        teacher_factory(journey),
        *journey.train,
        **weighing_options(journey),
    )
    reason = found.finding()
    return Record(
        reason,
        skip_generator=not found.present and not settings.generate_anyway,
        ledger=_ledger(found.mean_accuracy(found.teacher), found.mean_accuracy(found.distilled)),
        gap=found.gap.mean,
        gap_ci95=[found.gap.low, found.gap.high],
        seconds=found.seconds,
        notes=[reason],
    )


def _headroom_on_validation(journey: Journey) -> Record:
    """Trains the student on real samples first: not certainly behind its teacher, it is done.

    It is the very student that the run goes on with where no generated data are used. A
    difference that the validation rows do not show for certain is one whose removal by a
    generator they could not show either.
    """
    began = time.monotonic()
    x, y = journey.validation
    student = trained_student(journey, real_part(journey))
    save_keras(journey.run.checkpoints / EARLY_STUDENT, student)
    best = journey.teacher.predict_proba(x).argmax(axis=1) == y
    own = validation_logits(journey, student).argmax(axis=1) == y
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
    return Record(
        reason,
        skip_generator=not present and not journey.config.gate.generate_anyway,
        ledger=_ledger(float(best.mean()), float(own.mean())),
        gap=gap.difference,
        gap_ci95=list(gap.ci95),
        seconds=time.monotonic() - began,
        notes=[reason],
    )


def _ledger(teacher: float, student: float) -> dict[str, float | None]:
    return {"teacher": teacher, "student": student, "oracle": None}


def _trains_generator(journey: Journey) -> bool:
    """What is there already costs nothing more: the gate weighs it with or without headroom."""
    reuse = journey.config.reuse
    return reuse.pool is None and reuse.generator is None and generator_unwanted(journey) is None


def summary(record: Record) -> str:
    """Says what was found."""
    return record.reason


STAGE = Stage("headroom", check_headroom, summary, Record)
