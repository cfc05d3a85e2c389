"""`ganaccel export`: a Keras model as SavedModel, TFLite file or C header."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.journey.user_model import check_model_file, load_model

EXAMPLE = "Example: ganaccel export student.keras --quantization int8 --data digits --out s.tflite"
QUANTIZATIONS = ("float32", "float16", "dynamic_range", "int8", "int16x8", "saved_model")


@options.takes_data()
def command(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="A .tflite file, or a folder for saved_model.")
    ],
    data: options.DataOptions,
    quantization: Annotated[
        str, typer.Option(metavar="|".join(QUANTIZATIONS), help="The format.")
    ] = "float32",
    input_range: options.InputRange = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Training samples that set the integer ranges.")
    ] = 300,
    raw_input: Annotated[
        bool, typer.Option("--raw-input", help="Bake the preprocessing in: raw uint8 pixels.")
    ] = False,
    io_dtype: Annotated[
        str | None,
        typer.Option(metavar="int8|uint8", help="Type of an int8 file's input and output."),
    ] = None,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Leave the batch size open.")
    ] = False,
    per_tensor_dense: Annotated[
        bool, typer.Option("--per-tensor-dense", help="One scale per dense kernel.")
    ] = False,
    c_header: Annotated[
        Path | None, typer.Option(metavar="FILE.h", help="Also write it as a C array.")
    ] = None,
    allow_unsafe: options.AllowUnsafe = False,
    json_output: options.Json = False,
) -> None:
    """Export a Keras model."""
    check_model_file(model, allow_unsafe=allow_unsafe)
    if quantization not in QUANTIZATIONS:
        raise InvalidInputError(
            f"Unknown format. Received: {quantization!r}. {nearest(quantization, QUANTIZATIONS)}"
        )
    if quantization != "saved_model":
        options.check_new_file(out, ".tflite")
    elif c_header is not None:
        raise InvalidInputError(
            "A SavedModel has no C header. Received: --c-header. Choose a TFLite format."
        )
    if quantization in ("int8", "int16x8") and data.data is None:
        raise InvalidInputError(
            f"Integer ranges are set on samples. Received: --quantization {quantization} without "
            "--data. Name the training data."
        )
    taken = options.parse_range(input_range, "--input-range")
    loaded = None if data.data is None else data.load()
    from keras_ganaccel.classifier.outputs import check_model_fits
    from keras_ganaccel.export.c_array import export_c_array
    from keras_ganaccel.export.saved_model import export_saved_model
    from keras_ganaccel.export.tflite import export_tflite

    network = load_model(model, allow_unsafe=allow_unsafe)
    low, high = taken or (0.0, 1.0)
    spec = calibration = None
    if loaded is not None:
        spec = loaded.spec
        check_model_fits(network, spec)
        low, high = data.assumed_range(network, loaded, taken)
        calibration = low + (high - low) * loaded.arrays("train")[0][:samples]
    if quantization == "saved_model":
        written = [export_saved_model(network, out, spec=spec, input_range=(low, high))]
    else:
        written = [
            export_tflite(
                network,
                out,
                quantization,
                representative_dataset=calibration,
                spec=spec,
                input_range=(low, high),
                raw_input=raw_input,
                io_dtype=io_dtype,
                batch_size=None if dynamic_batch else 1,
                per_tensor_dense=per_tensor_dense,
            )
        ]
        if c_header is not None:
            written.append(export_c_array(out, c_header))
    if json_output:
        show_json([str(path) for path in written])
    else:
        for path in written:
            print(path)
