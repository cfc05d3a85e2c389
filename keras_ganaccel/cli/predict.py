"""`ganaccel predict`: an artefact on images or arrays."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.files import atomic_open

EXAMPLE = (
    "Example: ganaccel predict saved_models/digits/student_int8.tflite digits.npy --format csv"
)


def command(
    artifact: Annotated[Path, typer.Argument(help="A .tflite or .keras file or a SavedModel.")],
    samples: Annotated[Path, typer.Argument(help="An .npy or .npz file, an image, or a folder.")],
    form: Annotated[
        str, typer.Option("--format", metavar="csv|json", help="Form of the result.")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, not to the terminal.")
    ] = None,
    class_names: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Names, if the file does not hold them.")
    ] = None,
    value_range: options.ValueRange = None,
    input_range: options.InputRange = None,
    json_output: options.Json = False,
) -> None:
    """Labels and probabilities for images or arrays."""
    form = "json" if json_output else form
    if form not in ("csv", "json"):
        raise InvalidInputError(f"Unknown format. Received: {form!r}. Choose one of 'csv', 'json'.")
    options.existing(artifact, "The artefact")
    options.existing(samples, "The file of samples")
    if out is not None:
        options.check_new_file(out)
    names = tuple(class_names.split(",")) if class_names else None
    from keras_ganaccel.export.predict import predict_files

    rows = predict_files(
        artifact,
        samples,
        class_names=names,
        value_range=options.parse_range(value_range, "--value-range"),
        input_range=options.parse_range(input_range, "--input-range"),
    )
    if form == "json":
        _write_json(rows, out)
    else:
        _write_csv(rows, out)


def _write_json(rows: list[dict[str, object]], out: Path | None) -> None:
    if out is None:
        show_json(rows)
        return
    from keras_ganaccel.json_files import write_json

    write_json(out, rows)


def _write_csv(rows: list[dict[str, object]], out: Path | None) -> None:
    text = io.StringIO()
    classes = list(rows[0]["probabilities"]) if rows else []  # type: ignore[call-overload]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample", "label", *(f"p_{name}" for name in classes)])
    for row in rows:
        chances = row["probabilities"]
        writer.writerow(
            [row["sample"], row["label"], *(f"{chances[name]:.6f}" for name in classes)]  # type: ignore[index]
        )
    if out is None:
        print(text.getvalue(), end="")
        return
    with atomic_open(out, "w") as file:
        file.write(text.getvalue())
