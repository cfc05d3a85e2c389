"""The ledger's form: which fields it has, and which values cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keras_ganaccel.errors import InvalidInputError

SCHEMA = 2
_OLDER = (1,)
_TOP = {"schema", "data", "seed", "teacher", "rival", "gan", "gate", "stages", "comparisons"}
_DATA = {
    "name", "modality", "classes", "train", "validation", "test", "test_per_class",
    "duplicates_removed",
}  # fmt: skip
_GAN = {
    "steps", "seconds", "images_per_second", "kid", "kid_stderr", "feature_space",
    "synthetic_only_accuracy", "real_only_accuracy",
}  # fmt: skip
_GATE = {"decision", "generated_fraction", "pairs", "arms", "headroom"}
_ARM = {"name", "source", "validation_accuracy", "mean", "gain", "gain_ci95", "seconds"}
_SCORES = {"accuracy", "ci95", "balanced_accuracy", "macro_f1"}
_TEACHER = {"members", "log_loss", "calibration_error", "auc", *_SCORES}
_RIVAL = {"name", "recipe", "training_rows", "validation_accuracy", *_SCORES}
_STAGE = {
    "name", "file", "format", "agreement", "bytes", "gzip_bytes", "parameters", "sparsity",
    "latency_ms", "dtype_in", "dtype_out", "input", "log_loss", "calibration_error", "auc",
    "robust", *_SCORES,
}  # fmt: skip
_COMPARISON = {
    "first", "second", "rows", "only_first", "only_second", "difference", "ci95", "p_value",
}  # fmt: skip
_SHARES = (
    "accuracy", "balanced_accuracy", "macro_f1", "agreement", "sparsity", "calibration_error",
    "auc", "validation_accuracy", "p_value",
)  # fmt: skip


def current(values: Mapping[str, Any]) -> dict[str, Any]:
    """Brings an earlier ledger into today's form: what it did not measure is null.

    Args:
        values: The content of a `ledger.json`, of this or an earlier schema.

    Returns:
        A copy with all of today's fields; `schema` stays that of the file.

    Raises:
        InvalidInputError: It is no ledger, or one of a later schema.
    """
    if not isinstance(values, Mapping) or values.get("schema") not in (SCHEMA, *_OLDER):
        found = values.get("schema") if isinstance(values, Mapping) else type(values).__name__
        raise InvalidInputError(
            f"The ledger must have schema {SCHEMA} or earlier. Received: {found!r}. "
            "Read it with the version that wrote it."
        )
    values = _with_parts(values, _ADDED_TO_PARTS, _ADDED_TO_STAGES)
    if values["schema"] == SCHEMA:
        return values
    values = _with_parts(values, _ADDED_TO_PARTS_IN_2, _ADDED_TO_STAGES_IN_2)
    return {"teacher": None, "rival": None, "comparisons": [], **values}


_ADDED_TO_PARTS_IN_2: Mapping[str, Mapping[str, Any]] = {
    "data": {"test_per_class": None},
    "gate": {"headroom": None},
}
_ADDED_TO_STAGES_IN_2 = {"log_loss": None, "calibration_error": None, "robust": None}
# What later versions measured besides, which changes nothing for who reads the rest.
_ADDED_TO_PARTS: Mapping[str, Mapping[str, Any]] = {"teacher": {"auc": None}}
_ADDED_TO_STAGES = {"auc": None}


def _with_parts(
    values: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], stages: Mapping[str, Any]
) -> dict[str, Any]:
    added = {name: _with(values[name], empty) for name, empty in parts.items() if name in values}
    return {**values, **added, "stages": [_with(row, stages) for row in values.get("stages", [])]}


def _with(part: Any, empty: Mapping[str, Any]) -> Any:
    if not isinstance(part, Mapping):
        return part
    arms = {"arms": [{"source": None, **arm} for arm in part["arms"]]} if "arms" in part else {}
    return {**empty, **part, **arms}


def check(values: Mapping[str, Any]) -> None:
    """Refuses a ledger that lacks a field or holds a value that cannot be.

    Raises:
        InvalidInputError: The first such fault.
    """
    _require("ledger", values, _TOP)
    _require("data", values["data"], _DATA)
    if values["gan"] is not None:
        _require("gan", values["gan"], _GAN)
    _require("gate", values["gate"], _GATE)
    names = ["real_only", *(arm.get("name") for arm in values["gate"]["arms"])]
    for arm in values["gate"]["arms"]:
        _require(f"arm {arm.get('name')}", arm, _ARM)
    if values["gate"]["decision"] not in names:
        raise _wrong("gate.decision", values["gate"]["decision"])
    for name, fields in (("teacher", _TEACHER), ("rival", _RIVAL)):
        if values[name] is not None:
            _require(name, values[name], fields)
            _require_shares(name, values[name])
    for row in values["stages"]:
        _require(f"stage {row.get('name')}", row, _STAGE)
        _require_shares(str(row["name"]), row)
    for row in values["comparisons"]:
        _require(f"comparison {row.get('first')}", row, _COMPARISON)
        _require_shares(f"comparison {row['first']}", row)
    _require_finite("ledger", values)


def _require(where: str, values: Any, keys: set[str]) -> None:
    missing = sorted(keys - set(values if isinstance(values, Mapping) else ()))
    if missing:
        raise InvalidInputError(
            f"The ledger lacks fields. Received: {where} without {', '.join(missing)}. "
            "Write what is unknown as null."
        )


def _require_shares(where: str, row: Mapping[str, Any]) -> None:
    for key in _SHARES:
        share = row.get(key)
        if share is not None and not 0 <= share <= 1:
            raise _wrong(f"{where}.{key}", share)


def _require_finite(where: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_finite(f"{where}.{key}", item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _require_finite(where, item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _wrong(where, value)


def _wrong(where: str, value: Any) -> InvalidInputError:
    return InvalidInputError(
        f"The ledger holds a value that cannot be. Received: {where} = {value!r}. "
        "Write what is unknown as null."
    )
