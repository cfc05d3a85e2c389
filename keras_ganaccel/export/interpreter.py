"""Runs a TFLite file in the ai-edge-litert interpreter; TensorFlow is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_ganaccel.errors import InvalidInputError, VerificationError, reason_of

_BATCH = 256
# What the tensors of one batch may take together.
_MOST_BATCH_BYTES = 2**29


class TFLiteRunner:
    """A loaded TFLite file that takes and gives float samples, whatever its own types.

    Args:
        content: The file's bytes. Let `inspect_tflite` look at them first: the interpreter trusts
            its input.
        name: What to call it in errors.
        threads: How many threads compute.
        call_bytes: What the tensors of one call take together; fewer samples at once where that
            is much.

    Raises:
        VerificationError: If the interpreter refuses the file.
    """

    def __init__(
        self, content: bytes, name: str = "model", threads: int = 1, call_bytes: int = 0
    ) -> None:
        self._batch = max(1, min(_BATCH, _MOST_BATCH_BYTES // max(call_bytes, 1)))
        self._content = content
        self._name = name
        self.threads = threads
        self._single = self._interpreter()
        self._large: Any = None
        self._grows: bool | None = None

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        """Computes the first output for samples in batches as large as the file allows.

        Args:
            *inputs: Per input an array ``(n, ...)``: float values, which are quantized as the file
                asks for; an array of the tensor's own integer type goes in as it is.

        Returns:
            float32 ``(n, ...)``, dequantized.

        Raises:
            InvalidInputError: If the arrays do not fit the file.
        """
        details = self._single.get_input_details()
        _check_inputs(inputs, details, self._name)
        length = len(inputs[0])
        if self._can_grow(inputs, min(length, self._batch)):
            return self._run_large(inputs, length)
        step = int(details[0]["shape"][0])
        return np.concatenate(
            [
                _invoke(self._single, _padded(inputs, start, step))[: length - start]
                for start in range(0, length, step)
            ]
        )

    def warm(self, *inputs: np.ndarray) -> None:
        """Fills the input tensors, so that `invoke` alone can be timed."""
        _set_inputs(self._single, inputs)

    def invoke(self) -> None:
        """Computes one call on what the input tensors hold."""
        self._single.invoke()

    def _interpreter(self) -> Any:
        try:
            interpreter = Interpreter(model_content=self._content, num_threads=self.threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise VerificationError(
                f"The interpreter refuses {self._name}. Received: {reason_of(error)}. "
                "Export it again."
            ) from error
        return interpreter

    def _can_grow(self, inputs: Sequence[np.ndarray], batch: int) -> bool:
        """Whether the file computes the same in large batches; found out once, by trying."""
        if self._grows is None and batch > 1:
            self._large = self._interpreter()
            try:
                probe = [array[:2] for array in inputs]
                together = self._resized(2, probe)
                rows = [
                    _invoke(self._single, [array[row : row + 1] for array in probe])
                    for row in range(2)
                ]
                alone = np.concatenate(rows)
                self._grows = alone.shape == together.shape and np.allclose(
                    alone, together, rtol=1e-4, atol=1e-4
                )
            except (ValueError, RuntimeError):
                self._grows = False
        return bool(self._grows) and batch > 1

    def _run_large(self, inputs: Sequence[np.ndarray], length: int) -> np.ndarray:
        outputs = []
        for start in range(0, length, self._batch):
            chunk = [array[start : start + self._batch] for array in inputs]
            outputs.append(self._resized(len(chunk[0]), chunk))
        return np.concatenate(outputs)

    def _resized(self, batch: int, inputs: Sequence[np.ndarray]) -> np.ndarray:
        for detail in self._large.get_input_details():
            shape = [batch, *detail["shape"][1:]]
            if list(detail["shape"]) != shape:
                self._large.resize_tensor_input(detail["index"], shape)
        self._large.allocate_tensors()
        return _invoke(self._large, inputs)


def quantize(values: np.ndarray, dtype: Any, scale: float, zero_point: int) -> np.ndarray:
    """Maps float values to an integer tensor's own, rounding to nearest and saturating.

    Example:
        >>> quantize(np.array([0.0, 0.5, 2.0]), np.int8, 1 / 255, -128).tolist()
        [-128, 0, 127]
    """
    limits = np.iinfo(dtype)
    steps = np.rint(np.asarray(values, np.float64) / scale) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def dequantize(values: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """Maps an integer tensor's values back to float32."""
    return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _check_inputs(inputs: Sequence[np.ndarray], details: Any, name: str) -> None:
    expected = [tuple(int(size) for size in detail["shape"][1:]) for detail in details]
    received = [array.shape[1:] for array in inputs]
    if received != expected or not len(inputs[0]):
        raise InvalidInputError(
            f"{name} takes samples of shape {expected}. Received: {received} "
            f"({len(inputs[0]) if inputs else 0} rows). Give samples of that shape."
        )


def _padded(inputs: Sequence[np.ndarray], start: int, size: int) -> list[np.ndarray]:
    """Cuts a batch of exactly `size` rows, repeating the last one where they run out."""
    rows = np.minimum(np.arange(start, start + size), len(inputs[0]) - 1)
    return [array[rows] for array in inputs]


def _invoke(interpreter: Any, inputs: Sequence[np.ndarray]) -> np.ndarray:
    _set_inputs(interpreter, inputs)
    interpreter.invoke()
    detail = interpreter.get_output_details()[0]
    values = interpreter.get_tensor(detail["index"])
    scale, zero_point = detail["quantization"]
    if scale:
        return dequantize(values, scale, zero_point)
    return values.astype(np.float32)


def _set_inputs(interpreter: Any, inputs: Sequence[np.ndarray]) -> None:
    for detail, values in zip(interpreter.get_input_details(), inputs, strict=True):
        dtype = detail["dtype"]
        scale, zero_point = detail["quantization"]
        if scale and values.dtype != dtype:
            values = quantize(values, dtype, scale, zero_point)
        elif np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            values = np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
        interpreter.set_tensor(detail["index"], np.ascontiguousarray(values, dtype=dtype))
