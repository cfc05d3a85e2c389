"""`ganaccel bench`: the benchmarks, paired, with hardware and versions in their JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.config import RunConfig, with_values
from keras_ganaccel.config_file import parse_settings
from keras_ganaccel.environment import environment
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.json_files import write_json

Out = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Also write the result here.")]
app = typer.Typer(
    help="Measure speed in pairs of runs.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("mixing", epilog="Example: ganaccel bench mixing --out mixing.json")
def mixing(
    out: Out = None,
    json_output: options.Json = False,
) -> None:
    """Fitting on a pool against fitting on real data in memory; memory by size of the pool."""
    if out is not None:
        options.check_new_file(out, ".json")
    from keras_ganaccel.benchmarks.mixing import benchmark_memory, benchmark_mixing

    found = {"fit": benchmark_mixing(), "memory": benchmark_memory()}
    _show({"environment": environment(), **found}, out, json_output)


@app.command(
    "compression",
    epilog="Example: ganaccel bench compression --data digits --seeds 3 --out compression.json",
)
@options.takes_data("digits")
def compression(
    data: options.DataOptions,
    model: Annotated[str, typer.Option(help="small or resnet8 (of MLPerf Tiny).")] = "small",
    pad: Annotated[
        str | None, typer.Option(metavar="HxWxC", help="Pad the images with black.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Classifiers to train.")] = 3,
    train_steps: Annotated[int, typer.Option(min=1, help="Steps of each classifier.")] = 1500,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each fine-tuning.")] = 400,
    rows: Annotated[
        list[str] | None, typer.Option("--row", help="Only this row; may be repeated.")
    ] = None,
    out: Out = None,
    json_output: options.Json = False,
) -> None:
    """Every technique on the same trained classifiers, measured on the exported files."""
    if out is not None:
        options.check_new_file(out, ".json")
    sizes = pad.split("x") if pad else []
    if pad and not (len(sizes) == 3 and all(size.isdigit() for size in sizes)):
        raise InvalidInputError(f"`--pad` takes HxWxC. Received: {pad!r}. Write 32x32x3.")
    from keras_ganaccel.benchmarks.compression import FIGURES, MODELS, NAMES, benchmark_compression

    for given in rows or ():
        _check_known("--row", given, NAMES)
    _check_known("--model", model, MODELS)
    data.load()
    found = benchmark_compression(
        data.config(),
        model=model,
        pad_to=(int(sizes[0]), int(sizes[1]), int(sizes[2])) if pad else None,
        seeds=seeds,
        train_steps=train_steps,
        steps=steps,
        rows=tuple(rows) if rows else NAMES,
        progress=_progress(json_output),
    )
    if out is not None:
        write_json(out, {"environment": environment(), **found})
    if json_output:
        show_json(found)
        return
    print(f"| technique | {' | '.join(FIGURES)} |")
    print("| --- " + "| ---: " * len(FIGURES) + "|")
    for row in found["rows"]:
        cells = (_cell(key, row["mean"][key]) for key in FIGURES)
        print(f"| {row['name']} | {' | '.join(cells)} |")


@app.command("zoo", epilog="Example: ganaccel bench zoo --model text_cnn --out zoo")
def zoo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the cells; continued.")],
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Only this model; may be repeated.")
    ] = None,
    rows: Annotated[
        list[str] | None, typer.Option("--row", help="Only this technique; may be repeated.")
    ] = None,
    fit_steps: Annotated[int, typer.Option(min=1, help="Steps that a model is fitted for.")] = 40,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each fine-tuning.")] = 3,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Also write the table of all cells.")
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Published models in every technique: works, or is refused, and why."""
    from keras_ganaccel.benchmarks.zoo import ROWS, run_zoo, write_page
    from keras_ganaccel.benchmarks.zoo_models import MODELS

    for given in models or ():
        _check_known("--model", given, MODELS)
    for given in rows or ():
        _check_known("--row", given, ROWS)
    found = run_zoo(
        out,
        models=models or tuple(MODELS),
        rows=rows or tuple(ROWS),
        fit_steps=fit_steps,
        steps=steps,
        progress=_progress(json_output),
    )
    if page is not None:
        write_page(page, found)
    if json_output:
        show_json({"environment": environment(), "cells": found})


@app.command(
    "gan",
    epilog="Example: ganaccel bench gan --data digits --seconds 120 --row default --out gan-bench",
)
@options.takes_data("digits")
def gan(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the figures; continued.")],
    data: options.DataOptions,
    rows: Annotated[
        list[str] | None, typer.Option("--row", help="Only this row; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per row.")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, help="The others follow it.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Length of each training, in place of gan.steps.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="What is reported on: validation, withheld, or test.")
    ] = "validation",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="gan.KEY=VALUE", help="For all rows.")
    ] = None,
    json_output: options.Json = False,
) -> None:
    """How good a generator is after equal time: architectures, objectives, augmentation."""
    values = parse_settings(settings or ())
    with_values(RunConfig(), values)
    from keras_ganaccel.benchmarks.gan import ROWS, SPLITS, benchmark_gan

    for given in rows or ():
        _check_known("--row", given, ROWS)
    _check_known("--split", split, SPLITS)
    data.load(first_seed)
    found = benchmark_gan(
        out,
        data.config(),
        rows=rows or tuple(ROWS),
        seeds=range(first_seed, first_seed + seeds),
        seconds=seconds,
        split=split,
        settings=values,
        progress=_progress(json_output),
    )
    if json_output:
        show_json({"environment": environment(), "cells": found})


@app.command(
    "evidence",
    epilog="Example: ganaccel bench evidence --protocol P2 --data digits --labels-per-class 10 "
    "--seeds 10 --out evidence",
)
@options.takes_data("digits")
def evidence(
    protocol: Annotated[
        str,
        typer.Option(help="P1 augmentation, P2 distillation, P3 time to accuracy, P4 imbalance."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the cells; continued.")],
    data: options.DataOptions,
    seeds: Annotated[int, typer.Option(min=1, help="Labelled subsets to draw.")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="The others follow it.")] = 0,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help="Only this arm; may be repeated.")
    ] = None,
    student: Annotated[
        str, typer.Option(metavar="ARCHITECTURE-SIZE", help="Such as separable-tiny or mlp-tiny.")
    ] = "separable-tiny",
    students: Annotated[
        int, typer.Option(min=1, help="Trained per cell; their figures are averaged.")
    ] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of a student.")] = 2500,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="A student's first one.")] = 1e-2,
    augmentation: Annotated[
        str,
        typer.Option(metavar="POLICY,...", help="Augmentation of the student's samples; or none."),
    ] = "shift,cutout,mixup",
    members: Annotated[
        list[str] | None, typer.Option("--member", help="Member of the teacher; may be repeated.")
    ] = None,
    teacher_size: Annotated[str, typer.Option(help="Size of its Keras members.")] = "base",
    teacher_steps: Annotated[int, typer.Option(min=1, help="Steps of its Keras members.")] = 1000,
    pool_size: Annotated[int, typer.Option(min=16, help="Samples of a pool.")] = 10_000,
    search: Annotated[
        bool, typer.Option("--search", help="Report on withheld rows; the test split stays shut.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="gan.KEY=VALUE", help="A setting of the GAN."),
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Do generated data help? Every arm on paired seeds, with the table and the picture."""
    config = with_values(RunConfig(), parse_settings(settings or ()))
    from keras_ganaccel.benchmarks.evidence import run_evidence
    from keras_ganaccel.benchmarks.protocols import PROTOCOLS
    from keras_ganaccel.benchmarks.subject import Settings
    from keras_ganaccel.classifier.build import SIZES, architectures
    from keras_ganaccel.classifier.recipe import Recipe

    _check_known("--protocol", protocol, PROTOCOLS)
    for given in arms or ():
        _check_known("--arm", given, PROTOCOLS[protocol].arms)
    architecture, _, size = student.rpartition("-")
    _check_known("--student", student, [f"{a}-{s}" for a in architectures() for s in SIZES])
    data.load(first_seed)
    summary = run_evidence(
        protocol,
        Settings(
            data=data.config(),
            student=(architecture, size),
            students=students,
            recipe=Recipe(
                steps=steps,
                learning_rate=learning_rate,
                augmentation=_policies(augmentation),
            ),
            members=tuple(members) if members else Settings.members,
            teacher_size=teacher_size,
            teacher_steps=teacher_steps,
            gan=config.gan,
            pool_size=pool_size,
            report_on="withheld" if search else "test",
        ),
        out,
        seeds=range(first_seed, first_seed + seeds),
        arms=arms,
        progress=_progress(json_output),
    )
    if json_output:
        show_json({"environment": environment(), "arms": summary})


def _progress(json_output: bool) -> Callable[[str], None]:
    """Prints a line per cell, unless standard output is kept to JSON."""
    return lambda text: None if json_output else print(text, flush=True)


def _cell(figure: str, value: float) -> str:
    """Writes a mean: shares as percent, counts whole, times with three digits."""
    if figure in ("accuracy", "drop", "sparsity"):
        return f"{100 * value:.2f} %"
    return f"{value:.3f}" if figure.startswith("latency") else f"{value:,.0f}"


def _policies(given: str) -> tuple[str, ...]:
    """What stands between commas; nothing for `none`."""
    from keras_ganaccel.modality.policies import check_policies

    return () if given == "none" else check_policies(given.split(","))


def _check_known(option: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        raise InvalidInputError(f"Unknown {option}. Received: {given!r}. {nearest(given, known)}")


def _show(result: dict[str, Any], out: Path | None, json_output: bool) -> None:
    if out is not None:
        write_json(out, result)
    if json_output:
        show_json(result)
        return
    for name, value in result.items():
        if name != "environment":
            print(f"{name}: {value}")
