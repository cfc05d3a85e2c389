"""Paired contrasts out of measured cells, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_ganaccel.files import atomic_open
from keras_ganaccel.gate.statistics import paired_test
from keras_ganaccel.report.style import BLUE, GREY, ORANGE, as_png

# Under so many seeds a difference claims nothing.
LEAST_SEEDS = 5
# Of these figures less is better.
_LESS = ("log_loss", "seconds_to_target", "steps_to_target")
_SHARES = ("accuracy", "int8_accuracy", "minority_recall", "macro_f1", "reached")
# What a pool costs once, and what it then saves with every training.
_COST, _SAVED = "pool_seconds", "seconds_to_target"

Row = Mapping[str, str]


def summarize(
    rows: Sequence[Row], arms: Sequence[str], figures: Sequence[str], baseline: str
) -> list[dict[str, Any]]:
    """Means over seeds, and paired gains over the baseline in the first figure.

    Args:
        rows: Measured cells, with ``arm`` and ``seed``.
        arms: In the order of the table; those without a cell are left out.
        figures: The first one is what the gains are of.
        baseline: The arm that the others are paired with.

    Returns:
        JSON values, per arm: ``arm``, ``seeds``, each figure's mean, ``gains`` by seed (positive
        is better), and ``gain``, ``low``, ``high`` (the 95 % t-interval), None for fewer than two
        pairs. ``recovered`` is the gain as a share of the oracle's, None unless that is beyond
        doubt. ``break_even`` is after how many trainings the seconds saved make up for the pool's,
        None if none are saved or nothing of the kind was measured.
    """
    values = {arm: _by_seed(rows, arm, figures[0]) for arm in arms}
    sign = -1.0 if figures[0] in _LESS else 1.0
    found = []
    for arm in arms:
        if not values[arm]:
            continue
        entry: dict[str, Any] = {"arm": arm, "seeds": sorted(values[arm])}
        for figure in figures:
            measured = list(_by_seed(rows, arm, figure).values())
            entry[figure] = float(np.mean(measured)) if measured else None
        shared = [] if arm == baseline else sorted(values[arm].keys() & values[baseline].keys())
        gains = [sign * (values[arm][seed] - values[baseline][seed]) for seed in shared]
        entry["gains"] = dict(zip(shared, gains, strict=True))
        entry["gain"] = float(np.mean(gains)) if gains else None
        test = paired_test(gains) if len(gains) > 1 else None
        entry |= {
            "low": None if test is None else test.low,
            "high": None if test is None else test.high,
            "break_even": _break_even(entry) if figures[0] == _SAVED else None,
        }
        found.append(entry)
    oracle = next((entry for entry in found if entry["arm"] == "oracle"), None)
    # A share of a distance that may be none would say anything.
    certain = oracle is not None and len(oracle["gains"]) >= LEAST_SEEDS and oracle["low"] > 0
    for entry in found:
        known = oracle is not None and certain and entry["gain"] is not None
        entry["recovered"] = entry["gain"] / oracle["gain"] if oracle and known else None
    return found


def markdown(summary: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> str:
    """The summary as a table: shares in percent, gains in points, with their intervals.

    Fewer than five pairs get no interval: nothing is claimed from them. Means of arms that were
    measured on other seeds cannot be compared; their paired gains can.
    """
    share, timed = figures[0] in _SHARES, figures[0] == _SAVED
    names = [each.replace("_", " ") for each in figures]
    last = "trainings to break even" if timed else "of the oracle's"
    header = ["arm", "seeds", *names, f"paired gain in {names[0]}", "95 % interval", last]
    lines = [f"| {' | '.join(header)} |", "| --- " + "| ---: " * (len(header) - 1) + "|"]
    for entry in summary:
        cells = [str(len(entry["seeds"])), *(_figure(name, entry[name]) for name in figures)]
        claimed = entry["low"] is not None and len(entry["gains"]) >= LEAST_SEEDS
        cells.append("" if entry["gain"] is None else _gain(entry["gain"], share))
        cells.append(
            f"{_gain(entry['low'], share)} to {_gain(entry['high'], share)}" if claimed else ""
        )
        cells.append(_trainings(entry) if timed else _percent(entry["recovered"]))
        lines.append(f"| {entry['arm']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(path: Path, summary: Sequence[Mapping[str, Any]], figure: str, title: str) -> None:
    """Draws every seed's paired gain, and its mean and interval, per arm, as a PNG file."""
    with atomic_open(path) as file:
        file.write(_drawn(summary, figure, title))


@as_png
def _drawn(summary: Sequence[Mapping[str, Any]], figure: str, title: str) -> Figure:
    scale, unit = (100.0, "points") if figure in _SHARES else (1.0, "")
    compared = [entry for entry in summary if entry["gains"]][::-1]
    drawing = Figure(figsize=(7.0, 1.2 + 0.34 * len(compared)), layout="constrained")
    axes = drawing.subplots()
    axes.axvline(0.0, color=GREY, linewidth=1)
    for place, entry in enumerate(compared):
        gains = scale * np.array(list(entry["gains"].values()))
        axes.plot(gains, np.full(len(gains), place), "o", color=GREY, alpha=0.5, markersize=4)
        colour = ORANGE if entry["arm"].startswith("gan") else BLUE
        if entry["low"] is not None:
            axes.plot([scale * entry["low"], scale * entry["high"]], [place] * 2, color=colour)
        axes.plot(scale * entry["gain"], place, "D", color=colour, markersize=6)
    axes.set_yticks(range(len(compared)), [entry["arm"] for entry in compared])
    axes.set_xlabel(f"paired gain in {figure.replace('_', ' ')} {unit}".strip())
    axes.set_title(title, loc="left")
    return drawing


def _by_seed(rows: Sequence[Row], arm: str, figure: str) -> dict[int, float]:
    return {
        int(row["seed"]): float(row[figure])
        for row in rows
        if row["arm"] == arm and row.get(figure)
    }


def _break_even(entry: Mapping[str, Any]) -> float | None:
    cost, saved = entry.get(_COST), entry["gain"]
    if cost is None or saved is None:
        return None
    return cost / saved if saved > 0 else None


def _trainings(entry: Mapping[str, Any]) -> str:
    if entry["break_even"] is not None:
        return f"{entry['break_even']:,.0f}"
    return "" if entry[_COST] is None or entry["gain"] is None else "never"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "" if name == _COST else "never"
    return f"{100 * value:.2f} %" if name in _SHARES else f"{value:,.3g}"


def _gain(value: float, share: bool) -> str:
    return f"{100 * value:+.2f}" if share else f"{value:+.3g}"
