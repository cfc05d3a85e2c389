"""The ledger: every figure of a run in one JSON file, checked when written and when read."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.files import write_json

SCHEMA = 1
STAGES = (
    "teacher_float32",
    "student_keras",
    "student_saved_model",
    "student_float32",
    "student_float16",
    "student_dynamic_range",
    "student_int8",
    "student_pruned_int8",
)
# The interval of fewer says nothing.
_TELLING_PAIRS = 5
_TOP = {"schema", "data", "seed", "gan", "gate", "stages"}
_DATA = {"name", "modality", "classes", "train", "validation", "test", "duplicates_removed"}
_GAN = {
    "steps", "seconds", "images_per_second", "kid", "kid_stderr", "feature_space",
    "synthetic_only_accuracy", "real_only_accuracy",
}  # fmt: skip
_GATE = {"decision", "generated_fraction", "pairs", "arms"}
_ARM = {"name", "validation_accuracy", "mean", "gain", "gain_ci95", "seconds"}
_STAGE = {
    "name", "file", "format", "accuracy", "ci95", "balanced_accuracy", "macro_f1", "agreement",
    "bytes", "gzip_bytes", "parameters", "sparsity", "latency_ms", "dtype_in", "dtype_out",
    "input",
}  # fmt: skip
_SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "agreement", "sparsity")
_TIMES = {"seconds", "images_per_second", "latency_ms"}


@dataclass(frozen=True)
class Ledger:
    """Every figure of a run. In a notebook it shows itself as a table.

    Args:
        values: The content of `ledger.json`.

    Raises:
        InvalidInputError: A field is missing, or a value cannot be.
    """

    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        _check(self.values)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Ledger:
        """Reads a `ledger.json`.

        Raises:
            MissingFileError: It cannot be read.
            InvalidInputError: It is no ledger of this schema.
        """
        try:
            return cls(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError):
            raise MissingFileError(
                f"The ledger cannot be read. Received: {str(path)!r}. "
                "Name the ledger.json of a finished run."
            ) from None
        except json.JSONDecodeError:
            raise InvalidInputError(
                f"The ledger is not valid JSON. Received: {str(path)!r}. Restore it, or run again."
            ) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the ledger as JSON, atomically."""
        write_json(path, self.values)

    def stage(self, name: str) -> Mapping[str, Any]:
        """Returns the row of one stage, such as ``"student_int8"``.

        Raises:
            InvalidInputError: The run has no such stage.
        """
        for row in self.values["stages"]:
            if row["name"] == name:
                return row
        names = ", ".join(row["name"] for row in self.values["stages"])
        raise InvalidInputError(f"No such stage. Received: {name!r}. Choose one of {names}.")

    def without_times(self) -> dict[str, Any]:
        """Returns the values without seconds, rates and latencies, to compare two runs."""

        def strip(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: strip(item) for key, item in value.items() if key not in _TIMES}
            return [strip(item) for item in value] if isinstance(value, list) else value

        return strip(self.values)

    def findings(self) -> list[str]:
        """Says in plain words what helped and what did not, from the figures alone."""
        return list(_findings(self.values))

    def __repr__(self) -> str:
        rows = _table(self.values)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def _repr_html_(self) -> str:
        head, *body = _table(self.values)
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        lines = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in body
        )
        said = "".join(f"<li>{html.escape(text)}</li>" for text in self.findings())
        return (
            f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table><ul>{said}</ul>"
        )


def percent(share: float | None, digits: int = 1) -> str:
    """Writes a share as a percentage; unknown is a dash.

    Example:
        >>> percent(0.98123), percent(None)
        ('98.1 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def kilobytes(count: int | None) -> str:
    """Writes a number of bytes in kB (1,000 bytes); unknown is a dash."""
    return "–" if count is None else f"{count / 1000:.1f} kB"


def _table(values: Mapping[str, Any]) -> list[list[str]]:
    rows = [["stage", "accuracy", "95 % interval", "agreement", "size", "gzip", "zeros", "latency"]]
    for row in values["stages"]:
        low, high = row["ci95"]
        latency = row["latency_ms"]
        rows.append(
            [
                row["name"],
                percent(row["accuracy"]),
                f"{100 * low:.1f} to {100 * high:.1f}",
                percent(row["agreement"]),
                kilobytes(row["bytes"]),
                kilobytes(row["gzip_bytes"]),
                percent(row["sparsity"]),
                "–" if latency is None else f"{latency['median']:.3f} ms",
            ]
        )
    return rows


def _findings(values: Mapping[str, Any]) -> Iterator[str]:
    yield from _gate_findings(values["gate"], values["gan"])
    rows = {row["name"]: row for row in values["stages"]}
    student, teacher = rows.get("student_keras"), rows.get("teacher_float32")
    if student and teacher:
        yield (
            f"The student ({student['parameters']:,} parameters) reaches "
            f"{percent(student['accuracy'])} on the test split, the teacher's file "
            f"{percent(teacher['accuracy'])}."
        )
    plain = rows.get("student_float32")
    for name in ("student_int8", "student_pruned_int8"):
        row = rows.get(name)
        if row and plain:
            yield _compression_finding(row, plain)


def _compression_finding(row: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    points = 100 * (row["accuracy"] - plain["accuracy"])
    low, high = row["ci95"]
    inside = low <= plain["accuracy"] <= high
    change = "costs no accuracy" if points >= 0 else f"costs {-points:.1f} points of accuracy"
    weight = " (within its 95 % interval)" if inside and points < 0 else ""
    return (
        f"{row['name']} {change}{weight}: {percent(row['accuracy'])} instead of "
        f"{percent(plain['accuracy'])}, {kilobytes(row['bytes'])} instead of "
        f"{kilobytes(plain['bytes'])} ({kilobytes(row['gzip_bytes'])} compressed)."
    )


def _gate_findings(gate: Mapping[str, Any], gan: Mapping[str, Any] | None) -> Iterator[str]:
    rivals = [arm for arm in gate["arms"] if arm["name"] != "real_only" and arm["gain"] is not None]
    if gate["decision"] != "real_only":
        arm = next(arm for arm in rivals if arm["name"] == gate["decision"])
        yield (
            f"Generated data helped: the arm {arm['name']} gained {100 * arm['gain']:+.2f} points "
            f"on {gate['pairs']} validation pairs (95 % interval {_interval(arm)}), so the student "
            f"was trained with {percent(gate['generated_fraction'], 0)} generated samples."
        )
    elif rivals:
        best = max(rivals, key=lambda arm: arm["gain"])
        pairs = len(best["validation_accuracy"])
        found = f"{100 * best['gain']:+.2f} points on {pairs} validation pairs"
        told = (
            f"stood at {found} and was given up"
            if pairs < _TELLING_PAIRS
            else f"gained {found} (95 % interval {_interval(best)})"
        )
        yield (
            f"Generated data did not help for certain: the best arm with it, {best['name']}, "
            f"{told}, so the student was trained on real data only."
        )
    else:
        yield "No generated data were compared; the student was trained on real data only."
    if gan and gan["synthetic_only_accuracy"] is not None and gan["real_only_accuracy"]:
        yield (
            "A classifier trained on generated samples alone reaches "
            f"{percent(gan['synthetic_only_accuracy'])} on real ones of the validation split, "
            f"one trained on the real training split {percent(gan['real_only_accuracy'])}."
        )


def _interval(arm: Mapping[str, Any]) -> str:
    low, high = arm["gain_ci95"]
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def _check(values: Mapping[str, Any]) -> None:
    if not isinstance(values, Mapping) or values.get("schema") != SCHEMA:
        found = values.get("schema") if isinstance(values, Mapping) else type(values).__name__
        raise InvalidInputError(
            f"The ledger must have schema {SCHEMA}. Received: {found!r}. "
            "Read it with the version that wrote it."
        )
    _require("ledger", values, _TOP)
    _require("data", values["data"], _DATA)
    if values["gan"] is not None:
        _require("gan", values["gan"], _GAN)
    _require("gate", values["gate"], _GATE)
    names = ["real_only", *(arm["name"] for arm in values["gate"]["arms"])]
    for arm in values["gate"]["arms"]:
        _require(f"arm {arm.get('name')}", arm, _ARM)
    if values["gate"]["decision"] not in names:
        raise _wrong("gate.decision", values["gate"]["decision"])
    for row in values["stages"]:
        _require(f"stage {row.get('name')}", row, _STAGE)
        for key in _SHARES:
            if row[key] is not None and not 0 <= row[key] <= 1:
                raise _wrong(f"{row['name']}.{key}", row[key])
    _require_finite("ledger", values)


def _require(where: str, values: Mapping[str, Any], keys: set[str]) -> None:
    missing = sorted(keys - set(values))
    if missing:
        raise InvalidInputError(
            f"The ledger lacks fields. Received: {where} without {', '.join(missing)}. "
            "Write what is unknown as null."
        )


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
