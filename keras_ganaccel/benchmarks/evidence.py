"""Do generated data help? Four protocols, measured cell by cell, with every seed on record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_ganaccel.benchmarks.cells import CellFile
from keras_ganaccel.benchmarks.contrasts import markdown, plot, summarize
from keras_ganaccel.benchmarks.protocols import PROTOCOLS
from keras_ganaccel.benchmarks.subject import Settings, Subject
from keras_ganaccel.files import atomic_open
from keras_ganaccel.json_files import write_json

_WHERE = ("protocol", "data", "labels_per_class", "student", "reported_on", "settings")
_REPORTED_ON = {"P3": "validation"}


def run_evidence(
    protocol: str,
    settings: Settings,
    out: Path,
    *,
    seeds: Iterable[int],
    arms: Iterable[str] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Measures the arms of a protocol, and writes its table and its picture.

    Args:
        protocol: ``"P1"`` augmentation, ``"P2"`` distillation, ``"P3"`` time to accuracy or
            ``"P4"`` imbalance.
        settings: What all seeds share.
        out: Folder of ``cells.csv``, ``seeds.csv``, a table and a picture. What was measured with
            the same settings is not measured again.
        seeds: Seeds of the labelled subsets and of everything that is trained on them.
        arms: Out of the protocol's; all by default.
        progress: Called with a line per measured cell.

    Returns:
        The summary; see `summarize`.
    """
    kind = PROTOCOLS[protocol]
    settings = replace(
        settings,
        report_on=_REPORTED_ON.get(protocol, settings.report_on),
        rare=protocol == "P4",
    )
    cells = CellFile(out / "cells.csv", (*_WHERE, "arm", "seed"))
    subjects = CellFile(out / "seeds.csv", (*_WHERE, "seed"))
    where = {
        "protocol": protocol,
        "data": Path(settings.data.source).stem,
        "labels_per_class": settings.data.labels_per_class or "all",
        "student": "-".join(settings.student),
        "reported_on": settings.report_on,
        "settings": _digest(settings),
    }
    chosen = tuple(arms or kind.arms)
    name = f"{protocol}-{where['data']}-{where['labels_per_class']}-{where['student']}"
    if settings.report_on == "withheld":
        name += "-withheld"
    for seed in seeds:
        missing = [arm for arm in chosen if cells.find(**where, arm=arm, seed=seed) is None]
        if not missing and subjects.find(**where, seed=seed) is not None:
            continue
        subject = Subject(settings, seed, out / "work" / _digest(settings.shared()) / str(seed))
        write_json(subject.folder.parent / "settings.json", settings.shared())
        trained = kind(subject)
        for arm in missing:
            figures = trained.measure(arm)
            cells.add({**where, "arm": arm, "seed": seed, **figures})
            progress(f"{name}, seed {seed}: {arm} {figures[kind.figures[0]]}")
        if subjects.find(**where, seed=seed) is None:
            subjects.add({**where, "seed": seed, **subject.facts()})
    rows = [row for row in cells.rows if all(row[key] == str(where[key]) for key in where)]
    summary = summarize(rows, chosen, kind.figures, kind.baseline)
    with atomic_open(out / f"{name}.md", "w") as file:
        file.write(markdown(summary, kind.figures))
    plot(out / f"{name}.png", summary, kind.figures[0], f"{name}: over {kind.baseline}")
    return summary


def _digest(settings: Any) -> str:
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
