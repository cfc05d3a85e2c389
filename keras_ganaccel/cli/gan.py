"""`ganaccel gan train|sample|evaluate`: the generator on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import console, show_error, show_json
from keras_ganaccel.config import preset, with_values
from keras_ganaccel.config_file import parse_settings
from keras_ganaccel.errors import InvalidInputError, RunInterrupted
from keras_ganaccel.files import shown
from keras_ganaccel.invocation import command_line
from keras_ganaccel.journey.user_model import check_model_file
from keras_ganaccel.rundir import check_out_folder

app = typer.Typer(
    help="Train a conditional GAN, sample from it, measure it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "train", epilog="Example: ganaccel gan train --data digits --out runs/gan --set gan.steps=5000"
)
@options.takes_data("digits")
def train(
    data: options.DataOptions,
    preset_name: Annotated[
        str, typer.Option("--preset", metavar="quick|default|best", help="How long to train.")
    ] = "default",
    init_from: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Start from the networks of another run's folder."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder to make.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with a run that was stopped.")
    ] = None,
    seed: options.Seed = 0,
    strategy: options.Strategy = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="key=value", help="One setting; repeatable."),
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Train a GAN into a run folder: networks, sample grids, KID, checkpoints."""
    values = {
        **data.settings(),
        "gan.init_from": init_from,
        "strategy": strategy or "auto",
        "seed": seed,
        **parse_settings(settings or []),
    }
    if out is not None and resume is None:
        check_out_folder(out)
    config = with_values(preset(preset_name), values)
    from keras_ganaccel.journey.accelerate import accelerate, check_first_networks

    check_first_networks(config.gan)
    from keras_ganaccel.journey.progress import make_progress
    from keras_ganaccel.rundir import RunFolder

    try:
        result = accelerate(
            config=None if resume else config,
            out=out,
            resume=resume,
            progress=make_progress(console(json_output)),
            only=("data", "gan"),
        )
    except RunInterrupted as interrupt:
        words = command_line("gan", "train", "--resume", shown(interrupt.folder))
        show_error(f"Interrupted. Go on with: {words}")
        raise typer.Exit(130) from None
    record = RunFolder(result.folder).record("gan")
    if json_output:
        show_json({"folder": str(result.folder), **(record or {})})
    else:
        print(f"Generator: {shown(result.folder / 'artifacts' / 'generator.keras')}")


@app.command(
    "sample",
    epilog="Example: ganaccel gan sample runs/gan/artifacts/generator.keras --count 20 --out s.png",
)
def sample(
    generator: Annotated[Path, typer.Argument(help="A run's generator.keras.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="An .npz file (x, y) or a .png sample grid.")
    ],
    classes: Annotated[int, typer.Option(min=1, help="How many classes it knows.")] = 10,
    count: Annotated[int, typer.Option(min=1, help="Samples per class.")] = 10,
    truncation: Annotated[
        float, typer.Option(min=0, help="Factor on the noise; below 1: more typical samples.")
    ] = 1.0,
    seed: options.Seed = 0,
    json_output: options.Json = False,
) -> None:
    """Generate samples: `x` float32 in [0, 1] and `y`, or a picture with a row per class."""
    check_model_file(generator)
    options.check_new_file(out, ".npz", ".png")
    import numpy as np

    from keras_ganaccel.gan.trained import TrainedGenerator

    trained = TrainedGenerator.load(generator, classes)
    labels = np.repeat(np.arange(classes), count)
    x = trained.generate(labels, seed, truncation=truncation)
    if out.suffix == ".npz":
        from keras_ganaccel.files import atomic_open

        with atomic_open(out) as file:
            np.savez_compressed(file, x=x, y=labels)
    else:
        from keras_ganaccel.files import atomic_save
        from keras_ganaccel.modality.image.pictures import grid_image

        atomic_save(out, grid_image(x, labels).save)
    if json_output:
        show_json({"file": str(out), "shape": list(x.shape)})
    else:
        print(f"{out}: {len(x)} samples of {classes} classes")


@app.command(
    "evaluate",
    epilog="Example: ganaccel gan evaluate runs/gan/artifacts/generator.keras --data digits",
)
@options.takes_data("digits")
def evaluate(
    generator: Annotated[Path, typer.Argument(help="A run's generator.keras.")],
    data: options.DataOptions,
    count: Annotated[int, typer.Option(min=100, help="Samples to generate.")] = 4096,
    steps: Annotated[
        int, typer.Option(min=1, help="Optimiser steps of each classifier that is trained.")
    ] = 1000,
    test: Annotated[
        bool, typer.Option("--test", help="Measure on the test split instead of validation.")
    ] = False,
    seed: options.Seed = 0,
    json_output: options.Json = False,
) -> None:
    """KID, precision, recall, density, coverage, synthetic-only accuracy, memorisation."""
    check_model_file(generator)
    loaded = data.load(seed)
    from keras_ganaccel.gan.trained import TrainedGenerator
    from keras_ganaccel.journey.measure import measure_generator

    trained = TrainedGenerator.load(generator, loaded.spec.num_classes, loaded.spec)
    if trained.sample_shape != loaded.spec.sample_shape:
        raise InvalidInputError(
            f"The generator does not fit the data. Received: samples {trained.sample_shape} for "
            f"data {loaded.spec.sample_shape}. Name the data that it was trained on."
        )
    found = measure_generator(
        trained, loaded, split="test" if test else "validation", count=count, steps=steps, seed=seed
    )
    if json_output:
        show_json(found)
        return
    for name, value in found.items():
        if not isinstance(value, (dict, list)):
            print(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")
