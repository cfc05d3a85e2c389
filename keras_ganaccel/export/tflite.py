"""From a Keras model to a TFLite file: deterministic, builtins only, self-describing."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.compression.plain import in_float32
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, UnsupportedLayerError, nearest
from keras_ganaccel.export import flatbuffer, naming
from keras_ganaccel.export.calibration import as_generator, calibration_rows, pin_range
from keras_ganaccel.export.graph import canonical_function, has_loops, has_one_hot
from keras_ganaccel.export.metadata import ENTRY, ArtifactMetadata, described_by
from keras_ganaccel.export.post_training import check_close_to_model
from keras_ganaccel.export.quiet import native_stderr_to_log
from keras_ganaccel.export.serving import (
    Serving,
    check_raw_input,
    keras_serving,
    kind_of,
    traced_serving,
    with_raw_input,
)
from keras_ganaccel.files import atomic_open
from keras_ganaccel.initial_weights import check_finite_weights

QUANTIZATIONS = ("float32", "float16", "dynamic_range", "int8", "int16x8")

_FOREIGN_OPERATOR = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_IO_DTYPES = {"int8": ("int8", "uint8"), "int16x8": ("int16",)}


def export_tflite(
    model: Any,
    path: str | os.PathLike[str],
    quantization: str = "float32",
    *,
    representative_dataset: Any = None,
    spec: Spec | None = None,
    class_names: tuple[str, ...] | None = None,
    output: str | None = None,
    input_range: tuple[float, float] = (0.0, 1.0),
    raw_input: bool = False,
    io_dtype: str | None = None,
    batch_size: int | None = 1,
    per_tensor_dense: bool = False,
    select_tf_ops: bool = False,
) -> Path:
    """Writes a model as a TFLite file that depends on its weights and nothing else.

    The file keeps the model's own outputs (logits stay logits), with one named signature
    ``serving_default``. The same weights give the same bytes, in this process or another,
    whatever the layers are called.

    Args:
        model: A functional or sequential Keras 3 model, or the result of
            `keras_ganaccel.compress`. A quantization-aware trained one carries its own ranges and
            needs no representative data set.
        path: Where to write. The file appears whole or not at all.
        quantization: ``"float32"``, ``"float16"`` (weights), ``"dynamic_range"`` (int8 weights,
            float in and out), ``"int8"`` (full: int8 in and out) or ``"int16x8"`` (int16
            activations in and out, int8 weights).
        representative_dataset: For ``"int8"`` and ``"int16x8"``: samples as the model takes them
            (float32 in `input_range`), ``(n, ...)``; for several inputs a list, tuple or dict of
            such arrays; or an iterable of samples. From the training split, never from test data.
        spec: The description of the data; gives class names, and value range or the columns of a
            table, to the metadata.
        class_names: Names of the classes, if there is no `spec`.
        output: What the output means: ``"logits"``, ``"softmax"``, ``"binary_logit"``,
            ``"binary_probability"`` or ``"samples"``. Recognised from the last layer by default.
        input_range: What the model takes for black and white.
        raw_input: Bakes the preprocessing in: the file takes raw uint8 values in
            ``spec.value_range``.
        io_dtype: ``"int8"`` or ``"uint8"`` in and out for ``"int8"``.
        batch_size: The static batch size; None makes it dynamic.
        per_tensor_dense: One scale per dense kernel instead of one per channel, as kernels for
            microcontrollers may need.
        select_tf_ops: Allows TensorFlow operators that not every interpreter has.

    Returns:
        The path.

    Raises:
        InvalidInputError: If an argument does not fit the model or another one.
        UnsupportedLayerError: If something in the model has no TFLite builtin.
        EquivalenceError: If a file that was quantized after training answers the calibration
            samples otherwise than the model, beyond what quantization explains.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/student.tflite"
        ...     path = ga.export_tflite(model, path, class_names=("cat", "dog"))
        ...     path.name, path.stat().st_size < 4000
        ('student.tflite', True)
    """
    path = Path(path)
    _check_choices(quantization, io_dtype, raw_input, representative_dataset, model)
    described = described_by(spec)
    if class_names:
        described["class_names"] = tuple(class_names)
    metadata = ArtifactMetadata(
        **described,
        output=output or kind_of(model),
        input_range=input_range,
        raw_input=raw_input,
        quantization=quantization,
    )
    integer = quantization in _IO_DTYPES
    serving = _serving_of(model, metadata, quantization, batch_size, spec)
    if raw_input:
        check_raw_input(serving, metadata)
        serving = serving if integer else with_raw_input(serving, metadata)
    rows = None
    if integer and not _is_quantization_aware(model):
        rows = _calibration(representative_dataset, model, serving, metadata)
    with native_stderr_to_log():
        converter = _converter(serving, quantization, rows, _is_quantization_aware(model))
        if integer:
            _set_io_types(converter, quantization, io_dtype, raw_input)
        if select_tf_ops:
            converter.target_spec.supported_ops |= {tf.lite.OpsSet.SELECT_TF_OPS}
        converter._experimental_disable_per_channel_quantization_for_dense_layers = per_tensor_dense
        content = _converted(converter)
        # TensorFlow's own operators run nowhere but there.
        if rows is not None and not select_tf_ops:
            check_close_to_model(content, serving, rows, quantization)
    with atomic_open(path) as file:
        file.write(_finished(content, serving, metadata))
    return path


def _check_choices(
    quantization: str, io_dtype: str | None, raw_input: bool, samples: Any, model: Any
) -> None:
    if quantization not in QUANTIZATIONS:
        raise InvalidInputError(
            f"`quantization` must be a known format. Received: {quantization!r}. "
            + nearest(quantization, QUANTIZATIONS)
        )
    allowed = _IO_DTYPES.get(quantization, ())
    if io_dtype is not None and io_dtype not in allowed:
        raise InvalidInputError(
            f"`io_dtype` does not fit {quantization!r}. Received: {io_dtype!r}. "
            + (nearest(io_dtype, allowed) if allowed else "Leave it out: such files take float32.")
        )
    if allowed and samples is None and not _is_quantization_aware(model):
        raise InvalidInputError(
            f"`representative_dataset` is needed for {quantization!r}. Received: None. "
            "Give some hundred training samples."
        )
    if raw_input and quantization == "int16x8":
        raise InvalidInputError(
            "`raw_input` makes the file take uint8, which int16x8 files cannot. "
            "Received: raw_input=True. Choose 'int8' or a float format."
        )


def _is_quantization_aware(model: Any) -> bool:
    """Whether this is a compression result whose ranges were trained."""
    return not isinstance(model, keras.Model) and getattr(model, "tf_keras_model", None) is not None


def _serving_of(
    model: Any,
    metadata: ArtifactMetadata,
    quantization: str,
    batch_size: int | None,
    spec: Spec | None,
) -> Serving:
    if _is_quantization_aware(model) and quantization == "int8":
        function = model.concrete_function(batch_size)
        return traced_serving(function, metadata.output, batch_size)
    plain = model if isinstance(model, keras.Model) else model.keras_model
    check_finite_weights(plain)
    serving = keras_serving(in_float32(plain), metadata.output, batch_size, spec)
    for given in serving.inputs:
        if None in given.shape[1:]:
            raise InvalidInputError(
                f"A sample's shape must be known for TFLite. Received: {given.shape}. "
                "Pass `spec`, or build the model for one size."
            )
    return serving


def _calibration(samples: Any, model: Any, serving: Serving, metadata: ArtifactMetadata) -> Any:
    """Returns calibration rows; those of a classifier of images span the whole input range."""
    if isinstance(samples, Mapping):
        plain = model if isinstance(model, keras.Model) else model.keras_model
        samples = ModelInputs.of(plain).arrays(samples)
    rows = calibration_rows(samples, serving.inputs)
    is_image = len(serving.inputs) == 1 and serving.inputs[0].dtype.is_floating
    if metadata.output != "samples" and is_image and metadata.spec is None:
        pin_range(rows, *metadata.input_range)
    return rows


def _converter(serving: Serving, quantization: str, rows: Any, aware: bool) -> Any:
    function = canonical_function(serving.call, serving.inputs, serving.outputs)
    if rows is not None and has_loops(function):
        # The converter's calibrator would take the process down with it.
        raise UnsupportedLayerError(
            f"Loops cannot be calibrated for {quantization!r}. Received: a recurrent layer. "
            "Build it with unroll=True, or choose 'dynamic_range'."
        )
    if has_one_hot(function) and (rows is not None or (aware and quantization == "int8")):
        raise UnsupportedLayerError(
            f"A one-hot encoding does not keep its values in {quantization!r}. Received: a layer "
            "such as CategoryEncoding. Encode in front of the model, look up with Embedding, or "
            "choose 'dynamic_range'."
        )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.exclude_conversion_metadata = True
    if quantization == "float32":
        return converter
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif quantization == "int8" and not aware:
        converter.target_spec.supported_ops = {tf.lite.OpsSet.TFLITE_BUILTINS_INT8}
    elif quantization == "int16x8":
        int16 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = {int16}
    if rows is not None:
        converter.representative_dataset = as_generator(rows)
    return converter


def _set_io_types(converter: Any, quantization: str, io_dtype: str | None, raw_input: bool) -> None:
    io_type = tf.as_dtype(io_dtype or _IO_DTYPES[quantization][0])
    converter.inference_input_type = tf.uint8 if raw_input else io_type
    converter.inference_output_type = io_type


def _converted(converter: Any) -> bytes:
    try:
        return converter.convert()
    except Exception as error:
        message = " ".join(str(error).split())
        foreign = sorted(set(_FOREIGN_OPERATOR.findall(message)))
        received = f"the operators {', '.join(foreign)}" if foreign else message[:400]
        raise UnsupportedLayerError(
            f"The model cannot be converted to TFLite builtins. Received: {received}. "
            "Replace the layer, or pass select_tf_ops=True."
        ) from error


def _finished(content: bytes, serving: Serving, metadata: ArtifactMetadata) -> bytes:
    """Gives the converter's output its names, signature and metadata."""
    model = flatbuffer.parse(content, "the converter's output")
    inputs = [spec.name for spec in serving.inputs]
    naming.name_tensors(model, inputs, serving.outputs)
    naming.set_signature(model, inputs, serving.outputs)
    if metadata.raw_input and metadata.quantization == "int8":
        _read_raw_bytes(model, metadata)
    model.description = "keras_ganaccel"
    flatbuffer.set_metadata_entry(model, ENTRY, metadata.to_json())
    return flatbuffer.pack(model)


def _read_raw_bytes(model: Any, metadata: ArtifactMetadata) -> None:
    """Makes the uint8 input mean raw values: the first operator, QUANTIZE, then rescales them."""
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    tensor.quantization.scale = [metadata.raw_scale]
    tensor.quantization.zeroPoint = [round(-metadata.raw_offset / metadata.raw_scale)]
    tensor.quantization.min = tensor.quantization.max = None
