"""`ganaccel verify`: measures an artefact, or checks a folder against its manifest and ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.errors import InvalidInputError

EXAMPLE = (
    "Example: ganaccel verify student_int8.tflite --data digits --min-accuracy 0.97 "
    "--max-bytes 30000"
)


@options.takes_data()
def command(
    artifact: Annotated[
        Path,
        typer.Argument(
            help="A .tflite or .keras file, a SavedModel, or a published folder or run folder."
        ),
    ],
    data: options.DataOptions,
    input_range: options.InputRange = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .keras model to agree with.")
    ] = None,
    sparsity: Annotated[
        float | None, typer.Option(help="Promise: share of zeros in the kernels.")
    ] = None,
    clusters: Annotated[
        int | None, typer.Option(help="Promise: distinct values per output channel at most.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Promise: integers from input to output.")
    ] = False,
    min_accuracy: Annotated[float | None, typer.Option(help="Fail below this accuracy.")] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="Fail if it loses more than this against --reference.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Fail if the file is larger.")] = None,
    rival: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file to time it against.")
    ] = None,
    max_latency_ratio: Annotated[
        float | None, typer.Option(help="Fail if it takes longer than this, relative to --rival.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the interpreter.")] = 1,
    allow_unsafe: options.AllowUnsafe = False,
    json_output: options.Json = False,
) -> None:
    """Run an artefact on a test split, and fail (exit 1) if it breaks a promise or a gate."""
    options.existing(artifact, "The artefact")
    for needed, given, name in (
        (reference, max_drop, "--max-drop needs --reference"),
        (rival, max_latency_ratio, "--max-latency-ratio needs --rival"),
    ):
        if given is not None and needed is None:
            raise InvalidInputError(f"{name}. Received: none. Name a file.")
    if (artifact / "manifest.json").is_file() or (artifact / "artifacts").is_dir():
        from keras_ganaccel.journey.publish import verify_published

        show_rows(verify_published(artifact, data.data), json_output)
        return
    if data.data is None:
        raise InvalidInputError("Nothing to measure on. Received: no --data. Name the data.")
    size = None
    raw_range = options.parse_range(data.value_range, "--value-range")
    taken = options.parse_range(input_range, "--input-range")
    if data.image_size is None and artifact.suffix == ".tflite" and Path(data.data).is_dir():
        from keras_ganaccel.export.artifact import open_artifact
        from keras_ganaccel.export.predict import image_size_of

        size = image_size_of(open_artifact(artifact))
    loaded = data.load(image_size=size)
    promises: dict[str, Any] = {
        "sparsity": sparsity,
        "number_of_clusters": clusters,
        "int8": int8 or None,
    }
    from keras_ganaccel.export.verify import verify
    from keras_ganaccel.journey.user_model import load_model

    found = verify(
        artifact,
        loaded,
        reference=load_model(reference, allow_unsafe=allow_unsafe) if reference else None,
        input_range=taken,
        value_range=raw_range,
        promises={name: value for name, value in promises.items() if value is not None},
        min_accuracy=min_accuracy,
        max_drop=max_drop,
        max_bytes=max_bytes,
        rivals=[rival] if rival else [],
        max_latency_ratio=max_latency_ratio,
        threads=threads,
        allow_unsafe=allow_unsafe,
    ).as_dict()
    show_rows([found], json_output)


def show_rows(rows: list[dict[str, Any]], json_output: bool) -> None:
    """Prints measured artefacts, a line each, or as JSON."""
    if json_output:
        show_json(rows)
        return
    from keras_ganaccel.report.findings import difference_in_words, uneven
    from keras_ganaccel.words import kilobytes, percent

    for row in rows:
        low, high = row["ci95"]
        latency = row["latency_ms"]
        split = f" on {row['split']}" if "split" in row else ""
        rows_per_class = [sum(counts) for counts in row["confusion_matrix"]]
        balanced = (
            f", balanced {percent(row['balanced_accuracy'], 2)}" if uneven(rows_per_class) else ""
        )
        timed = f", {latency['median']:.3f} ms" if latency else ""
        print(
            f"{row['name']}{split}: accuracy {percent(row['accuracy'], 2)} "
            f"({100 * low:.1f} to {100 * high:.1f}){balanced}, {kilobytes(row['bytes'])}, "
            f"{kilobytes(row['gzip_bytes'])} compressed, zeros {percent(row['sparsity'])}, "
            f"{row['dtype_in']} in, {row['dtype_out']} out{timed}"
        )
        if row.get("against_reference"):
            print(f"  against the reference: {difference_in_words(row['against_reference'])}")
