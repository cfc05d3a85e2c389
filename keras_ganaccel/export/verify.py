"""Runs the very file that will be deployed, and holds it to what was promised of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, VerificationError
from keras_ganaccel.export.agreement import (
    check_classes,
    check_names,
    check_value_range,
    encoding_of,
    in_words,
    says_of_data,
)
from keras_ganaccel.export.arena import arena_bytes
from keras_ganaccel.export.artifact import Artifact, open_artifact
from keras_ganaccel.export.kernels import KernelFacts, most_distinct_of, sparsity_of
from keras_ganaccel.export.latency import Latency, measure_latency
from keras_ganaccel.export.promises import broken_promises
from keras_ganaccel.export.reference import compare, reference_of
from keras_ganaccel.export.scores import Scores, probabilities, score
from keras_ganaccel.export.taken import tried
from keras_ganaccel.metrics.proportions import PairedDifference
from keras_ganaccel.modality.image.spec import DataSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Verification:
    """Every figure of one artefact, measured on its file.

    Args:
        path: The artefact.
        format: ``"keras"``, ``"saved_model"``, ``"float32"``, ``"int8"`` and so on.
        scores: Accuracy with its interval, recall and confusion matrix.
        agreement: The share of samples where it predicts what the reference does; None without
            a reference.
        max_difference: The largest difference between its outputs (dequantized) and the
            reference's; None where these are labels only.
        reference_accuracy: The reference's own accuracy.
        against_reference: Its right answers against the reference's, row by row; None without one.
        bytes: Size of the file, or of all files.
        gzip_bytes: Size after gzip, level 9.
        parameters: The number of weights.
        macs: Multiply-accumulates of one call; None if it is no TFLite file.
        kernels: Zeros and distinct values of every kernel.
        operators: How often each operator occurs; empty if it is no TFLite file.
        dtype_in: The type of the first input.
        dtype_out: The type of the first output.
        input: ``{"shape", "scale", "offset"}``: float input = raw * scale + offset; None where
            nothing but the artefact's own word tells them.
        arena_bytes: What TFLite Micro needs; None if it is not installed or does not run it.
        latency: Latency of one batch-1 call; None if it was not asked for.
        rivals: The rivals' latencies by name, measured in turns with it.
        notes: What was assumed of the artefact, and where the user's word differs from its own.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ga.export_tflite(model, f"{folder}/student.tflite", spec=data.spec)
        ...     found = ga.verify(path, data, reference=model, latency_repeats=0)
        >>> found.format, found.parameters, found.agreement > 0.99
        ('float32', 640, True)
    """

    path: Path
    format: str
    scores: Scores
    agreement: float | None
    max_difference: float | None
    reference_accuracy: float | None
    against_reference: PairedDifference | None
    bytes: int
    gzip_bytes: int
    parameters: int
    macs: int | None
    kernels: tuple[KernelFacts, ...]
    operators: dict[str, int]
    dtype_in: str
    dtype_out: str
    input: dict[str, Any]
    arena_bytes: int | None
    latency: Latency | None
    rivals: dict[str, Latency] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """The share of right predictions."""
        return self.scores.accuracy

    @property
    def confusion_matrix(self) -> np.ndarray:
        """Counts ``(k, k)``, rows by label, columns by prediction."""
        return self.scores.confusion_matrix

    @property
    def sparsity(self) -> float:
        """The share of zeros among all kernel elements."""
        return sparsity_of(self.kernels)

    @property
    def distinct(self) -> int:
        """The most distinct values in any kernel (per channel where the scales are)."""
        return most_distinct_of(self.kernels)

    def stage(
        self, name: str, *, file: str | None = None, format: str | None = None
    ) -> dict[str, Any]:
        """Returns the row of the ledger.

        Args:
            name: The stage's name, such as ``"student_int8"``.
            file: The file, relative to the run folder; by default its name.
            format: The format to state; by default that of the file.
        """
        return {
            "name": name,
            "file": file or self.path.name,
            "format": format or self.format,
            "accuracy": self.scores.accuracy,
            "ci95": list(self.scores.ci95),
            "balanced_accuracy": self.scores.balanced_accuracy,
            "macro_f1": self.scores.macro_f1,
            "agreement": self.agreement,
            "bytes": self.bytes,
            "gzip_bytes": self.gzip_bytes,
            "parameters": self.parameters,
            "sparsity": self.sparsity,
            "latency_ms": self.latency.as_dict() if self.latency else None,
            "dtype_in": self.dtype_in,
            "dtype_out": self.dtype_out,
            "input": dict(self.input),
            "log_loss": self.scores.log_loss,
            "calibration_error": self.scores.calibration_error,
            "auc": self.scores.auc,
            "robust": None,
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns every figure in a form that JSON takes."""
        return {
            **self.stage(self.path.stem),
            "recall": list(self.scores.recall),
            "confusion_matrix": self.scores.confusion_matrix.tolist(),
            "max_difference": self.max_difference,
            "reference_accuracy": self.reference_accuracy,
            "against_reference": (
                None if self.against_reference is None else self.against_reference.as_dict()
            ),
            "macs": self.macs,
            "distinct": self.distinct,
            "kernels": [
                {
                    "name": k.name,
                    "shape": list(k.shape),
                    "dtype": k.dtype,
                    "zeros": k.zeros,
                    "distinct": k.distinct,
                    "per_channel": k.per_channel,
                    "distinct_per_channel": k.distinct_per_channel,
                }
                for k in self.kernels
            ],
            "operators": dict(self.operators),
            "arena_bytes": self.arena_bytes,
            "rivals": {name: latency.as_dict() for name, latency in self.rivals.items()},
            "notes": list(self.notes),
        }


def verify(
    artifact: str | os.PathLike[str] | Artifact,
    data: LabelledData | tuple[Any, np.ndarray],
    *,
    reference: Any = None,
    reference_x: Any = None,
    spec: Spec | None = None,
    input_range: tuple[float, float] | None = None,
    value_range: tuple[float, float] | None = None,
    output: str | None = None,
    promises: Mapping[str, Any] | None = None,
    min_accuracy: float | None = None,
    max_drop: float | None = None,
    max_bytes: int | None = None,
    max_latency_ratio: float | None = None,
    rivals: Sequence[str | os.PathLike[str]] = (),
    threads: int = 1,
    latency_repeats: int = 100,
    allowed_operators: Iterable[str] | None = None,
    allow_unsafe: bool = False,
) -> Verification:
    """Measures an artefact on labelled samples, by running its own file.

    A TFLite file is read first, and refused before anything runs if it is no valid flatbuffer or
    uses an operator that is not allowed. It then runs in the ai-edge-litert interpreter, a
    SavedModel in TensorFlow, a `.keras` file in Keras.

    Args:
        artifact: A ``.tflite`` or ``.keras`` file, or the folder of a SavedModel; or one that
            `open_artifact` has opened.
        data: The data, whose test split is measured on, in the range that the artefact takes. Or
            samples and labels: ``x`` float32 ``(n, ...)`` as the Keras model takes them, whole
            numbers where it looks them up, for several inputs a list, tuple or dict of arrays;
            ``y`` integers ``(n,)``. Files with the preprocessing inside are fed the raw values.
        reference: What to compare with: a Keras model, its probabilities ``(n, k)``, or
            predicted labels ``(n,)``.
        reference_x: Samples for a reference that takes others.
        spec: The description of the samples, if `data` are arrays. Class names and value range of
            an artefact that states them must be the same.
        input_range: What the model takes for black and white, if not what the artefact says, else
            what is found out: by its input's type, its first layers, and on samples that are not
            the test split's.
        value_range: The raw values that mean black and white, if not what the artefact says.
        output: What the output means, if not what the artefact says or was recognised.
        promises: What was promised, see `broken_promises`.
        min_accuracy: The gate on accuracy.
        max_drop: The gate on the reference's accuracy minus the artefact's.
        max_bytes: The gate on the size.
        max_latency_ratio: The gate on the artefact's median latency over the first rival's.
        rivals: Artefacts to measure latency against, in turns.
        threads: How many threads TFLite files compute with.
        latency_repeats: Timed calls; 0 measures no latency.
        allowed_operators: The operators that may occur, see `inspect_tflite`.
        allow_unsafe: Loads a `.keras` file even if it holds code.

    Returns:
        Every figure.

    Raises:
        InvalidInputError: If the artefact is no valid one, no classifier, or not for these data:
            its class names or its value range are others.
        VerificationError: If promises or gates are broken; all of them are named. Or if its
            outputs are no numbers, or not what it says of them.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> model.compile(keras.optimizers.Adam(0.01), loss)
        >>> history = model.fit(*data.arrays("train"), epochs=5, verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ga.export_tflite(model, f"{folder}/student.tflite", spec=data.spec)
        ...     found = ga.verify(path, data, min_accuracy=0.5)
        >>> found.format, found.accuracy > 0.5
        ('float32', True)
    """
    overrides = _overrides(input_range, value_range, output)
    opened = artifact if isinstance(artifact, Artifact) else open_artifact(
        artifact,
        threads=threads,
        allowed_operators=allowed_operators,
        overrides=overrides,
        allow_unsafe=allow_unsafe,
    )  # fmt: skip
    spec = data.spec if isinstance(data, LabelledData) else spec
    if (
        isinstance(data, LabelledData)
        and isinstance(data.spec, DataSpec)
        and opened.assumed is not None
    ):
        opened = tried(opened, data)
    x, y, agreed = _samples(opened, data, spec, value_range)
    # Of samples that are scaled already nobody can tell from which raw values they were.
    confirmed = spec is not None or value_range is not None or opened.metadata.raw_input
    outputs = opened.outputs(x)
    kind = opened.kind_of(outputs)
    if spec is not None and not says_of_data(opened.metadata):
        opened = opened.described(spec)
    chances = probabilities(outputs, kind)
    agreed += check_classes(
        opened.path.name,
        sum(int(np.prod(array.shape[1:])) for array in x),
        chances.shape[1],
        bool(opened.metadata.class_names) and opened.stated,
        y,
        spec,
    )
    scores = score(chances.argmax(axis=1), y, chances.shape[1], chances=chances)
    known = reference_of(reference, x if reference_x is None else reference_x, len(y))
    comparison = compare(known, outputs, chances, kind, y)
    latencies = _latencies(opened, x, rivals, threads, latency_repeats, overrides)
    result = Verification(
        path=opened.path,
        format=opened.format,
        scores=scores,
        agreement=comparison.agreement,
        max_difference=comparison.max_difference,
        reference_accuracy=comparison.accuracy,
        against_reference=comparison.paired,
        bytes=opened.bytes,
        gzip_bytes=opened.gzip_bytes,
        parameters=opened.parameters,
        macs=opened.file_facts.macs if opened.file_facts else None,
        kernels=opened.kernels,
        operators=opened.file_facts.operators if opened.file_facts else {},
        dtype_in=opened.inputs[0].dtype,
        dtype_out=opened.output.dtype,
        input={
            "shape": [abs(size) for size in opened.inputs[0].shape],
            "scale": opened.input_scale if confirmed else None,
            "offset": opened.input_offset if confirmed else None,
        },
        arena_bytes=arena_bytes(opened.path) if opened.file_facts else None,
        latency=latencies.get(_OWN),
        rivals={name: value for name, value in latencies.items() if name != _OWN},
        notes=(*opened.remarks, *agreed),
    )
    for note in result.notes:
        logger.warning("%s", note)
    failures = [
        *broken_promises(opened.kernels, opened.file_facts, promises or {}, opened.further_weights),
        *_broken_gates(result, min_accuracy, max_drop, max_bytes, max_latency_ratio),
    ]
    if failures:
        raise VerificationError(
            f"{opened.path.name} does not keep what was promised. Received: {'; '.join(failures)}. "
            "Export it again, or promise less."
        )
    return result


_OWN = ""


def _overrides(
    input_range: tuple[float, float] | None,
    value_range: tuple[float, float] | None,
    output: str | None,
) -> dict[str, Any]:
    given = {"input_range": input_range, "value_range": value_range, "output": output}
    return {name: value for name, value in given.items() if value is not None}


def _samples(
    opened: Artifact,
    data: LabelledData | tuple[Any, np.ndarray],
    spec: Spec | None,
    value_range: tuple[float, float] | None,
) -> tuple[tuple[np.ndarray, ...], np.ndarray, tuple[str, ...]]:
    """Returns samples as the model takes them, labels, and in what they differ from the file."""
    name, metadata = opened.path.name, opened.metadata
    check_names(name, metadata, spec)
    notes: tuple[str, ...] = ()
    if isinstance(spec, DataSpec) and value_range is None:
        notes = check_value_range(name, metadata, spec)
    if isinstance(data, LabelledData):
        data = replace(data, spec=encoding_of(metadata, data.spec))
        unit, labels = data.arrays("test")
        low, high = (np.float32(end) for end in metadata.input_range)
        return (low + (high - low) * unit,), labels, notes
    x, y = opened.samples(data[0]), np.asarray(data[1])
    if y.shape != (len(x[0]),) or not np.issubdtype(y.dtype, np.integer):
        raise InvalidInputError(
            "`data` must be samples and as many integer labels. "
            f"Received: {len(x[0])} samples and {y.dtype} {y.shape}. Give (x, y)."
        )
    if spec is None and value_range is None and says_of_data(metadata):
        notes += (
            f"that {name} is for raw values in {in_words(metadata.value_range)} is its own word: "
            "the samples were given without `spec` to compare it with",
        )
    return x, y, notes


def _latencies(
    opened: Artifact,
    x: tuple[np.ndarray, ...],
    rivals: Sequence[str | os.PathLike[str]],
    threads: int,
    repeats: int,
    overrides: dict[str, Any],
) -> dict[str, Latency]:
    if not repeats:
        return {}
    calls = {}
    names = [_OWN, *(os.fspath(rival) for rival in rivals)]
    others = (open_artifact(rival, threads=threads, overrides=overrides) for rival in rivals)
    for name, artifact in zip(names, (opened, *others), strict=True):
        artifact.runner.warm(*artifact.fed(tuple(array[:1] for array in x)))
        calls[name] = artifact.runner.invoke
    return measure_latency(calls, repeats=repeats, threads=opened.runner.threads)


def _broken_gates(
    result: Verification,
    min_accuracy: float | None,
    max_drop: float | None,
    max_bytes: int | None,
    max_latency_ratio: float | None,
) -> list[str]:
    failures = []
    if min_accuracy is not None and result.accuracy < min_accuracy:
        failures.append(f"accuracy is {result.accuracy:.4f}, not at least {min_accuracy}")
    if max_drop is not None:
        if result.reference_accuracy is None:
            raise InvalidInputError(
                "`max_drop` needs a reference to drop from. Received: reference=None. "
                "Give the Keras model."
            )
        drop = result.reference_accuracy - result.accuracy
        if drop > max_drop:
            failures.append(f"accuracy drops by {drop:.4f}, not at most {max_drop}")
    if max_bytes is not None and result.bytes > max_bytes:
        failures.append(f"the file has {result.bytes} bytes, not at most {max_bytes}")
    if max_latency_ratio is not None:
        if result.latency is None or not result.rivals:
            raise InvalidInputError(
                "`max_latency_ratio` needs a rival to be faster than. "
                f"Received: {len(result.rivals)} rivals. Give `rivals`."
            )
        ratio = result.latency.median / next(iter(result.rivals.values())).median
        if ratio > max_latency_ratio:
            failures.append(f"latency is {ratio:.2f} of the rival's, not {max_latency_ratio}")
    return failures
