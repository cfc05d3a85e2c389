"""The training curve as JSON lines, exact over interruptions."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ganaccel.distribution import is_chief
from keras_ganaccel.files import atomic_open
from keras_ganaccel.gan.callbacks.averages import IntervalMeans
from keras_ganaccel.gan.callbacks.periodic import Periodic
from keras_ganaccel.rundir import read_metrics


class MetricsLog(Periodic):
    """Appends a row to a JSON-lines file every `every` steps.

    A row is ``{"stage", "step", ...}`` with the mean of every metric since the row before, and
    what callbacks earlier in the list put into the logs, such as KID. When training begins, rows
    beyond the model's step, which a killed run left behind its last checkpoint, are cut off.

    Args:
        path: The file, such as ``metrics.jsonl``; made if need be. Rows of other stages in it
            are left alone.
        every: Optimiser steps between two rows.
        stage: What the rows are marked with.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = ga.MetricsLog(pathlib.Path(folder, "metrics.jsonl"), every=10)
        ...     log.set_model(gan)  # As `gan.fit(..., callbacks=[log])` does.
        ...     log.act(10, {"kid": 0.25})
        ...     print(log.path.read_text().strip())
        {"stage": "gan", "step": 10, "kid": 0.25}
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 100, *, stage: str = "gan"
    ) -> None:
        super().__init__(every)
        self.path = Path(path)
        self.stage = stage
        self._means = IntervalMeans()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Cuts the file back to where the model stands."""
        super().on_train_begin(logs)
        if is_chief():
            cut_back(self.path, self.stage, int(self.model.step))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps in step with Keras, which resets the metrics here."""
        self._means.restart()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Gathers the metrics, and writes a row if one is due."""
        self._means.update(self.model.metrics)
        super().on_train_batch_end(batch, logs)

    def act(self, step: int, logs: dict[str, Any]) -> None:
        """Writes the row of this step; only the chief of several workers does."""
        values = {**logs, **self._means.take()}
        row = {name: _json_number(value) for name, value in values.items()}
        line = json.dumps({"stage": self.stage, "step": step, **row}, allow_nan=False)
        if is_chief():
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line + "\n")

    def get_state(self) -> dict[str, Any]:
        """Returns what a checkpoint must carry: the unfinished row."""
        return {"means": self._means.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `get_state` returned."""
        self._means.set_state(state["means"])


def cut_back(path: str | os.PathLike[str], stage: str, step: int) -> None:
    """Takes a stage's rows beyond a step out of a JSON-lines file, and a half-written last line.

    Args:
        path: The file; nothing happens where there is none.
        stage: The stage whose rows to cut.
        step: The last step to keep.
    """
    path = Path(path)
    if not path.is_file():
        return
    kept = [
        row for row in read_metrics(path) if row.get("stage") != stage or row.get("step", 0) <= step
    ]
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in kept)
    if text != path.read_text(encoding="utf-8"):
        with atomic_open(path, "w") as file:
            file.write(text)


def _json_number(value: Any) -> float | None:
    """Makes a number fit for JSON: what is not finite is unknown."""
    number = float(value)
    return number if math.isfinite(number) else None
