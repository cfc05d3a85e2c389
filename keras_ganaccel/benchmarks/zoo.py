"""Every published model of the zoo in every technique: does it work, or is it refused, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.benchmarks.cells import CellFile
from keras_ganaccel.benchmarks.zoo_models import MODELS, ZooModel, learnable_samples
from keras_ganaccel.classifier.outputs import num_classes, output_kind
from keras_ganaccel.compression.compress import TECHNIQUES, Compressed
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import EquivalenceError, GanAccelError, InvalidInputError, reason_of
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.export.techniques import compress_and_check
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.verify import verify
from keras_ganaccel.files import atomic_open

# The technique of `compress`, and the format of the file.
ROWS: Mapping[str, tuple[str | None, str]] = {
    "float32": (None, "float32"),
    "float16": (None, "float16"),
    "dynamic_range": (None, "dynamic_range"),
    "ptq": ("ptq", "int8"),
    "prune": ("prune", "float32"),
    "cluster": ("cluster", "float32"),
    "qat": ("qat", "int8"),
    "pqat": ("pqat", "int8"),
    "cqat": ("cqat", "int8"),
    "pcqat": ("pcqat", "int8"),
    "structured": ("structured", "float32"),
    "structured_qat": ("structured_qat", "int8"),
}
OUTCOMES = ("works", "refused", "fails")
_ROWS_OF_DATA = 64
_BATCH = 16
_OPTIONS: dict[str, Any] = {"sparsity": 0.3, "macs_fraction": 0.8}
# How far an answer of a file may lie from what it was made from, in shares of the largest one.
_ALLOWED = {"float32": 1e-3, "float16": 2e-2, "dynamic_range": 0.15, "int8": 0.35}
_AGREEMENT = 0.9
_HEAD = """# Published models, technique by technique

Made by `ganaccel bench zoo --out DIR --page docs/model_zoo.md`. Each model is built as it is
published, at a small size and untrained, and fitted for a few steps to samples that can be learnt:
this shows what works, not how accurate it is. A cell compresses, exports and runs the file. `works`
means that the file keeps its promises and answers as the model that it was made from (the
quantization-aware one where there is one): the same class for 90 % of the samples, or the same
values. It has the size of the file; `(mixed)` where some layers stay in float32. The numbers in
brackets are those of the reasons below the table. Where a layer is named beside the model, the
techniques that fine-tune get its first blocks up to that layer and a head of their own: the whole
network would take many minutes a cell.
"""


def run_zoo(
    folder: Path,
    *,
    models: Iterable[str] = tuple(MODELS),
    rows: Iterable[str] = tuple(ROWS),
    fit_steps: int = 40,
    steps: int = 3,
    progress: Callable[[str], None] = lambda text: None,
) -> list[dict[str, str]]:
    """Measures the cells that have not been measured yet.

    Args:
        folder: Holds ``zoo.csv``, one row per cell, and the fitted models.
        models: Names out of `MODELS`.
        rows: Names out of `ROWS`.
        fit_steps: Optimiser steps of 16 samples that a model is fitted for.
        steps: Optimiser steps of each fine-tuning.
        progress: Called with a line per cell.

    Returns:
        All rows of ``zoo.csv``: ``model``, ``row``, ``outcome``, ``detail``, ``bytes``,
        ``mixed``, ``agreement``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = CellFile(folder / "zoo.csv", ("model", "row"))
    for name in models:
        wanted = [row for row in rows if cells.find(model=name, row=row) is None]
        if not wanted:
            continue
        keras.backend.clear_session()
        entry = MODELS[name]
        for in_blocks in (False, True):
            part = [row for row in wanted if in_blocks == _takes_blocks(entry, row)]
            if not part:
                continue
            model, data = _fitted(name, entry, in_blocks, folder, fit_steps)
            for row in part:
                found = zoo_cell(model, data, entry, row, folder / "file.tflite", steps)
                cells.add({"model": name, "row": row, **found})
                progress(f"{name} {row}: {found['outcome']} {found['detail']}".rstrip())
    return cells.rows


def zoo_cell(
    model: keras.Model,
    data: tuple[Any, np.ndarray],
    entry: ZooModel,
    row: str,
    path: Path,
    steps: int,
) -> dict[str, Any]:
    """Compresses, exports and runs one model in one way.

    Args:
        model: The fitted model.
        data: Samples and labels.
        entry: What the zoo says of it.
        row: One of `ROWS`.
        path: Where to write the file.
        steps: Optimiser steps of each fine-tuning.

    Returns:
        The cell's ``outcome`` out of `OUTCOMES`, the reason in ``detail``, and its figures.
    """
    technique, quantization = ROWS[row]
    x, labels = data
    made: keras.Model | Compressed = model
    try:
        if technique is not None:
            targets = labels if entry.classifies else x
            made = compress_and_check(
                model, (x, targets), technique=technique, steps=steps, batch_size=_BATCH, **_OPTIONS
            )
        export_tflite(
            made, path, quantization, representative_dataset=x, input_range=entry.input_range
        )
        return _compared(path, made, data, entry, quantization)
    except (InvalidInputError, EquivalenceError) as error:
        return _cell("refused", str(error))
    except GanAccelError as error:
        return _cell("fails", str(error))
    except Exception as error:  # what this benchmark looks for
        return _cell("fails", f"{type(error).__name__}: {reason_of(error)}")


def zoo_page(cells: Iterable[Mapping[str, str]]) -> str:
    """Returns the table in Markdown, with its heading and the reasons.

    Args:
        cells: Rows as `run_zoo` returns them.
    """
    by_place = {(cell["model"], cell["row"]): cell for cell in cells}
    reasons: dict[str, int] = {}
    lines = [
        f"| model | from | {' | '.join(ROWS)} |",
        "| --- | --- " + "| --- " * len(ROWS) + "|",
    ]
    for name in MODELS:
        texts = (_text(by_place.get((name, row)), reasons) for row in ROWS)
        blocks = f", `{MODELS[name].blocks}`" if MODELS[name].blocks else ""
        lines.append(f"| {name} | {MODELS[name].source}{blocks} | {' | '.join(texts)} |")
    notes = [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join([_HEAD, *lines, "", *notes]).rstrip() + "\n"


def write_page(path: Path, cells: Iterable[Mapping[str, str]]) -> None:
    """Writes `zoo_page` to a file."""
    with atomic_open(path, "w") as file:
        file.write(zoo_page(cells))


def _takes_blocks(entry: ZooModel, row: str) -> bool:
    """Whether a cell fine-tunes, and so gets the first blocks of a large model."""
    technique, _ = ROWS[row]
    return bool(entry.blocks and technique and TECHNIQUES[technique])


def _fitted(
    name: str, entry: ZooModel, in_blocks: bool, folder: Path, steps: int
) -> tuple[keras.Model, tuple[Any, np.ndarray]]:
    """Builds a model or its first blocks and fits it, or takes up an earlier run's weights."""
    keras.utils.set_random_seed(0)
    model = entry.build_blocks() if in_blocks else entry.build()
    classes = num_classes(model, output_kind(model)) if entry.classifies else 2
    data = learnable_samples(model, classes, _ROWS_OF_DATA, entry.input_range)
    weights = folder / f"{name}{'_blocks' if in_blocks else ''}.weights.h5"
    if weights.is_file():
        model.load_weights(weights)
        return model, data
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            # Statistics that follow within a few steps.
            layer.momentum = 0.7
    model.compile(keras.optimizers.Adam(1e-3), _loss(model, entry))
    inputs = ModelInputs.of(model)
    arrays = inputs.arrays(data[0])
    targets = data[1] if entry.classifies else arrays[0]
    # Not `fit`, at whose end tf.data waits for its tuner.
    for step in range(steps):
        rows = np.arange(step * _BATCH, (step + 1) * _BATCH) % _ROWS_OF_DATA
        model.train_on_batch(inputs.packed([array[rows] for array in arrays]), targets[rows])
    model.save_weights(weights)
    return model, data


def _loss(model: keras.Model, entry: ZooModel) -> Any:
    if not entry.classifies:
        return keras.losses.MeanSquaredError()
    kind = output_kind(model)
    if kind.startswith("binary"):
        return keras.losses.BinaryCrossentropy(from_logits=kind == "binary_logit")
    return keras.losses.SparseCategoricalCrossentropy(from_logits=kind == "logits")


def _compared(
    path: Path,
    made: keras.Model | Compressed,
    data: tuple[Any, np.ndarray],
    entry: ZooModel,
    quantization: str,
) -> dict[str, Any]:
    """Runs the file beside what it was made from."""
    x, _ = data
    plain = made if isinstance(made, keras.Model) else made.keras_model
    aware = None if isinstance(made, keras.Model) else made.tf_keras_model
    inputs = ModelInputs.of(plain)
    source = plain if aware is None else aware
    expected = np.asarray(source(inputs.packed(inputs.arrays(x)), training=False))
    opened = open_artifact(path)
    received = opened.outputs(opened.samples(x))
    apart = float(np.abs(received - expected).max() / max(np.abs(expected).max(), 1e-6))
    assert opened.file_facts is not None
    figures: dict[str, Any] = {
        "bytes": opened.bytes,
        "mixed": quantization == "int8" and _is_mixed(opened.file_facts),
        "difference": apart,
    }
    if entry.classifies:
        promises = {} if isinstance(made, keras.Model) else made.promises
        found = verify(
            path, data, reference=_classes(expected), promises=promises, latency_repeats=0
        )
        figures["agreement"] = found.agreement
        right = (found.agreement or 0.0) >= _AGREEMENT
    else:
        right = apart <= _ALLOWED[quantization]
    if right:
        return {**_cell("works", ""), **figures}
    detail = f"the file differs from what it was made from by {apart:.2f} of the largest output"
    return {**_cell("fails", detail), **figures}


def _classes(outputs: np.ndarray) -> np.ndarray:
    """Predicted classes; of a single unit those on either side of its middle."""
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    middle = 0.5 if outputs.min() >= 0.0 and outputs.max() <= 1.0 else 0.0
    return (outputs[:, 0] > middle).astype(np.int64)


def _is_mixed(facts: Any) -> bool:
    ends = {tensor.name for tensor in (*facts.inputs, *facts.outputs)}
    return any(t.dtype == "float32" and t.name not in ends for t in facts.tensors)


def _cell(outcome: str, detail: str) -> dict[str, Any]:
    figures = dict.fromkeys(("bytes", "mixed", "agreement", "difference"), "")
    return {"outcome": outcome, "detail": detail, **figures}


def _text(cell: Mapping[str, str] | None, reasons: dict[str, int]) -> str:
    if cell is None:
        return "not measured"
    if cell["outcome"] == "works":
        mixed = " (mixed)" if cell["mixed"] == "True" else ""
        return f"works, {int(cell['bytes']) / 1024:,.0f} kB{mixed}"
    reason = cell["detail"].replace("|", "\\|")
    number = reasons.setdefault(reason, len(reasons) + 1)
    return f"{cell['outcome']} [{number}]"
