"""One face for the three kinds of artefact: a `.tflite` file, a SavedModel, a `.keras` file."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.export.agreement import (
    HABITS,
    check_width,
    in_words,
    overridden,
    range_of_input,
)
from keras_ganaccel.export.inspect import FileFacts, TensorFacts, inspect_tflite
from keras_ganaccel.export.interpreter import TFLiteRunner
from keras_ganaccel.export.kernels import KernelFacts
from keras_ganaccel.export.metadata import ArtifactMetadata, described_by
from keras_ganaccel.export.promises import are_many
from keras_ganaccel.export.quiet import native_stderr_to_log
from keras_ganaccel.export.scores import kind_of_values, probabilities


class Runner(Protocol):
    """What runs an artefact.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> class Pixels:
        ...     threads = None
        ...     def run(self, *inputs):
        ...         return inputs[0].reshape(len(inputs[0]), -1).astype(np.float32)
        ...     def warm(self, *inputs):
        ...         self.inputs = inputs
        ...     def invoke(self):
        ...         self.run(*self.inputs)
        >>> runner: ga.Runner = Pixels()
        >>> runner.run(np.zeros((3, 8, 8, 1))).shape
        (3, 64)
    """

    @property
    def threads(self) -> int | None:
        """How many threads compute; None if that is not known."""

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        """Computes the first output of samples ``(n, ...)``, float32."""

    def warm(self, *inputs: np.ndarray) -> None:
        """Places one call's inputs."""

    def invoke(self) -> None:
        """Computes one call on them."""


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded artefact and what its file says.

    Args:
        path: The file or folder.
        format: ``"keras"``, ``"saved_model"``, or a TFLite file's quantization.
        runner: Runs it.
        metadata: Class names, input range and output kind.
        bytes: Its size, all files together.
        gzip_bytes: Its size after gzip, level 9.
        parameters: The number of its weights.
        kernels: What its kernels hold.
        inputs: The inputs.
        output: The first output.
        further_outputs: The names of the others.
        further_weights: The elements of matrices that are no kernel.
        stated: Whether `metadata` is the artefact's own word.
        notes: What its figures do not show, and where the user's word differs from its own.
        assumed: Why its input range is taken for what `metadata` says; None where the artefact or
            the user says so.
        file_facts: All that was read from a TFLite file; None otherwise.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> from keras_ganaccel.export.artifact import open_artifact
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/student.tflite"
        ...     path = ga.export_tflite(model, path, class_names=("cat", "dog"))
        ...     artifact = open_artifact(path)
        >>> artifact.format, artifact.parameters, artifact.metadata.class_names
        ('float32', 128, ('cat', 'dog'))
    """

    path: Path
    format: str
    runner: Runner
    metadata: ArtifactMetadata
    bytes: int
    gzip_bytes: int
    parameters: int
    kernels: tuple[KernelFacts, ...]
    inputs: tuple[TensorFacts, ...]
    output: TensorFacts
    further_outputs: tuple[str, ...] = ()
    further_weights: int = 0
    stated: bool = True
    notes: tuple[str, ...] = ()
    assumed: str | None = None
    file_facts: FileFacts | None = field(default=None, repr=False)

    def outputs(self, x: np.ndarray | tuple[np.ndarray, ...]) -> np.ndarray:
        """Computes the first output, dequantized.

        Args:
            x: Samples as the model takes them: float32 in ``metadata.input_range``, also where
                the file itself takes raw values. For several inputs, a tuple of arrays.
        """
        return self.runner.run(*self.fed(x))

    def samples(self, x: Any) -> tuple[np.ndarray, ...]:
        """Brings samples into one form: an array for each input, in the file's order.

        Args:
            x: One array ``(n, ...)``; for several inputs a list, tuple or dict by their names.

        Returns:
            Arrays of equal length: float32, or whole numbers where the file looks them up.

        Raises:
            InvalidInputError: They do not fit the file.
        """
        return ModelInputs(
            names=tuple(facts.name for facts in self.inputs),
            shapes=tuple(
                tuple(None if size == -1 else size for size in facts.shape[1:])
                for facts in self.inputs
            ),
            dtypes=tuple(
                "float32" if self.metadata.raw_input or facts.scales else facts.dtype
                for facts in self.inputs
            ),
        ).arrays(x)

    def probabilities(self, x: np.ndarray | tuple[np.ndarray, ...]) -> np.ndarray:
        """Computes class probabilities, float32 ``(n, k)``; `x` as for `outputs`."""
        outputs = self.outputs(x)
        kind = self.kind_of(outputs)
        width = outputs.shape[-1]
        if kind == "logits" and not self.metadata.class_names and width > 2:
            first = x[0] if isinstance(x, tuple) else x
            if width == math.prod(first.shape[1:]):
                raise InvalidInputError(
                    f"{self.path.name} is no classifier. Received: as many outputs as a sample has "
                    f"numbers, {width}: it rebuilds its input. Name the classes if it is one."
                )
        return probabilities(outputs, kind)

    def kind_of(self, outputs: np.ndarray) -> str:
        """Tells what its outputs mean, and refuses those that are not what it says of them.

        Raises:
            InvalidInputError: If it has several outputs.
            VerificationError: See `kind_of_values`.
        """
        if self.further_outputs:
            raise InvalidInputError(
                f"A classifier has one output. Received: {self.path.name} with "
                f"{self.output.name!r} and {', '.join(map(repr, self.further_outputs[:8]))}. "
                "Export the one that tells the classes."
            )
        check_width(self.path.name, self.metadata, outputs.shape[-1])
        # Every class of a quantized softmax may be half a step off.
        steps = max(self.output.scales, default=0.0) * (1 + outputs.shape[-1] / 2)
        return kind_of_values(
            outputs, self.metadata.output, stated=self.stated, tolerance=0.01 + steps
        )

    def fed(self, x: np.ndarray | tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Brings samples into the form that the runner is fed with."""
        inputs = x if isinstance(x, tuple) else (x,)
        if self.metadata.raw_input:
            return (self.metadata.to_raw(inputs[0]),)
        return inputs

    def given(self, overrides: Mapping[str, Any]) -> Artifact:
        """Lets the user's word go before the artefact's, and notes where they differ.

        Args:
            overrides: Fields of `ArtifactMetadata`.

        Raises:
            InvalidInputError: If they do not fit it.
        """
        metadata, notes = overridden(self.path.name, self.metadata, self.stated, overrides)
        width = self.output.shape[-1] if self.output.shape else None
        check_width(self.path.name, metadata, None if width == -1 else width)
        assumed = None if "input_range" in overrides else self.assumed
        return replace(self, metadata=metadata, notes=(*self.notes, *notes), assumed=assumed)

    def described(self, spec: Spec) -> Artifact:
        """Lets a description of the data tell what an artefact leaves open."""
        return replace(self, metadata=replace(self.metadata, **described_by(spec)))

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what was assumed."""
        name, assumed = self.path.name, []
        if self.assumed is not None:
            taken = in_words(self.metadata.input_range)
            assumed.append(
                f"{name} does not say what it takes; input_range {taken} is assumed: {self.assumed}"
            )
        if not self.stated and self.metadata.output.startswith("binary"):
            kind = self.metadata.output.removeprefix("binary_")
            assumed.append(
                f"{name} puts out a single number, which is taken for the {kind} of the second of "
                "two classes; of a regression nothing is known"
            )
        if are_many(self.further_weights, self.kernels):
            elements = sum(kernel.elements for kernel in self.kernels)
            assumed.append(
                f"{self.further_weights} weights of {name} are in no kernel, beside {elements} "
                "that are: zeros and multiplications count in kernels alone"
            )
        return (*self.notes, *assumed)

    @property
    def digest(self) -> str | None:
        """The SHA-256 of the bytes that run; None if it is no TFLite file."""
        return self.file_facts.digest if self.file_facts else None

    @property
    def input_scale(self) -> float:
        """The factor in ``float input = raw * scale + offset``."""
        if not self.metadata.raw_input:
            return self.metadata.raw_scale
        return self.inputs[0].scales[0] if self.inputs[0].scales else 1.0

    @property
    def input_offset(self) -> float:
        """The summand in ``float input = raw * scale + offset``."""
        if not self.metadata.raw_input:
            return self.metadata.raw_offset
        zero_points = self.inputs[0].zero_points
        return -zero_points[0] * self.input_scale if zero_points else 0.0


def open_artifact(
    path: str | os.PathLike[str],
    *,
    threads: int = 1,
    allowed_operators: Iterable[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_unsafe: bool = False,
) -> Artifact:
    """Inspects and loads an artefact; TensorFlow is only imported if it is no TFLite file.

    Args:
        path: A ``.tflite`` or ``.keras`` file, or the folder of a SavedModel.
        threads: How many threads a TFLite file computes with.
        allowed_operators: The operators that may occur, see `inspect_tflite`.
        overrides: Fields of `ArtifactMetadata` that go before what the artefact says of itself.
        allow_unsafe: Loads a `.keras` file even if it holds code.

    Raises:
        MissingFileError: If it does not exist.
        InvalidInputError: If it is none of the three, or no valid one.
        VerificationError: If it cannot be loaded.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(
            f"The artefact does not exist. Received: {path}. Give a .tflite or .keras file, "
            "or the folder of a SavedModel."
        )
    if path.suffix == ".tflite":
        artifact = _open_tflite(path, threads, allowed_operators)
    elif path.suffix == ".keras" or (path / "saved_model.pb").is_file():
        artifact = _open_tensorflow(path, allow_unsafe)
    else:
        raise InvalidInputError(
            "An artefact is a .tflite file, a .keras file, or the folder of a SavedModel. "
            f"Received: {path}. Export the model first."
        )
    return artifact.given(overrides or {})


def _open_tflite(path: Path, threads: int, allowed_operators: Iterable[str] | None) -> Artifact:
    facts = inspect_tflite(path, allowed_operators=allowed_operators)
    with native_stderr_to_log():
        runner = TFLiteRunner(facts.content, path.name, threads, apart=facts.loops)
    output = facts.outputs[0]
    taken, assumed = _taken(facts.inputs[0])
    metadata = facts.metadata or ArtifactMetadata(
        output=_kind_of_output(output.shape, facts.output_operator), input_range=taken
    )
    return Artifact(
        path=path,
        format=facts.format,
        runner=runner,
        metadata=metadata,
        stated=facts.metadata is not None,
        assumed=None if facts.metadata is not None else assumed,
        bytes=facts.bytes,
        gzip_bytes=facts.gzip_bytes,
        parameters=facts.parameters,
        kernels=facts.kernels,
        inputs=facts.inputs,
        output=output,
        further_outputs=tuple(further.name for further in facts.outputs[1:]),
        further_weights=facts.further_weights,
        notes=(
            (
                f"{path.name} keeps something between calls; it was reset before each sample, as "
                "the device must",
            )
            if facts.keeps_state
            else ()
        ),
        file_facts=facts,
    )


def _kind_of_output(shape: tuple[int, ...], operator: str = "") -> str:
    """Recognises by its shape and last operator what a file without our metadata puts out."""
    if len(shape) != 2:
        return "samples"
    if shape[1] == 1:
        return "binary_probability" if operator == "LOGISTIC" else "binary_logit"
    return "softmax" if operator == "SOFTMAX" else "logits"


def _open_tensorflow(path: Path, allow_unsafe: bool) -> Artifact:
    from keras_ganaccel.export.keras_runner import load_keras, load_saved_model

    is_folder = path.is_dir()
    load = load_saved_model if is_folder else load_keras
    runner = load(path, allow_unsafe=allow_unsafe)
    size, compressed = _sizes(path)
    stated = is_folder and runner.metadata is not None
    taken, assumed = runner.taken or _taken(runner.inputs[0])
    own = ArtifactMetadata(output=_kind_of_output(runner.output.shape))
    return Artifact(
        path=path,
        format="saved_model" if is_folder else "keras",
        runner=runner,
        metadata=(
            runner.metadata
            if runner.metadata is not None and stated
            else replace(runner.metadata or own, input_range=taken)
        ),
        stated=stated,
        assumed=None if stated else assumed,
        bytes=size,
        gzip_bytes=compressed,
        parameters=runner.parameters,
        kernels=runner.kernels,
        inputs=runner.inputs,
        output=runner.output,
        further_outputs=runner.further_outputs,
        further_weights=runner.further_weights,
    )


def _taken(facts: TensorFacts) -> tuple[tuple[float, float], str]:
    """What is assumed to be black and white for an input, and why."""
    return range_of_input(facts) or (HABITS[0], "nothing tells otherwise")


def _sizes(path: Path) -> tuple[int, int]:
    """Returns a file's or folder's bytes, as they are and after gzip, file by file."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    contents = [file.read_bytes() for file in files]
    compressed = sum(len(gzip.compress(content, 9, mtime=0)) for content in contents)
    return sum(map(len, contents)), compressed
