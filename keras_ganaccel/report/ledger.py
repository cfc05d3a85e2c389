"""The ledger: every figure of a run in one JSON file, checked when written and when read."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_ganaccel.errors import GanAccelError, InvalidInputError, MissingFileError
from keras_ganaccel.files import read_bytes
from keras_ganaccel.json_files import MOST_JSON_BYTES, read_json, write_json
from keras_ganaccel.report.findings import findings, named_references, uneven, verdict
from keras_ganaccel.report.schema import check, current
from keras_ganaccel.words import kilobytes, percent

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
_TIMES = {"seconds", "images_per_second", "latency_ms"}


@dataclass(frozen=True)
class Ledger:
    """Every figure of a run. In a notebook it shows itself as a table.

    Args:
        values: The content of `ledger.json`. Of an earlier schema, what was not measured then
            becomes null.

    Raises:
        InvalidInputError: A field is missing, or a value cannot be.

    Example:
        >>> import keras_ganaccel as ga
        >>> ledger = ga.Ledger.load("saved_models/digits/ledger.json")
        >>> ledger.stage("student_int8")["accuracy"] > 0.95
        True
    """

    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        values = current(self.values)
        check(values)
        object.__setattr__(self, "values", values)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Ledger:
        """Reads a `ledger.json`.

        Raises:
            MissingFileError: It cannot be read.
            InvalidInputError: It is no ledger of this schema.
        """
        try:
            return cls(read_json(read_bytes(path, MOST_JSON_BYTES)))
        except OSError:
            raise MissingFileError(
                f"The ledger cannot be read. Received: {str(path)!r}. "
                "Name the ledger.json of a finished run."
            ) from None
        except GanAccelError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__} "
            reason = f"{kind}{str(error)[:80]}"
            raise InvalidInputError(
                f"The file is no ledger. Received: {str(path)!r} ({reason}). "
                "Restore it, or run again."
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

    def verdict(self) -> str:
        """Says first of all how good the student is, and what to do where it is not."""
        return verdict(self.values)

    def findings(self) -> list[str]:
        """Says in plain words what was found, from the figures alone; the verdict first."""
        return findings(self.values)

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
        first, *others = map(html.escape, self.findings())
        said = "".join(f"<li>{text}</li>" for text in others)
        return (
            f"<p><b>{first}</b></p><table><thead><tr>{cells}</tr></thead>"
            f"<tbody>{lines}</tbody></table><ul>{said}</ul>"
        )


def _table(values: Mapping[str, Any]) -> list[list[str]]:
    """The rows that people see: the rival and the teacher, then what the student became."""
    balanced = ["balanced"] if uneven(values["data"]["test_per_class"]) else []
    measured = ["agreement", "size", "gzip", "zeros", "latency"]
    rows = [["on the test split", "accuracy", "95 % interval", *balanced, *measured]]

    def scores(name: str, row: Mapping[str, Any]) -> list[str]:
        low, high = row["ci95"]
        shares = [percent(row["balanced_accuracy"])] if balanced else []
        return [name, percent(row["accuracy"]), f"{100 * low:.1f} to {100 * high:.1f}", *shares]

    for name, row in named_references(values):
        rows.append([*scores(name, row), *["–"] * len(measured)])
    for row in values["stages"]:
        latency = row["latency_ms"]
        rows.append(
            [
                *scores(row["name"], row),
                percent(row["agreement"]),
                kilobytes(row["bytes"]),
                kilobytes(row["gzip_bytes"]),
                percent(row["sparsity"]),
                "–" if latency is None else f"{latency['median']:.3f} ms",
            ]
        )
    return rows
