"""`ganaccel classifier train`: a Keras classifier on real data, or beside a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.files import save_keras
from keras_ganaccel.seeds import derive_seed
from keras_ganaccel.words import on_rows

app = typer.Typer(help="Train a classifier.", no_args_is_help=True, rich_markup_mode=None)


@app.command(
    "train",
    epilog="Example: ganaccel classifier train --architecture separable --out student.keras",
)
@options.takes_data("digits")
def train(
    out: Annotated[Path, typer.Option(metavar="FILE.keras", help="Where the model goes.")],
    data: options.DataOptions,
    architecture: Annotated[
        str, typer.Option(help="separable, convnet, mlp, resnet8, or a name of keras.applications.")
    ] = "separable",
    size: Annotated[str, typer.Option(metavar="tiny|small|base", help="Its size.")] = "tiny",
    model: Annotated[
        Path | None, typer.Option(metavar="FILE.keras", help="Your own model instead.")
    ] = None,
    allow_unsafe: options.AllowUnsafe = False,
    input_range: options.InputRange = None,
    pool: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Generated samples to mix in.")
    ] = None,
    generated_fraction: Annotated[
        float, typer.Option(help="Share of generated samples, with --pool.")
    ] = 0.5,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 3000,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 64,
    optimizer: Annotated[str, typer.Option(help="Name of a Keras optimizer.")] = "adam",
    learning_rate: Annotated[float, typer.Option(help="Its first learning rate.")] = 3e-3,
    test: options.Test = False,
    seed: options.Seed = 0,
    strategy: options.Strategy = None,
    json_output: options.Json = False,
) -> None:
    """Train a classifier and measure it on the validation split (with --test on test too)."""
    options.check_new_file(out, ".keras")
    if model is not None:
        from keras_ganaccel.journey.user_model import check_model_file

        check_model_file(model, allow_unsafe=allow_unsafe)
    if pool is not None:
        options.existing(pool / "pool.json", "The pool")
    loaded = data.load(seed)
    splits = options.measured_splits(loaded, test)
    from keras_ganaccel.classifier.build import build_classifier
    from keras_ganaccel.classifier.outputs import check_model_fits
    from keras_ganaccel.classifier.train import evaluate, train_classifier
    from keras_ganaccel.distribution import make_strategy
    from keras_ganaccel.journey.streams import mixed_batches
    from keras_ganaccel.journey.user_model import load_model, with_unit_input

    with make_strategy(strategy or "auto").scope():
        if model is not None:
            network = load_model(model, allow_unsafe=allow_unsafe)
            check_model_fits(network, loaded.spec)
        else:
            network = build_classifier(
                loaded.spec, architecture, size, seed=derive_seed(seed, "weights")
            )
        taken = options.parse_range(input_range, "--input-range")
        if model is not None:
            taken = data.assumed_range(network, loaded, taken)
        unit = with_unit_input(network, taken, loaded.spec.sample_shape)
    x, y = loaded.arrays("train")
    train_classifier(
        unit,
        (x, y) if pool is None else mixed_batches(x, y, pool, generated_fraction, batch_size, seed),
        steps=steps,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        augmentation=("shift",),
        seed=derive_seed(seed, "order"),
    )
    scores = {split: evaluate(unit, *loaded.arrays(split)) for split in splits}
    save_keras(out, network)
    if json_output:
        show_json({"model": str(out), "parameters": network.count_params(), **scores})
        return
    print(f"{out}: {network.count_params():,} parameters")
    for split, values in scores.items():
        reached = on_rows(values["accuracy"], len(getattr(loaded.splits, split)), split)
        print(f"{reached} right, log-loss {values['log_loss']:.4f}")
