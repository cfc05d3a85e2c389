"""Means of the training metrics over an interval, out of the running means of the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras


class IntervalMeans:
    """Adds up what mean metrics have gathered, however often they are reset in between.

    A loss read at one step alone is noise, and after lazily regularised steps it is locked to
    their phase; the epoch's running mean is stale. So everything since the last look is averaged.
    Call `update` after each execution: a reset shows as a count that has not grown with the total.
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self._seen: dict[str, tuple[float, float]] = {}

    def restart(self) -> None:
        """Takes all metrics as freshly reset, as they are when an epoch begins."""
        self._seen = {}

    def update(self, metrics: Iterable[keras.metrics.Metric]) -> None:
        """Takes in what has been gathered since the last call."""
        for metric in metrics:
            if not isinstance(metric, keras.metrics.Mean):
                continue
            # Under several workers this adds them up; each of them is here.
            total, count = (
                float(keras.ops.convert_to_numpy(each)) for each in (metric.total, metric.count)
            )
            seen_total, seen_count = self._seen.get(metric.name, (0.0, 0.0))
            if (total, count) == (seen_total, seen_count):
                continue
            if count <= seen_count:
                seen_total, seen_count = 0.0, 0.0
            self._seen[metric.name] = (total, count)
            sums = self._sums.setdefault(metric.name, [0.0, 0.0])
            sums[0] += total - seen_total
            sums[1] += count - seen_count

    def take(self) -> dict[str, float]:
        """Returns the means since the last call, by name, and starts the next interval."""
        means = {name: total / count for name, (total, count) in self._sums.items() if count}
        self._sums = {}
        return means

    def get_state(self) -> dict[str, Any]:
        """Returns the unfinished interval, as JSON values."""
        return {name: list(sums) for name, sums in self._sums.items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on with an unfinished interval."""
        self._sums = {name: list(sums) for name, sums in state.items()}
        self._seen = {}
