"""The stages of a run, in their order, and what each says when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.journey import choose, deliver, learn, rival
from keras_ganaccel.journey.context import Stage
from keras_ganaccel.words import kilobytes, on_rows, percent


def _data(record: dict[str, Any]) -> str:
    rows = record["rows"]
    size = "x".join(str(side) for side in record["shape"])
    return (
        f"{len(record['classes'])} classes, {size}, {rows['train']} to train on, "
        f"{rows['validation']} to validate, {rows['test']} to test"
    )


def _teacher(record: dict[str, Any]) -> str:
    reached = on_rows(record["validation_accuracy"], record["validation_rows"], "validation")
    return f"{' + '.join(record['members'])}: {reached}"


def _headroom(record: dict[str, Any]) -> str:
    return record["reason"]


def _gan(record: dict[str, Any]) -> str:
    ledger = record["ledger"]
    if ledger is None:
        return record["notes"][0]
    alone = on_rows(ledger["synthetic_only_accuracy"], record["validation_rows"], "validation")
    return (
        f"KID {ledger['kid']:.4f} ± {ledger['kid_stderr']:.4f}; a classifier trained on real "
        f"samples is right on {percent(ledger['real_only_accuracy'])}, on generated ones alone on "
        f"{alone}"
    )


def _pool(record: dict[str, Any]) -> str:
    return " ".join(record["notes"]) or "nothing to generate"


def _gate(record: dict[str, Any]) -> str:
    ledger = record["ledger"]
    arms = ", ".join(f"{arm['name']} {percent(arm['mean'])}" for arm in ledger["arms"])
    counted = f"means of up to {ledger['pairs']} validation pairs"
    return f"{ledger['decision']} ({counted}: {arms})" if arms else ledger["decision"]


def _student(record: dict[str, Any]) -> str:
    reached = on_rows(record["validation_accuracy"], record["validation_rows"], "validation")
    return f"{record['parameters']:,} parameters, {reached}"


def _compress(record: dict[str, Any]) -> str:
    sparsity = record["promises"].get("sparsity")
    pruned = f", {percent(sparsity, 0)} zeros" if sparsity else ""
    return f"{record['technique']}{pruned}"


def _export(record: dict[str, Any]) -> str:
    return f"{len(record['files'])} artefacts"


def _verify(record: dict[str, Any]) -> str:
    rows = {row["name"]: row for row in record["stages"]}
    int8, plain = rows["student_int8"], rows["student_float32"]
    return (
        f"on the test split: teacher {percent(record['teacher']['accuracy'])}, student float32 "
        f"{percent(plain['accuracy'])}, int8 {percent(int8['accuracy'])} in "
        f"{kilobytes(int8['bytes'])}"
    )


def _report(record: dict[str, Any]) -> str:
    return "ledger.json, report.html, report.md"


STAGES = (
    Stage("data", learn.describe_data, _data),
    Stage("teacher", learn.train_teacher, _teacher),
    Stage("rival", rival.train_rival, rival.summary),
    Stage("headroom", choose.check_headroom, _headroom),
    Stage("gan", learn.train_generator, _gan),
    Stage("pool", learn.make_pool, _pool),
    Stage("gate", choose.weigh_arms, _gate),
    Stage("student", choose.train_student, _student),
    Stage("compress", deliver.compress_student, _compress),
    Stage("export", deliver.export_student, _export),
    Stage("verify", deliver.verify_artifacts, _verify),
    Stage("report", deliver.report, _report),
)


def stages_named(names: Sequence[str] | None) -> tuple[Stage, ...]:
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
