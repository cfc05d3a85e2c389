"""Runs a TFLite file in the ai-edge-litert interpreter; TensorFlow is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_ganaccel.errors import InvalidInputError, VerificationError, reason_of
from keras_ganaccel.export.probe import run_apart


class TFLiteRunner:
    """A loaded TFLite file that takes and gives float samples, whatever its own types.

    It is called as a device calls it, on batches of the size that the file states: one that is fed
    larger batches may see that, and answer otherwise than it will. What it keeps between calls is
    reset before each.

    Args:
        content: The file's bytes. Let `inspect_tflite` look at them first: the interpreter trusts
            its input.
        name: What to call it in errors.
        threads: How many threads compute.
        apart: Whether to compute in a process of its own, of limited time: how long a file that
            loops takes depends on its input.

    Raises:
        VerificationError: If the interpreter refuses the file.
    """

    def __init__(
        self, content: bytes, name: str = "model", threads: int = 1, *, apart: bool = False
    ) -> None:
        self._content = content
        self._name = name
        self._apart = apart
        self.threads = threads
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise VerificationError(
                f"The interpreter refuses {name}. Received: {reason_of(error)}. Export it again."
            ) from error

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        """Computes the first output of samples.

        Args:
            *inputs: Per input an array ``(n, ...)``: float values, which are quantized as the file
                asks for; an array of the tensor's own integer type goes in as it is.

        Returns:
            float32 ``(n, ...)``, dequantized.

        Raises:
            InvalidInputError: If the arrays do not fit the file.
            VerificationError: If it does not come to an end, or its output is not a row a sample.
        """
        fed, length = self._fed(inputs)
        output = self._interpreter.get_output_details()[0]
        if self._apart:
            answer = run_apart(self._content, self._name, fed)
        else:
            (answer,) = self._answers(fed, [output])
        return self._as_floats(answer, output, len(fed[0]))[:length]

    def run_all(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Computes every output of samples, in this process; otherwise like `run`."""
        fed, length = self._fed(inputs)
        outputs = self._interpreter.get_output_details()
        return [
            self._as_floats(answer, output, len(fed[0]))[:length]
            for answer, output in zip(self._answers(fed, outputs), outputs, strict=True)
        ]

    @property
    def output_scales(self) -> list[float]:
        """The size of a quantization step of each output; 0 where it is float."""
        return [detail["quantization"][0] for detail in self._interpreter.get_output_details()]

    def warm(self, *inputs: np.ndarray) -> None:
        """Fills the input tensors, so that `invoke` alone can be timed."""
        details = self._interpreter.get_input_details()
        self._place([_as_tensor(*pair) for pair in zip(details, inputs, strict=True)])

    def invoke(self) -> None:
        """Computes one call on what the input tensors hold."""
        self._interpreter.invoke()

    def _fed(self, inputs: Sequence[np.ndarray]) -> tuple[list[np.ndarray], int]:
        """The inputs as the file takes them, in whole batches, and how many samples they are."""
        details = self._interpreter.get_input_details()
        _check_inputs(inputs, details, self._name)
        length, step = len(inputs[0]), _batch_of(details)
        # The last batch is filled up by its last row.
        rows = np.minimum(np.arange(-(-length // step) * step), length - 1)
        pairs = zip(details, inputs, strict=True)
        return [_as_tensor(detail, values)[rows] for detail, values in pairs], length

    def _answers(self, fed: Sequence[np.ndarray], outputs: Sequence[Any]) -> list[np.ndarray]:
        step = _batch_of(self._interpreter.get_input_details())
        answers: list[list[np.ndarray]] = []
        try:
            for start in range(0, len(fed[0]), step):
                self._interpreter.reset_all_variables()
                self._place([values[start : start + step] for values in fed])
                self._interpreter.invoke()
                answers.append([self._interpreter.get_tensor(each["index"]) for each in outputs])
            return [np.concatenate(parts) for parts in zip(*answers, strict=True)]
        except (ValueError, RuntimeError) as error:
            raise VerificationError(
                f"{self._name} must run on every sample. Received: {reason_of(error)}. "
                "Export it again."
            ) from error

    def _as_floats(self, answer: np.ndarray, detail: Any, samples: int) -> np.ndarray:
        if len(answer) != samples:
            raise VerificationError(
                f"{self._name} must answer each sample by a row. Received: {len(answer)} rows for "
                f"{samples} samples. Export it again."
            )
        scale, zero_point = detail["quantization"]
        return dequantize(answer, scale, zero_point) if scale else answer.astype(np.float32)

    def _place(self, fed: Sequence[np.ndarray]) -> None:
        details = self._interpreter.get_input_details()
        for detail, values in zip(details, fed, strict=True):
            self._interpreter.set_tensor(detail["index"], values)


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


def _batch_of(details: Any) -> int:
    """The number of samples of one call."""
    return int(details[0]["shape"][0])


def _check_inputs(inputs: Sequence[np.ndarray], details: Any, name: str) -> None:
    shapes = [tuple(int(size) for size in detail["shape"]) for detail in details]
    if not all(shapes) or len({shape[0] for shape in shapes}) > 1 or not shapes[0][0]:
        raise InvalidInputError(
            f"{name} must take batches of samples. Received: inputs of shape {shapes}. "
            "Export it with a batch axis."
        )
    expected = [shape[1:] for shape in shapes]
    received = [array.shape[1:] for array in inputs]
    if received != expected or not len(inputs[0]):
        raise InvalidInputError(
            f"{name} takes samples of shape {expected}. Received: {received} "
            f"({len(inputs[0]) if inputs else 0} rows). Give samples of that shape."
        )


def _as_tensor(detail: Any, values: np.ndarray) -> np.ndarray:
    """Brings an input's values into the type of its tensor."""
    dtype = detail["dtype"]
    scale, zero_point = detail["quantization"]
    if scale and values.dtype != dtype:
        values = quantize(values, dtype, scale, zero_point)
    elif np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return np.ascontiguousarray(values, dtype=dtype)
