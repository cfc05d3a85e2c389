"""The samples that full-integer quantization takes its activation ranges from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.pipelines import without_autotuner

MAX_ROWS = 500


def calibration_rows(
    samples: Any, inputs: Sequence[tf.TensorSpec], max_rows: int = MAX_ROWS
) -> list[list[np.ndarray]]:
    """Brings a representative data set into one form.

    Args:
        samples: An array of samples ``(n, ...)``; for a model of several inputs a tuple or list
            of such arrays; or any iterable (such as a `tf.data.Dataset`, not batched) of
            samples, each a tuple, list or dict with one sample per input, or one array alone.
            Take them from the training split or the generator, never from test data.
        inputs: The inputs of the model.
        max_rows: The most rows to take of an array, evenly spread.

    Returns:
        Per row, one array ``(1, ...)`` per input.

    Raises:
        InvalidInputError: If there are none, or their shapes do not fit the inputs.
    """
    if isinstance(samples, np.ndarray):
        samples = (samples,)
    if isinstance(samples, (tuple, list)) and len(samples) == len(inputs) and _are_arrays(samples):
        rows = _rows_of_arrays(samples, max_rows)
    else:
        rows = _rows_of_iterable(samples, inputs, max_rows)
    result = [
        [_fitted(value, spec) for value, spec in zip(row, inputs, strict=True)] for row in rows
    ]
    if not result:
        raise InvalidInputError(
            "`representative_dataset` must hold samples. Received: none. "
            "Give some hundred training samples."
        )
    return result


def pin_range(rows: list[list[np.ndarray]], low: float, high: float) -> None:
    """Makes the calibration see the whole input range, so that the input's scale is exact.

    Where no sample reaches an end of the range, one value of the first sample is moved there:
    raw pixels then quantize without loss, and none saturates later.
    """
    first = rows[0][0]
    values = np.stack([row[0] for row in rows])
    flat = first.reshape(-1)
    if values.min() > low:
        flat[0] = low
    if values.max() < high:
        flat[-1] = high


def as_generator(rows: list[list[np.ndarray]]) -> Callable[[], Iterator[list[np.ndarray]]]:
    """Returns what ``TFLiteConverter.representative_dataset`` takes."""
    return lambda: iter(rows)


def _are_arrays(samples: Sequence[Any]) -> bool:
    return all(isinstance(item, np.ndarray) and item.ndim >= 1 for item in samples)


def _rows_of_arrays(arrays: Sequence[np.ndarray], max_rows: int) -> list[list[np.ndarray]]:
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise InvalidInputError(
            "`representative_dataset` must hold as many samples for each input. "
            f"Received: {sorted(lengths)}. Give arrays of one length."
        )
    length = lengths.pop()
    chosen = np.linspace(0, length - 1, min(length, max_rows)).astype(int)
    return [[array[row] for array in arrays] for row in chosen]


def _rows_of_iterable(
    samples: Iterable[Any], inputs: Sequence[tf.TensorSpec], max_rows: int
) -> list[list[np.ndarray]]:
    if callable(samples):
        samples = samples()
    rows: list[list[np.ndarray]] = []
    for sample in without_autotuner(samples):
        if isinstance(sample, dict):
            sample = [sample[spec.name] for spec in inputs]
        elif not isinstance(sample, (tuple, list)):
            sample = [sample]
        if len(sample) < len(inputs):
            raise InvalidInputError(
                f"Each representative sample must give {len(inputs)} inputs. "
                f"Received: {len(sample)}. Give one array per input."
            )
        rows.append([np.asarray(value) for value in sample[: len(inputs)]])
        if len(rows) == max_rows:
            break
    return rows


def _fitted(value: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    shape = tuple(spec.shape[1:])
    if value.shape == (1, *shape):
        value = value[0]
    if value.shape != shape:
        raise InvalidInputError(
            f"Representative samples must have the shape of the input, {shape}. "
            f"Received: {value.shape}. Give samples as the model takes them."
        )
    return np.array(value[None], dtype=spec.dtype.as_numpy_dtype)
