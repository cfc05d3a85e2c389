"""The journey in one picture: what went through which stage, and each one's key figure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from keras_ganaccel.report.style import BLUE, GREY, INK, LINE, SOFT, as_svg
from keras_ganaccel.words import gained, kilobytes, percent

_WIDTH, _HEIGHT, _GAP = 1.6, 1.5, 0.28
_LINE_LENGTH = 26


class _Box(NamedTuple):
    title: str
    figure: str
    detail: str
    taken: bool = True


@as_svg
def journey(values: Mapping[str, Any]) -> Figure:
    """Draws the stages of a run from left to right, each with its key figure.

    Args:
        values: The content of a ledger.

    Returns:
        An SVG data URI. Stages that the run did without are drawn in grey.
    """
    boxes = list(_boxes(values))
    width = len(boxes) * (_WIDTH + _GAP) - _GAP
    figure = Figure(figsize=(width + 0.1, _HEIGHT + 0.1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.05, width + 0.05), ylim=(-0.05, _HEIGHT + 0.05))
    axes.axis("off")
    for place, box in enumerate(boxes):
        left = place * (_WIDTH + _GAP)
        middle = left + _WIDTH / 2
        axes.add_patch(
            FancyBboxPatch(
                (left, 0),
                _WIDTH,
                _HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.09",
                facecolor="white" if box.taken else "#f5f7fa",
                edgecolor=BLUE if box.taken else LINE,
                linewidth=1.2,
            )
        )
        colour = INK if box.taken else GREY
        axes.text(middle, 1.33, box.title, ha="center", va="center", color=SOFT, size=9)
        axes.text(
            middle, 1.0, box.figure, ha="center", va="center", weight="bold", color=colour,
            size=15 if len(box.figure) < 9 else 10.5,
        )  # fmt: skip
        lines = (textwrap.wrap(line, _LINE_LENGTH) for line in box.detail.splitlines())
        detail = "\n".join(line for wrapped in lines for line in wrapped)
        axes.text(middle, 0.42, detail, ha="center", va="center", color=colour, size=8)
        if place:
            arrow = FancyArrowPatch(
                (left - _GAP, _HEIGHT / 2), (left, _HEIGHT / 2), arrowstyle="-|>",
                mutation_scale=11, color=SOFT, shrinkA=1, shrinkB=1,
            )  # fmt: skip
            axes.add_patch(arrow)
    return figure


def _boxes(values: Mapping[str, Any]) -> Iterator[_Box]:
    data = values["data"]
    stages = {stage["name"]: stage for stage in values["stages"]}
    counts = f"validation {data['validation']:,}, test {data['test']:,}"
    yield _Box(
        "data", f"{data['train']:,}", f"training rows\n{len(data['classes'])} classes\n{counts}"
    )
    teacher = values["teacher"]
    if teacher:
        counted = f"ensemble of {len(teacher['members'])}"
        yield _Box("teacher", percent(teacher["accuracy"]), f"test accuracy\n{counted}")
    elif "teacher_float32" in stages:
        accuracy = percent(stages["teacher_float32"]["accuracy"])
        yield _Box("teacher", accuracy, "test accuracy\nof its exported file")
    yield _gan_box(values["gan"])
    yield _gate_box(values["gate"])
    if "student_keras" in stages:
        yield _student_box(stages["student_keras"])
    for title, name in (("int8", "student_int8"), ("pruned int8", "student_pruned_int8")):
        if name in stages:
            yield _file_box(title, stages[name])


def _gan_box(gan: Mapping[str, Any] | None) -> _Box:
    if gan is None:
        return _Box("GAN", "none", "no generator was trained", taken=False)
    steps = f"{gan['steps']:,} steps"
    if gan["kid"] is None:
        return _Box("GAN", steps, "KID was not measured")
    generated, real = (
        percent(gan[f"{kind}_only_accuracy"]).replace(" ", "\N{NO-BREAK SPACE}")
        for kind in ("synthetic", "real")
    )
    return _Box(
        "GAN",
        f"{gan['kid']:.4f}",
        f"KID after {steps}\ngenerated data alone\nteach {generated}, real {real}",
    )


def _gate_box(gate: Mapping[str, Any]) -> _Box:
    if not gate["arms"]:
        return _Box("gate", "real only", "no arm was compared", taken=False)
    if gate["decision"] == "real_only":
        return _Box("gate", "real only", f"of {len(gate['arms'])} arms on {gate['pairs']} pairs")
    gain = next(arm["gain"] for arm in gate["arms"] if arm["name"] == gate["decision"])
    name = gate["decision"].replace("_", " ")
    told = "" if gain is None else f"\n{gained(gain)}"
    return _Box("gate", percent(gate["generated_fraction"], 0), f"generated samples\n{name}{told}")


def _student_box(stage: Mapping[str, Any]) -> _Box:
    count = "" if stage["parameters"] is None else f"\n{stage['parameters']:,} parameters"
    return _Box("student", percent(stage["accuracy"]), f"test accuracy{count}")


def _file_box(title: str, stage: Mapping[str, Any]) -> _Box:
    size = "" if stage["bytes"] is None else f"\n{kilobytes(stage['bytes'])}"
    packed = "" if stage["gzip_bytes"] is None else f"\ncompressed {kilobytes(stage['gzip_bytes'])}"
    return _Box(title, percent(stage["accuracy"]), f"test accuracy{size}{packed}")
