"""The stages of a run, a file each: what it does, what it records, and what it says of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.journey.context import Stage
from keras_ganaccel.journey.stages import (
    check_headroom,
    compress_student,
    describe_data,
    export_student,
    fit_rival,
    make_pool,
    tell,
    train_generator,
    train_student,
    train_teacher,
    verify_artifacts,
    weigh_arms,
    write_transfer_set,
)

STAGES: tuple[Stage[Any], ...] = (
    describe_data.STAGE,
    train_teacher.STAGE,
    fit_rival.STAGE,
    check_headroom.STAGE,
    train_generator.STAGE,
    make_pool.STAGE,
    weigh_arms.STAGE,
    write_transfer_set.STAGE,
    train_student.STAGE,
    compress_student.STAGE,
    export_student.STAGE,
    verify_artifacts.STAGE,
    tell.STAGE,
)


def stages_named(names: Sequence[str] | None) -> tuple[Stage[Any], ...]:
    """Returns the named stages in the order of the journey, or all of them for None.

    Raises:
        InvalidInputError: There is no such stage.
    """
    if names is None:
        return STAGES
    known = [stage.name for stage in STAGES]
    for name in names:
        if name not in known:
            raise InvalidInputError(f"No such stage. Received: {name!r}. {nearest(name, known)}")
    return tuple(stage for stage in STAGES if stage.name in names)
