"""The computation that goes into an artefact: a model, with its preprocessing if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.classifier.outputs import output_kind
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.metadata import ArtifactMetadata
from keras_ganaccel.export.naming import input_names, output_names


@dataclass(frozen=True)
class Serving:
    """A traceable computation with named inputs and outputs.

    Args:
        call: Takes one tensor per input and returns a list with one tensor per output.
        inputs: Shape, dtype and name of each input.
        outputs: The names of the outputs.
    """

    call: Callable[..., Sequence[tf.Tensor]]
    inputs: tuple[tf.TensorSpec, ...]
    outputs: tuple[str, ...]


def kind_of(model: Any) -> str:
    """Tells what a model puts out, see `ArtifactMetadata.output`.

    Args:
        model: A Keras model, or a compression result with a `keras_model`.
    """
    plain = model if isinstance(model, keras.Model) else model.keras_model
    shape = plain.outputs[0].shape if getattr(plain, "outputs", None) else ()
    return output_kind(plain) if len(shape) == 2 else "samples"


def keras_serving(
    model: keras.Model, kind: str, batch_size: int | None, spec: Spec | None = None
) -> Serving:
    """Describes a built Keras 3 model in inference mode; it is neither changed nor copied.

    Args:
        model: A functional or sequential model, or a subclassed one that was built by a call.
        kind: What its output means, see `ArtifactMetadata.output`.
        batch_size: The static batch size, or None for a dynamic one.
        spec: Gives the size of images that the model leaves open.

    Raises:
        InvalidInputError: If the model's inputs are not known.
    """
    inputs = ModelInputs.of(model)

    def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
        return _float32(keras.tree.flatten(model(inputs.packed(tensors), training=False)))

    specs = tuple(
        tf.TensorSpec((batch_size, *_filled(shape, spec)), dtype, name=name)
        for shape, dtype, name in zip(
            inputs.shapes, inputs.dtypes, input_names(inputs.names), strict=True
        )
    )
    return Serving(call, specs, tuple(output_names(kind, len(model.outputs))))


def traced_serving(function: Any, kind: str, batch_size: int | None) -> Serving:
    """Describes a concrete function, such as a quantization-aware trained model's."""
    given = [tensor for tensor in function.inputs if tensor.dtype != tf.resource]
    names = ["image"] if len(given) == 1 else input_names([t.op.name for t in given])
    specs = tuple(
        tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype, name=name)
        for tensor, name in zip(given, names, strict=True)
    )

    def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
        return _float32(tf.nest.flatten(function(*tensors)))

    count = len(tf.nest.flatten(function.structured_outputs))
    return Serving(call, specs, tuple(output_names(kind, count)))


def with_raw_input(serving: Serving, metadata: ArtifactMetadata) -> Serving:
    """Puts the way from raw uint8 values to the model's input in front of a float computation.

    Args:
        serving: What takes float32 in ``metadata.input_range``.
        metadata: The value ranges.
    """
    low, high = metadata.value_range
    scale = metadata.raw_scale
    offset = metadata.input_range[0] - low * scale

    def call(raw: tf.Tensor) -> Sequence[tf.Tensor]:
        values = tf.cast(raw, tf.float32)
        if (low, high) != (0.0, 255.0):
            values = tf.clip_by_value(values, low, high)
        values = values * scale
        return serving.call(values + offset if offset else values)

    spec = serving.inputs[0]
    return replace(serving, call=call, inputs=(tf.TensorSpec(spec.shape, tf.uint8, spec.name),))


def check_raw_input(serving: Serving, metadata: ArtifactMetadata) -> None:
    """Refuses `raw_input` where it makes no sense.

    Raises:
        InvalidInputError: If there is not one float input, or the raw values are no bytes.
    """
    if len(serving.inputs) != 1 or serving.inputs[0].dtype != tf.float32:
        raise InvalidInputError(
            "`raw_input` needs a model with one float input. "
            f"Received: {len(serving.inputs)} inputs. Export it without."
        )
    low, high = metadata.value_range
    if not 0 <= low < high <= 255:
        raise InvalidInputError(
            "`raw_input` makes the file take uint8 values, so that `value_range` must lie in "
            f"[0, 255]. Received: {metadata.value_range}. Export without `raw_input`."
        )


def _filled(shape: tuple[int | None, ...], spec: Spec | None) -> tuple[int | None, ...]:
    """Fills the image size that a model leaves open."""
    if spec is None or len(shape) != 3:
        return shape
    pairs = zip(shape, spec.sample_shape, strict=True)
    return tuple(size or known for size, known in pairs)


def _float32(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Gives half-precision outputs of mixed-precision models back their full type."""
    return [
        tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tensor
        for tensor in tensors
    ]
