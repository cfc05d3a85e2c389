"""The report's figures, each from plain arrays or rows of the ledger, as data URIs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_ganaccel.files import atomic_open
from keras_ganaccel.report.diagram import journey
from keras_ganaccel.report.style import BLUE, GREY, INK, ORANGE, SOFT, as_svg, render

__all__ = [
    "arms",
    "confusion",
    "journey",
    "kid_over_steps",
    "latency",
    "save_real_and_generated",
    "size_against_accuracy",
    "stage_accuracy",
]

Row = Mapping[str, Any]
Labelled = tuple[np.ndarray, np.ndarray]

_MOST_CLASSES_WITH_COUNTS = 20
_STAGE_COLOURS = {
    "teacher_float32": GREY,
    "student_keras": "#0f7a5f",
    "student_saved_model": "#57b894",
    "student_float32": BLUE,
    "student_float16": "#5b9bd8",
    "student_dynamic_range": "#8d6cc4",
    "student_int8": ORANGE,
    "student_pruned_int8": "#a3203c",
}


def save_real_and_generated(
    path: str | os.PathLike[str],
    real: Labelled,
    generated: Labelled,
    class_names: Sequence[str],
    *,
    columns: int = 8,
) -> None:
    """Writes a picture of real samples beside generated ones, a row per class, atomically.

    Args:
        path: The PNG file.
        real: ``(x, y)``: images in [0, 1], shape ``(n, height, width, channels)``, and classes.
        generated: The same of generated samples.
        class_names: One name per class.
        columns: The most samples of a class to show on each side.
    """
    content = _samples_png(real, generated, class_names, columns)
    with atomic_open(path) as file:
        file.write(content)


@as_svg
def kid_over_steps(rows: Sequence[Row]) -> Figure:
    """Draws KID over the GAN's steps, with a band of one standard error and the best marked.

    Args:
        rows: Rows with ``step``, ``kid`` and ``kid_stderr``, in ascending order of the steps.

    Returns:
        An SVG data URI.
    """
    steps, kid, error = (
        np.array([row[key] for row in rows], float) for key in ("step", "kid", "kid_stderr")
    )
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    if kid.min() > 0 and kid.max() > 20 * kid.min():
        axes.set_yscale("log")
        axes.set_ylim(kid.min() / 2, kid.max() * 2)
    axes.fill_between(
        steps, kid - error, kid + error, color=BLUE, alpha=0.2, lw=0, label="± 1 standard error"
    )
    axes.plot(steps, kid, color=BLUE, marker="o", ms=3.5, lw=1.6, label="KID")
    axes.vlines(steps, kid - error, kid + error, color=BLUE, alpha=0.4, lw=1)
    best = int(kid.argmin())
    axes.plot(
        steps[best],
        kid[best],
        "o",
        ms=11,
        mfc="none",
        mec=ORANGE,
        mew=2,
        label=f"best: {kid[best]:.4f} at step {steps[best]:,.0f}",
    )
    axes.set(xlabel="optimiser steps", ylabel="KID (lower is better)")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")
    axes.legend()
    return figure


@as_svg
def arms(gate: Row) -> Figure:
    """Draws the gate's arms: accuracy on each validation pair, and the gain over real data.

    Args:
        gate: The ledger's ``gate``, with at least one arm.

    Returns:
        An SVG data URI.
    """
    rows = gate["arms"]
    figure = Figure(figsize=(9.0, 1.4 + 0.36 * len(rows)), layout="constrained")
    accuracy, gain = figure.subplots(1, 2, sharey=True, width_ratios=(1.1, 1.0))
    for place, arm in enumerate(rows):
        colour = ORANGE if arm["name"] == gate["decision"] else BLUE
        pairs = 100 * np.array(arm["validation_accuracy"], float)
        accuracy.plot(pairs, [place] * len(pairs), "o", ms=5, color=colour, alpha=0.3, mew=0)
        accuracy.plot(100 * arm["mean"], place, "|", ms=16, mew=2.5, color=colour)
        if arm["gain_ci95"] is not None:
            low, high = (100 * bound for bound in arm["gain_ci95"])
            gain.plot([low, high], [place, place], color=colour, lw=2)
        if arm["gain"] is not None:
            gain.plot(100 * arm["gain"], place, "o", ms=6, color=colour)
    _name_rows(accuracy, [arm["name"].replace("_", " ") for arm in rows])
    for label, arm in zip(accuracy.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if arm["name"] == gate["decision"] else "normal")
    accuracy.set(xlabel="validation accuracy (%)", title="each pair, and the mean")
    gain.axvline(0, color=SOFT, lw=1)
    gain.set(xlabel="gain over real data alone (points)", title="with its 95 % interval")
    for axes in (accuracy, gain):
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


@as_svg
def stage_accuracy(stages: Sequence[Row], references: Sequence[tuple[str, Row]] = ()) -> Figure:
    """Draws the test accuracy of every stage with its 95 % interval.

    Args:
        stages: The ledger's ``stages``.
        references: Names and scores of what the student is held against, drawn above them.

    Returns:
        An SVG data URI.
    """
    rows = [*references, *((_title(stage), stage) for stage in stages)]
    figure = Figure(figsize=(6.4, 1.0 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (_, stage) in enumerate(rows):
        low, high = stage["ci95"]
        colour = INK if place < len(references) else _colour(stage)
        axes.plot([100 * low, 100 * high], [place, place], color=colour, lw=2)
        axes.plot(100 * stage["accuracy"], place, "o", ms=7, color=colour)
        axes.annotate(
            f"{100 * stage['accuracy']:.1f} %",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    _name_rows(axes, [name for name, _ in rows])
    axes.set_xlabel("test accuracy (%), 95 % interval")
    axes.grid(axis="x")
    return figure


@as_svg
def size_against_accuracy(stages: Sequence[Row]) -> Figure:
    """Draws every file's accuracy over its size, as it is and compressed.

    Args:
        stages: The ledger's ``stages``; those without a size are left out.

    Returns:
        An SVG data URI.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    for stage in stages:
        if stage["bytes"] is None:
            continue
        size, accuracy, colour = stage["bytes"] / 1000, 100 * stage["accuracy"], _colour(stage)
        axes.plot(size, accuracy, "o", ms=8, color=colour, label=_title(stage), ls="none")
        if stage["gzip_bytes"] is not None:
            packed = stage["gzip_bytes"] / 1000
            axes.plot([packed, size], [accuracy, accuracy], color=colour, lw=1)
            axes.plot(packed, accuracy, "o", ms=7, mfc="white", mec=colour, mew=1.6)
    axes.plot([], [], "o", ms=7, mfc="white", mec=SOFT, mew=1.6, label="compressed (gzip)")
    axes.set(xlabel="size (kB, logarithmic)", ylabel="test accuracy (%)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid()
    figure.legend(loc="outside right upper", fontsize=9)
    return figure


@as_svg
def latency(stages: Sequence[Row]) -> Figure:
    """Draws the median latency of every file, with its 10th and 90th percentile.

    Args:
        stages: The ledger's ``stages``; those that were not timed are left out.

    Returns:
        An SVG data URI.
    """
    timed = [stage for stage in stages if stage["latency_ms"] is not None]
    figure = Figure(figsize=(6.4, 1.0 + 0.36 * max(len(timed), 1)), layout="constrained")
    axes = figure.subplots()
    for place, stage in enumerate(timed):
        time = stage["latency_ms"]
        axes.plot([time["p10"], time["p90"]], [place, place], color=INK, lw=1.4, marker="|", ms=8)
        axes.plot(time["median"], place, marker="o", ms=8, color=_colour(stage))
        axes.annotate(
            f"{time['median']:.3f} ms",
            (max(time["median"], time["p90"]), place),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
        )
    _name_rows(axes, [_title(stage) for stage in timed])
    axes.margins(x=0.2)
    if timed:
        # Keras takes a hundred times as long as the files: only ratios can be seen.
        axes.set_xscale("log")
    threads = sorted({stage["latency_ms"]["threads"] for stage in timed} - {None})
    counted = f"; threads: {', '.join(map(str, threads))}" if threads else ""
    label = f"ms per sample, logarithmic (median, p10 to p90{counted})"
    axes.set_xlabel(label if timed else "nothing was timed")
    axes.grid(axis="x")
    return figure


@as_svg
def confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> Figure:
    """Draws a confusion matrix, each cell with its count and shaded by its share of the class.

    Args:
        matrix: Counts, rows the true and columns the predicted classes.
        class_names: One name per class.

    Returns:
        An SVG data URI; counts are left out above 20 classes.
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(2.2 + 0.42 * len(counts), 8.5)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    # The root lets rare confusions be seen beside the diagonal.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1.15)
    ticks = range(len(counts))
    axes.set_xticks(ticks, class_names, rotation=0 if _short(class_names) else 90)
    axes.set_yticks(ticks, class_names)
    if len(counts) <= _MOST_CLASSES_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.4 else INK
                axes.text(column, row, f"{count}", ha="center", va="center", color=colour, size=9)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _samples_png(
    real: Labelled, generated: Labelled, class_names: Sequence[str], columns: int
) -> bytes:
    classes = len(class_names)
    height, width = real[0].shape[1:3]
    cell = min(0.5, 9.0 / (2 * columns), 12.0 / classes)
    size = (2 * columns * cell * width / height + 1.6, classes * cell + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    sides = figure.subplots(1, 2, sharey=True)
    titles = ("real", "generated")
    for axes, title, (x, y) in zip(sides, titles, (real, generated), strict=True):
        body = _mosaic(np.asarray(x), np.asarray(y), classes, columns)
        axes.imshow(body, interpolation="nearest", extent=(0, columns, classes, 0), aspect="auto")
        axes.set(title=title, xticks=[])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    sides[0].set_yticks(np.arange(classes) + 0.5, class_names)
    return render(figure, "png")


def _mosaic(x: np.ndarray, y: np.ndarray, classes: int, columns: int) -> np.ndarray:
    """Lays the first samples of every class in rows, with white lines in between."""
    height, width = x.shape[1:3]
    gap = max(1, height // 16)
    body = np.ones((classes * (height + gap), columns * (width + gap), 3), np.float32)
    for label in range(classes):
        for column, image in enumerate(x[y == label][:columns]):
            top, left = label * (height + gap), column * (width + gap)
            body[top : top + height, left : left + width] = np.clip(image, 0.0, 1.0)
    return body


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _short(names: Sequence[str]) -> bool:
    return max(map(len, names)) <= 3


def _title(stage: Row) -> str:
    return str(stage["name"]).replace("_", " ")


def _colour(stage: Row) -> str:
    return _STAGE_COLOURS.get(stage["name"], GREY)
