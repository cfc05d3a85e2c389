"""One call for every compression technique, and the weighing of them all on their files."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import train_test_split

from keras_ganaccel.compression.compress import TECHNIQUES, Compressed
from keras_ganaccel.compression.compress import compress as compress_with
from keras_ganaccel.compression.finetune import first_samples
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import GanAccelError, InvalidInputError, RunFailedError, nearest
from keras_ganaccel.export.faithful import SAMPLES, checked
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.promises import integer_problems
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.verify import Verification, verify
from keras_ganaccel.metrics.proportions import paired_difference
from keras_ganaccel.seeds import derive_seed
from keras_ganaccel.words import FEW_ROWS, percent
from keras_ganaccel.words import points as points_of

logger = logging.getLogger(__name__)

AUTO = "auto"
# From mild to strong. The first one is what every export has for nothing.
COMBINATIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("ptq", {}),
    ("qat", {}),
    ("pqat", {"sparsity": 0.5}),
    ("pqat", {"sparsity": 0.8}),
    ("cqat", {"number_of_clusters": 16}),
    ("pcqat", {"sparsity": 0.5, "number_of_clusters": 16}),
    ("structured_qat", {"macs_fraction": 0.5}),
    ("structured_pqat", {"macs_fraction": 0.5, "sparsity": 0.5}),
)
TARGETS: Mapping[str, str] = {"size": "gzip_bytes", "latency": "latency_ratio"}
_HELD_OUT = 0.2
_CALIBRATION_SAMPLES = 300


@dataclass(frozen=True)
class Candidate:
    """One combination, measured on the int8 file that was exported from it.

    Args:
        technique: Its name.
        options: The arguments of `compress` that define it.
        compressed: The model; None if it could not be made.
        file: Its TFLite file; None if it could not be made, or if no `folder` was given.
        measured: ``accuracy``, ``bytes``, ``gzip_bytes``, ``latency_ms``, ``latency_ratio`` (its
            median over that of the float32 file, timed in turns), ``int8``: whether all of the
            file computes in int8, or some layers of this model stay in float32, and
            ``against_float32``: its right answers against those of that file, row by row (see
            `PairedDifference`), which tells a loss from luck.
        accepted: Whether it keeps within the allowed drop.
        failure: Why it could not be made, or which promise its file breaks; empty otherwise.

    Example:
        >>> import keras_ganaccel as ga
        >>> measured = {"accuracy": 0.98, "bytes": 4000}
        >>> candidate = ga.Candidate("ptq", {}, None, None, measured, accepted=True)
        >>> candidate.technique
        'ptq'
    """

    technique: str
    options: Mapping[str, Any]
    compressed: Compressed | None = field(repr=False)
    file: Path | None
    measured: Mapping[str, Any]
    accepted: bool
    failure: str = ""


@dataclass(frozen=True)
class ParetoFront:
    """What weighing the techniques found.

    Args:
        best: The accepted candidate that is smallest or fastest, whichever was asked for.
        points: The accepted candidates that no other accepted one beats in accuracy and in the
            target, the most accurate first.
        tried: All candidates, in the order of `COMBINATIONS`.
        baseline: What was measured on the float32 file of the uncompressed model.
        target: The measure that was minimised.
        note: What the validation rows are too few to tell; empty if they suffice.

    Example:
        >>> import keras_ganaccel as ga
        >>> unsaved = {"compressed": None, "file": None, "accepted": True}
        >>> small = ga.Candidate("pqat", {}, measured={"bytes": 3000}, **unsaved)
        >>> exact = ga.Candidate("ptq", {}, measured={"bytes": 4000}, **unsaved)
        >>> front = ga.ParetoFront(small, (exact, small), (exact, small), {"bytes": 9000}, "bytes")
        >>> front.best.technique, [point.technique for point in front.points]
        ('pqat', ['ptq', 'pqat'])
    """

    best: Candidate
    points: tuple[Candidate, ...]
    tried: tuple[Candidate, ...]
    baseline: Mapping[str, Any]
    target: str
    note: str = ""


def compress(
    model: keras.Model,
    data: Any,
    *,
    technique: str = "pqat",
    validation: tuple[Any, np.ndarray] | None = None,
    max_accuracy_drop: float = 0.005,
    target: str = "size",
    folder: str | os.PathLike[str] | None = None,
    spec: Spec | None = None,
    input_range: tuple[float, float] = (0.0, 1.0),
    **options: Any,
) -> Compressed | ParetoFront:
    """Compresses a trained Keras 3 classifier, with one technique or the best of many.

    ``technique="auto"`` makes those of `COMBINATIONS` that the model allows, exports each as an
    int8 file, and measures that file on samples that were not trained on. What the model does not
    allow is named with the reason.

    Args:
        model: A built, trained classifier. It is not changed.
        data: Training data; see `keras_ganaccel.compression.compress.compress`.
        technique: One of its techniques, or ``"auto"``.
        validation: For ``"auto"``: ``(x, y)`` arrays that nothing is trained on; by default a
            stratified fifth of `data`, which is then not trained on.
        max_accuracy_drop: For ``"auto"``: how much accuracy a file may lose against the float32
            file, such as 0.005 for half a point.
        target: For ``"auto"``: ``"size"`` (of the gzipped file) or ``"latency"`` (relative to the
            float32 file, timed in turns).
        folder: For ``"auto"``: an existing folder for the candidates' files; None keeps none.
        spec: For ``"auto"``: the description of the data, for the files' metadata.
        input_range: For ``"auto"``: what the model takes for black and white.
        **options: The other arguments of `keras_ganaccel.compression.compress.compress`, such as
            `teacher`, `sparsity`, `steps` and `seed`.

    Returns:
        The compressed model with what it promises, or for ``"auto"`` the Pareto front.

    Raises:
        InvalidInputError: An unknown technique or value.
        UnsupportedLayerError: A layer cannot be carried over or exported; it is named.
        EquivalenceError: What was trained, returned and exported differs beyond quantization.
        VerificationError: The exported file does not keep a promise.
        RunFailedError: No combination keeps within the allowed drop.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> x, y = data.arrays("train")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> compressed = ga.compress(model, (x, y), technique="ptq")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = f"{folder}/student.tflite"
        ...     path = ga.export_tflite(compressed, file, "int8", representative_dataset=x)
        ...     ga.inspect_tflite(path).inputs[0].dtype
        'int8'
    """
    if technique != AUTO:
        return compress_and_check(model, data, technique=technique, **options)
    return weigh_techniques(
        model,
        data,
        validation=validation,
        max_accuracy_drop=max_accuracy_drop,
        target=target,
        folder=folder,
        spec=spec,
        input_range=input_range,
        **options,
    )


def compress_and_check(
    model: keras.Model, data: Any, *, technique: str = "pqat", dry_run: bool = False, **options: Any
) -> Compressed:
    """Compresses with one technique, and compares what was trained, returned and exported.

    Args:
        model: A built, trained classifier. It is not changed.
        data: Training data; see `keras_ganaccel.compression.compress.compress`.
        technique: One of its techniques. ``"ptq"`` trains nothing, so nothing is compared.
        dry_run: Change nothing; say per layer what would apply.
        **options: Its other arguments.

    Returns:
        The compressed model, with promises that its file was found to keep.

    Raises:
        InvalidInputError: An unknown technique or value.
        UnsupportedLayerError: A layer cannot be carried over or exported; it is named.
        EquivalenceError: Two of the three forms answer otherwise, beyond quantization.
        VerificationError: The file does not keep a promise.
    """
    compressed = compress_with(model, data, technique=technique, dry_run=dry_run, **options)
    if dry_run or not TECHNIQUES[technique]:
        return compressed
    inputs = ModelInputs.of(compressed.keras_model)
    return checked(compressed, first_samples(data, SAMPLES, inputs))


def weigh_techniques(
    model: keras.Model,
    data: Any,
    *,
    validation: tuple[Any, np.ndarray] | None = None,
    max_accuracy_drop: float = 0.005,
    target: str = "size",
    folder: str | os.PathLike[str] | None = None,
    spec: Spec | None = None,
    input_range: tuple[float, float] = (0.0, 1.0),
    **options: Any,
) -> ParetoFront:
    """Makes and measures every one of `COMBINATIONS`; see `compress` for arguments and errors."""
    if target not in TARGETS:
        raise InvalidInputError(f"Unknown target. Received: {target!r}. {nearest(target, TARGETS)}")
    if not 0.0 <= max_accuracy_drop < 1.0:
        raise InvalidInputError(
            f"`max_accuracy_drop` must be in [0, 1). Received: {max_accuracy_drop}. "
            "0.005 allows half a point."
        )
    if options.get("dry_run"):
        raise InvalidInputError(
            "A dry run is of one technique. Received: technique='auto'. Name one, such as 'pqat'."
        )
    options = {"seed": 0, **options}
    data, validation, options = _held_out(model, data, validation, options)
    with tempfile.TemporaryDirectory() as place:
        files = _Files(model, data, validation, Path(place), folder, spec, input_range)
        baseline = _figures(files.float32, files.float32)
        least = baseline["accuracy"] - max_accuracy_drop
        tried = tuple(
            _try(files, name, own, {**options, "seed": derive_seed(options["seed"], number)}, least)
            for number, (name, own) in enumerate(COMBINATIONS)
        )
    points = pareto_front([c for c in tried if c.accepted], TARGETS[target])
    if not points:
        found = (f"{c.technique} {c.failure or percent(c.measured['accuracy'])}" for c in tried)
        raise RunFailedError(
            f"No technique loses at most {points_of(max_accuracy_drop)} of the float32 file's "
            f"{percent(baseline['accuracy'])} on {len(validation[1])} validation rows. "
            f"Received: {', '.join(found)}. Allow a larger drop, or fine-tune for more steps."
        )
    note = _too_few(len(validation[1]), max_accuracy_drop)
    return ParetoFront(points[-1], points, tried, baseline, TARGETS[target], note)


def pareto_front(candidates: list[Candidate], measure: str) -> tuple[Candidate, ...]:
    """Keeps the candidates that no other one beats.

    Args:
        candidates: Measured candidates.
        measure: The key to minimise; accuracy is maximised.

    Returns:
        The front, the most accurate first; of equal ones the first.
    """
    ranked = sorted(candidates, key=lambda c: (-c.measured["accuracy"], c.measured[measure]))
    front: list[Candidate] = []
    for candidate in ranked:
        if not front or candidate.measured[measure] < front[-1].measured[measure]:
            front.append(candidate)
    return tuple(front)


@dataclass
class _Files:
    """Exports models and measures their files against the float32 one."""

    model: keras.Model
    data: Any
    validation: tuple[Any, np.ndarray]
    place: Path
    folder: str | os.PathLike[str] | None
    spec: Spec | None
    input_range: tuple[float, float]

    def __post_init__(self) -> None:
        plain = self.place / "float32.tflite"
        export_tflite(self.model, plain, spec=self.spec, input_range=self.input_range)
        self.float32 = verify(plain, self.validation, spec=self.spec, rivals=[plain])

    def measured(self, name: str, compressed: Compressed) -> tuple[Path | None, Verification]:
        path = self.place / f"{name}.tflite"
        export_tflite(
            compressed,
            path,
            "int8",
            representative_dataset=first_samples(
                self.data, _CALIBRATION_SAMPLES, ModelInputs.of(self.model)
            ),
            spec=self.spec,
            input_range=self.input_range,
        )
        found = verify(
            path,
            self.validation,
            spec=self.spec,
            promises=compressed.promises,
            rivals=[self.float32.path],
        )
        if self.folder is None:
            return None, found
        return Path(shutil.copy(path, self.folder)), found


def _held_out(
    model: keras.Model, data: Any, validation: Any, options: dict[str, Any]
) -> tuple[Any, tuple[Any, np.ndarray], dict[str, Any]]:
    """Takes a part of the training data away where no validation data are given."""
    if validation is not None:
        return data, validation, options
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise InvalidInputError(
            '`technique="auto"` measures on samples that are not trained on. Received: '
            f"{type(data).__name__} without `validation`. Pass validation=(x, y)."
        )
    inputs, y = ModelInputs.of(model), np.asarray(data[1])
    x = inputs.arrays(data[0])
    labels = y if y.ndim == 1 else y.argmax(axis=1)
    rest, held = train_test_split(
        np.arange(len(y)), test_size=_HELD_OUT, stratify=labels, random_state=options["seed"]
    )
    if isinstance(options.get("teacher"), np.ndarray):
        options = {**options, "teacher": options["teacher"][rest]}
    kept, shown = (tuple(array[rows] for array in x) for rows in (rest, held))
    return (kept, y[rest]), (shown, labels[held]), options


def _too_few(rows: int, max_accuracy_drop: float) -> str:
    """Says so where a single validation row weighs more than the drop that is allowed."""
    if rows >= FEW_ROWS and (not max_accuracy_drop or rows * max_accuracy_drop >= 1):
        return ""
    return (
        f"Of {rows} validation rows a single one is {points_of(1 / rows)}, and "
        f"{points_of(max_accuracy_drop)} may be lost: too few rows to tell a loss from luck."
    )


def _figures(found: Verification, float32: Verification) -> dict[str, Any]:
    """What was measured on a TFLite file beside a rival."""
    assert found.latency is not None
    (rival,) = found.rivals.values()
    return {
        "accuracy": found.accuracy,
        "bytes": found.bytes,
        "gzip_bytes": found.gzip_bytes,
        "sparsity": found.sparsity,
        "latency_ms": found.latency.median,
        "latency_ratio": found.latency.median / rival.median,
        "int8": not integer_problems(inspect_tflite(found.path)),
        "against_float32": paired_difference(found.scores.right, float32.scores.right).as_dict(),
    }


def _try(
    files: _Files, technique: str, own: Mapping[str, Any], options: dict[str, Any], least: float
) -> Candidate:
    """Makes and measures one candidate; one that does not fit the model is only noted."""
    name = "_".join([technique, *(str(value) for value in own.values())])
    try:
        compressed = compress_and_check(
            files.model, files.data, technique=technique, **{**options, **own}
        )
        file, found = files.measured(name, compressed)
    except GanAccelError as error:
        logger.warning("%s is left out: %s", technique, error)
        return Candidate(technique, own, None, None, {}, False, str(error))
    measured = _figures(found, files.float32)
    return Candidate(technique, own, compressed, file, measured, measured["accuracy"] >= least)
