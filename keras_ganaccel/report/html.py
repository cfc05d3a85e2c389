"""The report of a run: one HTML file that needs nothing else, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from keras_ganaccel.files import atomic_open
from keras_ganaccel.report import plots
from keras_ganaccel.report.findings import RIVAL, named_references, rival_name, uneven
from keras_ganaccel.report.ledger import Ledger
from keras_ganaccel.report.style import data_uri
from keras_ganaccel.rundir import RunFolder, read_environment, read_metrics
from keras_ganaccel.words import gained, interval, kilobytes, more_or_less, percent

SAMPLES = "real_and_generated.png"


def write_report(folder: Path) -> list[Path]:
    """Writes `report.html` and `report.md` of a finished run from what lies in its folder.

    Args:
        folder: The run folder, with `ledger.json`.

    Returns:
        The two paths.

    Raises:
        MissingFileError: There is no ledger.
    """
    content = _content(Path(folder))
    written = []
    for template, name in (("report.html.j2", "report.html"), ("report.md.j2", "report.md")):
        path = Path(folder) / name
        with atomic_open(path, "w") as file:
            file.write(_environment().get_template(template).render(content))
        written.append(path)
    return written


def samples_html(folder: Path) -> str:
    """Returns the picture of real beside generated samples for a notebook, or nothing."""
    path = Path(folder) / "samples" / SAMPLES
    if not path.is_file():
        return ""
    return f'<img alt="Real beside generated samples" src="{data_uri(path.read_bytes())}">'


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_ganaccel.report"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        kilobytes=kilobytes,
        gained=gained,
        more_or_less=more_or_less,
        typeset=_typeset,
    )
    environment.globals.update(interval=interval)
    return environment


def _typeset(text: str) -> markupsafe.Markup:
    """Sets what stands between backticks as code."""
    pieces = map(markupsafe.escape, text.split("`"))
    return markupsafe.Markup("").join(
        markupsafe.Markup("<code>{}</code>").format(piece) if place % 2 else piece
        for place, piece in enumerate(pieces)
    )


def _content(folder: Path) -> dict[str, Any]:
    ledger = Ledger.load(folder / "ledger.json")
    values = ledger.values
    verdict, *findings = ledger.findings()
    metrics = read_metrics(folder / "metrics.jsonl") if (folder / "metrics.jsonl").is_file() else []
    run = RunFolder(folder)
    verified = (run.record("verify") or {}).get("details", {})
    samples = folder / "samples" / SAMPLES
    return {
        "ledger": values,
        "verdict": verdict,
        "findings": findings,
        "references": named_references(values),
        "comparisons": _comparisons(values),
        "uneven": uneven(values["data"]["test_per_class"]),
        "environment": read_environment(run.path),
        "config": run.config_text(),
        "notes": _notes(run),
        "samples": data_uri(samples.read_bytes()) if samples.is_file() else None,
        "pictures": _pictures(values, metrics, verified),
    }


def _comparisons(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The paired comparisons of the files, with the rival under its name."""
    rival = values["rival"]
    names = {RIVAL: rival_name(rival).removeprefix("a ")} if rival else {}
    return [
        {**row, "second": names.get(row["second"], row["second"])}
        for row in values["comparisons"]
        if row["first"] != "student_keras"
    ]


def _pictures(
    values: Mapping[str, Any], metrics: list[dict[str, Any]], verified: Mapping[str, Any]
) -> dict[str, str | None]:
    kid = [row for row in metrics if row.get("kid") is not None]
    matrix = verified.get("student_int8", {}).get("confusion_matrix")
    return {
        "journey": plots.journey(values),
        "kid": plots.kid_over_steps(kid) if kid else None,
        "arms": plots.arms(values["gate"]) if values["gate"]["arms"] else None,
        "stages": plots.stage_accuracy(values["stages"], named_references(values)),
        "size": plots.size_against_accuracy(values["stages"]),
        "latency": plots.latency(values["stages"]),
        "confusion": plots.confusion(matrix, values["data"]["classes"]) if matrix else None,
    }


def _notes(run: RunFolder) -> list[str]:
    """The remarks that the stages recorded, in the order of the journey."""
    return [
        note
        for name in ("data", "teacher", "rival", "headroom", "gan", "pool", "gate")
        for note in (run.record(name) or {}).get("notes", [])
    ]
