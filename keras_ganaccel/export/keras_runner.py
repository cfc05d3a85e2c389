"""Runs a SavedModel in TensorFlow and a `.keras` file in Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.assumptions import range_of_front
from keras_ganaccel.classifier.outputs import output_kind
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import (
    InvalidInputError,
    UnsafeModelError,
    VerificationError,
    reason_of,
)
from keras_ganaccel.export.agreement import HABITS
from keras_ganaccel.export.inspect import TensorFacts
from keras_ganaccel.export.kernels import KernelFacts, most_distinct
from keras_ganaccel.export.metadata import MOST_METADATA_BYTES, ArtifactMetadata
from keras_ganaccel.export.naming import SIGNATURE
from keras_ganaccel.export.quiet import native_stderr_to_log
from keras_ganaccel.export.saved_graph import check_folder, check_graph
from keras_ganaccel.export.saved_model import METADATA_FILE
from keras_ganaccel.files import read_bytes
from keras_ganaccel.keras_file import check_model_file

_BATCH = 256


class TensorFlowRunner:
    """A computation in TensorFlow, with the same face as `TFLiteRunner`.

    Args:
        call: Takes one tensor per input and returns the first output.
        inputs: The inputs.
        output: The first output.
        kernels: What its kernels hold.
        parameters: The number of its weights.
        metadata: What it says of itself.
        further_outputs: The names of its other outputs.
        further_weights: The elements of matrices that are no kernel.
        taken: What its first layers show that it takes for black and white, and how.
        owner: What must stay alive as long as `call` does.
    """

    def __init__(
        self,
        call: Callable[..., tf.Tensor],
        *,
        inputs: tuple[TensorFacts, ...],
        output: TensorFacts,
        kernels: tuple[KernelFacts, ...],
        parameters: int,
        metadata: ArtifactMetadata | None,
        owner: Any,
        further_outputs: tuple[str, ...] = (),
        further_weights: int = 0,
        taken: tuple[tuple[float, float], str] | None = None,
    ) -> None:
        self.further_outputs, self.taken = further_outputs, taken
        self.further_weights = further_weights
        self.inputs, self.output, self.kernels = inputs, output, kernels
        self.parameters, self.metadata = parameters, metadata
        self.threads = tf.config.threading.get_intra_op_parallelism_threads() or None
        self._call, self._owner = call, owner
        self._warm: list[tf.Tensor] = []

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        """Computes the first output for samples ``(n, ...)``, in batches; float32."""
        received = [array.shape[1:] for array in inputs]
        expected = [facts.shape[1:] for facts in self.inputs]
        fits = len(received) == len(expected) and all(
            len(mine) == len(theirs)
            and all(t in (-1, m) for m, t in zip(mine, theirs, strict=True))
            for mine, theirs in zip(received, expected, strict=True)
        )
        if not fits or not len(inputs[0]):
            raise InvalidInputError(
                f"The artefact takes samples of shape {expected}. Received: {received}. "
                "Give samples of that shape."
            )
        starts = range(0, len(inputs[0]), _BATCH)
        batches = ([a[start : start + _BATCH] for a in inputs] for start in starts)
        return np.concatenate(
            [np.asarray(self._call(*self._tensors(batch)), np.float32) for batch in batches]
        )

    def warm(self, *inputs: np.ndarray) -> None:
        """Places the inputs, so that `invoke` alone can be timed."""
        self._warm = self._tensors(inputs)

    def invoke(self) -> None:
        """Computes one call on what `warm` placed."""
        np.asarray(self._call(*self._warm))

    def _tensors(self, inputs: Iterable[np.ndarray]) -> list[tf.Tensor]:
        return [
            tf.constant(values, facts.dtype)
            for values, facts in zip(inputs, self.inputs, strict=True)
        ]


def load_saved_model(folder: Path, *, allow_unsafe: bool = False) -> TensorFlowRunner:
    """Loads a SavedModel's ``serving_default`` signature.

    Raises:
        UnsafeModelError: If its graph reads or writes files, or calls Python.
        InvalidInputError: If its answers change from call to call.
        VerificationError: If it cannot be loaded or has no such signature, or is not of plain
            files alone.
    """
    check_folder(folder)
    constants = 0 if allow_unsafe else check_graph(folder)
    try:
        with native_stderr_to_log():
            loaded = tf.saved_model.load(str(folder))
        function = loaded.signatures[SIGNATURE]
    except Exception as error:
        raise VerificationError(
            f"The SavedModel cannot be loaded. Received: {folder.name} ({reason_of(error)}). "
            "Export it again."
        ) from error
    specs = _in_order(loaded, function.structured_input_signature[1])
    outputs = function.structured_outputs
    first = sorted(outputs)[0]

    def call(*tensors: tf.Tensor) -> tf.Tensor:
        return function(**dict(zip(specs, tensors, strict=True)))[first]

    # Those that the answers are computed from, whatever else the file calls its variables.
    weights = [(variable.name, variable.numpy()) for variable in function.variables]
    kernels = [(name, values) for name, values in weights if _is_kernel(name, values)]
    return TensorFlowRunner(
        call,
        inputs=tuple(_facts(name, spec) for name, spec in specs.items()),
        output=_facts(first, outputs[first]),
        kernels=weight_facts(kernels),
        parameters=constants + sum(values.size for _, values in weights),
        further_weights=constants + _further(weights, kernels),
        metadata=_own_word(folder),
        owner=loaded,
        further_outputs=tuple(sorted(outputs)[1:]),
    )


def _own_word(folder: Path) -> ArtifactMetadata | None:
    path = folder / METADATA_FILE
    if not path.exists():
        return None
    try:
        return ArtifactMetadata.from_json(read_bytes(path, MOST_METADATA_BYTES))
    except OSError as error:
        raise InvalidInputError(
            f"The metadata inside the artefact cannot be read. Received: {path.name} "
            f"({error.strerror}). Export the model again."
        ) from error


def _in_order(loaded: Any, specs: dict[str, Any]) -> dict[str, Any]:
    """Sorts a signature's inputs, which are by name, as the endpoint behind it takes them."""
    for endpoint in getattr(getattr(loaded, "serve", None), "concrete_functions", []):
        names = [str(spec.name) for spec in endpoint.structured_input_signature[0]]
        if set(names) == set(specs):
            return {name: specs[name] for name in names}
    return specs


def load_keras(path: Path, *, allow_unsafe: bool = False) -> TensorFlowRunner:
    """Loads a `.keras` file, in safe mode unless `allow_unsafe`.

    Raises:
        InvalidInputError: If it is no Keras 3 file, see `check_model_file`.
        UnsafeModelError: If it holds code.
        VerificationError: If it cannot be loaded.
    """
    check_model_file(path, allow_unsafe=allow_unsafe)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
    except Exception as error:
        reason = reason_of(error)
        if "safe_mode" in reason or "unsafe" in reason:
            raise UnsafeModelError(
                f"The model holds code that would run on loading. Received: {path.name}. "
                "If you trust it, pass allow_unsafe=True."
            ) from error
        raise VerificationError(
            f"The Keras file cannot be loaded. Received: {path.name} ({reason}). Save it again."
        ) from error
    return keras_runner(model)


def keras_runner(model: keras.Model) -> TensorFlowRunner:
    """Runs a Keras model in inference mode."""
    inputs = ModelInputs.of(model)
    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]

    @tf.function(autograph=False, input_signature=signature)
    def call(*tensors: tf.Tensor) -> tf.Tensor:
        return keras.tree.flatten(model(inputs.packed(tensors), training=False))[0]

    weights = [(weight.path, np.asarray(weight)) for weight in model.weights]
    kernels = [(name, values) for name, values in weights if _named_kernel(name)]
    kind = output_kind(model) if len(model.outputs[0].shape) == 2 else "samples"
    return TensorFlowRunner(
        call,
        inputs=tuple(_facts(tensor.name, tensor) for tensor in model.inputs),
        output=_facts("output", model.outputs[0]),
        kernels=weight_facts(kernels),
        parameters=model.count_params(),
        further_weights=_further(weights, kernels),
        metadata=ArtifactMetadata(output=kind),
        owner=model,
        further_outputs=tuple(str(tensor.name) for tensor in model.outputs[1:]),
        taken=_taken(model),
    )


def _taken(model: keras.Model) -> tuple[tuple[float, float], str] | None:
    """What a model of images brings to a range of habit by its first layers, if it does."""
    shape = tuple(model.inputs[0].shape[1:])
    if len(model.inputs) > 1 or len(shape) != 3 or None in shape:
        return None
    found = range_of_front(model, shape, list(HABITS))
    return None if found is None else (found, "it begins by scaling that")


def weight_facts(kernels: Iterable[tuple[str, np.ndarray]]) -> tuple[KernelFacts, ...]:
    """Counts zeros and distinct values of kernels.

    Args:
        kernels: Name and values of each.
    """
    return tuple(
        KernelFacts(
            name=name.partition(":")[0],
            operator="",
            shape=values.shape,
            dtype=str(values.dtype),
            zeros=int(values.size - np.count_nonzero(values)),
            distinct=len(np.unique(values)),
            per_channel=False,
            distinct_per_channel=most_distinct(np.moveaxis(values, -1, 0)),
        )
        for name, values in kernels
    )


def _named_kernel(name: str) -> bool:
    """Whether a weight is a kernel by its name, which in Keras' layers is not the user's."""
    return name.partition(":")[0].endswith(("kernel", "embeddings"))


def _is_kernel(name: str, values: np.ndarray) -> bool:
    """Whether a variable is a kernel, by its shape where its name is anybody's."""
    return _named_kernel(name) or (
        _is_matrix(values) and not name.partition(":")[0].endswith("bias")
    )


def _further(
    weights: Iterable[tuple[str, np.ndarray]], kernels: Iterable[tuple[str, np.ndarray]]
) -> int:
    """The elements of matrices that are no kernel."""
    counted = {id(values) for _, values in kernels}
    return sum(v.size for _, v in weights if _is_matrix(v) and id(v) not in counted)


def _is_matrix(values: np.ndarray) -> bool:
    return sum(size > 1 for size in values.shape) > 1 and np.issubdtype(values.dtype, np.floating)


def _facts(name: str, tensor: Any) -> TensorFacts:
    shape = tuple(-1 if size is None else int(size) for size in tensor.shape)
    return TensorFacts(name, shape, tf.as_dtype(tensor.dtype).name)
