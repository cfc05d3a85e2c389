"""Latency of batch-1 calls: warm, interleaved with the rivals, median and spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_ganaccel.errors import InvalidInputError


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call.

    Args:
        median: Half of the calls were faster.
        p10: A tenth of the calls were faster.
        p90: Nine tenths of the calls were faster.
        threads: How many threads computed; None if that is not known.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ga.export_tflite(model, f"{folder}/student.tflite", spec=data.spec)
        ...     latency = ga.verify(path, data, threads=1, latency_repeats=10).latency
        >>> latency.p10 <= latency.median <= latency.p90, latency.threads
        (True, 1)
    """

    median: float
    p10: float
    p90: float
    threads: int | None

    def as_dict(self) -> dict[str, Any]:
        """Returns the form of the ledger."""
        return asdict(self)


def measure_latency(
    calls: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 100,
    warmup: int = 10,
    threads: int | None = 1,
) -> dict[str, Latency]:
    """Times calls in turns (A B A B ...), so that a busy moment hits all of them alike.

    Args:
        calls: What to time, by name.
        repeats: How many timed calls of each.
        warmup: How many calls of each come first and do not count.
        threads: How many threads the calls use, for the record.

    Returns:
        The latency of each, in milliseconds.

    Raises:
        InvalidInputError: If `repeats` is less than 1.
    """
    if repeats < 1:
        raise InvalidInputError(
            f"`repeats` must be at least 1. Received: {repeats}. Take 100 for a steady median."
        )
    for call in calls.values():
        for _ in range(warmup):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: _summary(values, threads) for name, values in seconds.items()}


def _summary(seconds: list[float], threads: int | None) -> Latency:
    p10, median, p90 = np.percentile(np.array(seconds) * 1e3, [10, 50, 90])
    return Latency(float(median), float(p10), float(p90), threads)
