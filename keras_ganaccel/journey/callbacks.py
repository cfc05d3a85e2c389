"""Keras callbacks that report to the progress display."""

from __future__ import annotations

from typing import Any

import keras

from keras_ganaccel.journey.progress import Progress


class StepProgress(keras.callbacks.Callback):
    """Tells the display how many optimiser steps are done.

    Args:
        progress: The display.
        total: All steps.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        super().__init__()
        self._progress = progress
        self._total = total

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar; a resumed GAN counts from where it was."""
        step = getattr(self.model, "step", None)
        done = batch + 1 if step is None else int(step)
        self._progress.advance(min(done, self._total), self._total)
