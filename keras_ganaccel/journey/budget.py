"""How long and how fast a run trains where its configuration leaves that open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_ganaccel.config import RunConfig, preset, with_values
from keras_ganaccel.options import TABLE_ARMS

_CLASSES = 10
# Weights that somebody trained would be undone by larger ones.
_FINE_TUNING_RATE = 3e-3


@dataclass(frozen=True)
class Effort:
    """Optimizer steps for ten classes and few rows.

    Args:
        teacher: Steps of each Keras member of the teacher.
        student: Steps of the final training.
        gate: Steps of each arm and pair.
        compression: Steps of each fine-tuning.
        passes: How often the final training sees each labelled row at least; the other parts grow
            in proportion.
        learning_rate: The first one of our own student; a user's model has `_FINE_TUNING_RATE`.
    """

    teacher: int
    student: int
    gate: int
    compression: int
    passes: int
    learning_rate: float


EFFORTS: Mapping[str, Effort] = {
    "quick": Effort(300, student=1200, gate=300, compression=100, passes=2, learning_rate=1e-2),
    "default": Effort(600, student=2000, gate=500, compression=500, passes=10, learning_rate=3e-3),
    "best": Effort(4000, student=12000, gate=4000, compression=4000, passes=60, learning_rate=3e-3),
}
_PARTS = ("teacher", "student", "gate", "compression")

#: What a preset means for another kind of data than images. No change of a row is known to keep its
#: class, trees are the better teachers, and the cheap sources come first.
MODALITY_VALUES: Mapping[str, Mapping[str, Any]] = {
    "table": {
        "gan.enabled": False,
        "pool.size": 10_000,
        "teacher.members": ("boosted_trees", "extra_trees", "svm", "logistic", "table_mlp"),
        "student.architecture": "table_mlp",
        "student.augmentation": (),
        "student.transfer_size": None,
        "gate.arms": TABLE_ARMS,
        "gate.teacher_members": ("boosted_trees", "extra_trees"),
    }
}


def for_modality(config: RunConfig, modality: str) -> RunConfig:
    """Takes over what a preset means for a kind of data, where the user has left the preset's own.

    Args:
        config: The settings. What differs from the preset stays as it is.
        modality: The kind of data.

    Returns:
        The settings for such data.

    Example:
        >>> from keras_ganaccel.config import preset
        >>> for_modality(preset(), "table").student.architecture
        'table_mlp'
    """
    usual = preset(config.preset)
    values = {
        name: value
        for name, value in MODALITY_VALUES.get(modality, {}).items()
        if _at(config, name) == _at(usual, name)
    }
    return with_values(config, values)


def _at(config: RunConfig, name: str) -> Any:
    section, option = name.split(".")
    return getattr(getattr(config, section), option)


def fitted(config: RunConfig, rows: int, classes: int) -> RunConfig:
    """Fills in steps and learning rate where they are left open (None).

    More classes take more steps, by the root of their number over ten; many rows take so many
    that the student sees each of them as often as the preset means it to. The few steps of
    ``"quick"`` go with a larger learning rate, unless they fine-tune a user's weights. That preset
    trains a generator only where its few steps suffice and the student is behind for certain; who
    gives other steps than its own wants one in any case.

    Args:
        config: The settings. What is given stays as it is.
        rows: Labelled rows to train on.
        classes: The number of classes.

    Returns:
        A configuration that leaves neither open.

    Example:
        >>> from keras_ganaccel.config import preset
        >>> [fitted(preset(), rows, 10).student.steps for rows in (1_000, 40_000)]
        [2000, 6250]
        >>> fitted(preset(), rows=1_000, classes=90).teacher.steps
        1800
    """
    effort = EFFORTS[config.preset]
    seen = effort.passes * rows / config.student.batch_size
    factor = max(1.0, math.sqrt(classes / _CLASSES), seen / effort.student)
    values: dict[str, Any] = {
        f"{part}.steps": math.ceil(factor * getattr(effort, part))
        for part in _PARTS
        if getattr(config, part).steps is None
    }
    if config.student.learning_rate is None:
        own = config.model.path is None or config.model.reinitialize
        values["student.learning_rate"] = effort.learning_rate if own else _FINE_TUNING_RATE
    usual = preset(config.preset).gan
    if usual.largest_side is not None and config.gan.steps != usual.steps:
        values |= {"gan.largest_side": None, "gate.generate_anyway": True}
    return with_values(config, values)
