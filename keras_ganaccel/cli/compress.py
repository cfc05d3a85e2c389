"""`ganaccel compress`: prunes, clusters, quantizes a Keras model, and measures the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.cli.verify import show_rows
from keras_ganaccel.files import save_keras
from keras_ganaccel.journey.user_model import check_model_file, load_model

EXAMPLE = "Example: ganaccel compress student.keras --technique pqat --data digits --out s.tflite"


def command(
    model: Annotated[Path, typer.Argument(help="A .keras file; it is not changed.")],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="A .tflite file, or .keras for the float model."),
    ],
    technique: Annotated[
        str,
        typer.Option(help="prune, cluster, qat, pqat, cqat, pcqat, or structured."),
    ] = "pqat",
    sparsity: Annotated[float, typer.Option(help="Share of kernel elements set to zero.")] = 0.5,
    clusters: Annotated[int, typer.Option(min=2, help="Distinct values per kernel.")] = 16,
    data: options.Data = "digits",
    image_size: options.ImageSize = None,
    labels_per_class: options.LabelsPerClass = None,
    value_range: options.ValueRange = None,
    input_range: options.InputRange = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of each fine-tuning.")] = 600,
    learning_rate: Annotated[float, typer.Option(help="Adam's, while fine-tuning.")] = 1e-3,
    seed: options.Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what applies to which layer, and why.")
    ] = False,
    allow_unsafe: options.AllowUnsafe = False,
    json_output: options.Json = False,
) -> None:
    """Compress a Keras model and measure the result on the test split."""
    check_model_file(model, allow_unsafe=allow_unsafe)
    options.check_new_file(out, ".tflite", ".keras")
    low, high = options.parse_range(input_range, "--input-range") or (0.0, 1.0)
    from keras_ganaccel.data.sources import load_data

    loaded = load_data(
        data,
        image_size=options.parse_size(image_size),
        labels_per_class=labels_per_class,
        value_range=options.parse_range(value_range, "--value-range"),
        seed=seed,
    )
    from keras_ganaccel.classifier.outputs import check_model_fits
    from keras_ganaccel.compression.compress import compress
    from keras_ganaccel.export.tflite import export_tflite
    from keras_ganaccel.export.verify import verify

    network = load_model(model, allow_unsafe=allow_unsafe)
    check_model_fits(network, loaded.spec)
    x, y = loaded.arrays("train")
    x = low + (high - low) * x
    compressed = compress(
        network,
        (x, y),
        technique=technique,
        sparsity=sparsity,
        number_of_clusters=clusters,
        steps=steps,
        learning_rate=learning_rate,
        seed=seed,
        dry_run=dry_run,
    )
    if dry_run:
        _show_layers(compressed.report, json_output)
        return
    if out.suffix == ".keras":
        save_keras(out, compressed.keras_model)
    else:
        export_tflite(
            compressed,
            out,
            "int8" if compressed.promises.get("int8") else "float32",
            representative_dataset=x[:300],
            spec=loaded.spec,
            input_range=(low, high),
        )
    test_x, test_y = loaded.arrays("test")
    found = verify(
        out,
        (low + (high - low) * test_x, test_y),
        reference=network,
        spec=loaded.spec,
        input_range=(low, high),
        promises=compressed.promises,
    )
    show_rows([found.as_dict()], json_output)


def _show_layers(rows: Sequence[Mapping[str, Any]], json_output: bool) -> None:
    if json_output:
        show_json([dict(row) for row in rows])
        return
    for row in rows:
        print("  ".join(f"{value}" for value in row.values()))
