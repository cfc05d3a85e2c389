"""The stage that compares the student with and without generated data on paired folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_ganaccel.gate.arms import REAL_ONLY
from keras_ganaccel.gate.decide import utility_gate
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.run_arms import arms_of
from keras_ganaccel.journey.weighing import teacher_factory, too_few_to_weigh, weighing_options
from keras_ganaccel.words import percent


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        ledger: The `gate` part of the ledger.
        seconds: Spent.
        notes: What there is to say of it.
    """

    ledger: Mapping[str, Any]
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def decision(self) -> str:
        """The arm that is used."""
        return self.ledger["decision"]


def weigh_arms(journey: Journey) -> Record:
    """Compares the student with and without generated data on paired folds."""
    arms = arms_of(journey)
    reason = too_few_to_weigh(journey)
    if reason or not arms:
        empty = {"decision": REAL_ONLY, "generated_fraction": 0.0, "pairs": 0, "arms": []}
        return Record(empty, notes=[reason] if reason and arms else [])
    found = utility_gate(
        journey.new_student()[1],
        teacher_factory(journey),
        *journey.train,
        list(arms.values()),
        confidence=journey.config.gate.confidence,
        **weighing_options(journey),
    )
    return Record(found.ledger(), found.seconds)


def summary(record: Record) -> str:
    """Says what was chosen, and how the arms did."""
    ledger = record.ledger
    arms = ", ".join(f"{arm['name']} {percent(arm['mean'])}" for arm in ledger["arms"])
    counted = f"means of up to {ledger['pairs']} validation pairs"
    return f"{record.decision} ({counted}: {arms})" if arms else record.decision


STAGE = Stage("gate", weigh_arms, summary, Record)
