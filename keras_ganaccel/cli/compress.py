"""`ganaccel compress`: prunes, clusters, quantizes a Keras model, and measures the file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.cli.verify import show_rows
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.files import atomic_save, save_keras
from keras_ganaccel.journey.user_model import check_model_file, load_model
from keras_ganaccel.report.findings import difference_in_words
from keras_ganaccel.words import kilobytes, percent

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_ganaccel.compression.compress import Compressed
    from keras_ganaccel.export.techniques import Candidate, ParetoFront

EXAMPLE = "Example: ganaccel compress student.keras --technique pqat --data digits --out s.tflite"


@options.takes_data("digits")
def command(
    model: Annotated[Path, typer.Argument(help="A .keras file; it is not changed.")],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="A .tflite file, or .keras for the float model."),
    ],
    data: options.DataOptions,
    technique: Annotated[
        str,
        typer.Option(
            help="ptq, prune, cluster, qat, pqat, cqat, pcqat, structured, structured_qat, "
            "structured_pqat; or auto, which weighs them."
        ),
    ] = "pqat",
    sparsity: Annotated[float, typer.Option(help="Share of kernel elements set to zero.")] = 0.5,
    clusters: Annotated[int, typer.Option(min=2, help="Distinct values per kernel.")] = 16,
    max_accuracy_drop: Annotated[
        float, typer.Option(help="For auto: accuracy that a file may lose on validation data.")
    ] = 0.005,
    goal: Annotated[
        str, typer.Option(metavar="size|latency", help="For auto: what shall be small.")
    ] = "size",
    input_range: options.InputRange = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of each fine-tuning.")] = 600,
    learning_rate: Annotated[float, typer.Option(help="Adam's, while fine-tuning.")] = 1e-3,
    test: options.Test = False,
    seed: options.Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what applies to which layer, and why.")
    ] = False,
    allow_unsafe: options.AllowUnsafe = False,
    json_output: options.Json = False,
) -> None:
    """Compress a Keras model and measure the file on validation (with --test on test too)."""
    check_model_file(model, allow_unsafe=allow_unsafe)
    if dry_run and technique == "auto":
        raise InvalidInputError(
            "A dry run is of one technique. Received: --technique auto. Name one, such as pqat."
        )
    options.check_new_file(out, ".tflite", *([] if technique == "auto" else [".keras"]))
    taken = options.parse_range(input_range, "--input-range")
    loaded = data.load(seed)
    measured = () if dry_run else options.measured_splits(loaded, test)
    from keras_ganaccel.classifier.outputs import check_model_fits
    from keras_ganaccel.export.techniques import compress_and_check
    from keras_ganaccel.export.verify import verify

    network = load_model(model, allow_unsafe=allow_unsafe)
    check_model_fits(network, loaded.spec)
    low, high = data.assumed_range(network, loaded, taken)
    splits = {
        name: (low + (high - low) * x, y)
        for name in ("train", "validation", "test")
        for x, y in [loaded.arrays(name)]
    }
    settings: dict[str, Any] = {"steps": steps, "learning_rate": learning_rate, "seed": seed}
    described: dict[str, Any] = {"spec": loaded.spec, "input_range": (low, high)}
    front = None
    if technique == "auto":
        front = _weighed(network, splits, max_accuracy_drop, goal, out, {**settings, **described})
        promises: Mapping[str, Any] = {"int8": front.best.measured["int8"]}
    else:
        settings |= {"sparsity": sparsity, "number_of_clusters": clusters, "dry_run": dry_run}
        compressed = compress_and_check(network, splits["train"], technique=technique, **settings)
        if dry_run:
            _show_layers(compressed.report, json_output)
            return
        _write(compressed, out, splits["train"][0][:300], described)
        promises = compressed.promises
    rows = [
        {
            "split": name,
            **verify(
                out, splits[name], reference=network, promises=promises, **described
            ).as_dict(),
        }
        for name in measured
    ]
    if front is not None and json_output:
        tried = [_plain(candidate) for candidate in front.tried]
        show_json({"tried": tried, "note": front.note, "chosen": rows})
        return
    if front is not None:
        _show_front(front)
    show_rows(rows, json_output)


def _weighed(
    network: keras.Model,
    splits: Mapping[str, Any],
    max_accuracy_drop: float,
    goal: str,
    out: Path,
    options: Mapping[str, Any],
) -> ParetoFront:
    """Weighs the techniques on the validation split and writes the best one's file."""
    from keras_ganaccel.export.techniques import weigh_techniques

    with tempfile.TemporaryDirectory() as folder:
        front = weigh_techniques(
            network,
            splits["train"],
            validation=splits["validation"],
            max_accuracy_drop=max_accuracy_drop,
            target=goal,
            folder=folder,
            **options,
        )
        best = front.best.file
        assert best is not None
        atomic_save(out, lambda path: shutil.copyfile(best, path))
    return front


def _write(
    compressed: Compressed, out: Path, calibration: np.ndarray, described: Mapping[str, Any]
) -> None:
    from keras_ganaccel.export.tflite import export_tflite

    if out.suffix == ".keras":
        save_keras(out, compressed.keras_model)
        return
    export_tflite(
        compressed,
        out,
        "int8" if _is_for_int8(compressed.technique) else "float32",
        representative_dataset=calibration,
        **described,
    )


def _is_for_int8(technique: str) -> bool:
    """Whether a technique trains for int8, or leaves all to the quantization at export."""
    from keras_ganaccel.compression.compress import TECHNIQUES

    stages = TECHNIQUES[technique]
    return not stages or "qat" in stages


def _plain(candidate: Candidate) -> dict[str, Any]:
    return {
        "technique": candidate.technique,
        "options": dict(candidate.options),
        "measured": dict(candidate.measured),
        "accepted": candidate.accepted,
        "failure": candidate.failure,
    }


def _show_front(front: ParetoFront) -> None:
    """Prints what was tried, a line each, with a star before the points of the front."""
    for candidate in front.tried:
        if candidate.failure:
            found = candidate.failure
        else:
            figures = candidate.measured
            found = (
                f"{percent(figures['accuracy'], 2)} on validation, "
                f"against float32 {difference_in_words(figures['against_float32'])}, "
                f"{kilobytes(figures['gzip_bytes'])} compressed, "
                f"{figures['latency_ratio']:.2f} x the time of float32"
            )
            if not figures["int8"]:
                found += ", some layers in float32"
        mark = "*" if candidate in front.points else " "
        settings = ", ".join(f"{key} {value}" for key, value in candidate.options.items())
        print(f"{mark} {candidate.technique} {settings}".rstrip() + f": {found}")
    if front.note:
        print(front.note)


def _show_layers(rows: Sequence[Mapping[str, Any]], json_output: bool) -> None:
    if json_output:
        show_json([dict(row) for row in rows])
        return
    for row in rows:
        print("  ".join(f"{value}" for value in row.values()))
