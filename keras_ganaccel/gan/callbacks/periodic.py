"""The base of the callbacks that act every so many optimiser steps."""

from __future__ import annotations

from typing import Any

import keras

from keras_ganaccel.errors import InvalidInputError


class Periodic(keras.callbacks.Callback):
    """Calls `act` whenever training has passed another multiple of `every` optimiser steps.

    The steps are counted by the model (``model.step``), which a checkpoint carries: so a resumed
    training acts at the very steps at which an uninterrupted one would have.

    Args:
        every: Optimiser steps between two calls. Where several steps run in one execution, the
            call comes at the end of the execution that passes the multiple.

    Raises:
        InvalidInputError: `every` is below 1.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        if every < 1:
            raise InvalidInputError(
                f"`every` must be at least 1 step. Received: {every}. Leave the callback out "
                "to never call it."
            )
        self.every = every
        self._seen = 0

    def act(self, step: int, logs: dict[str, Any]) -> None:
        """Does what the callback is for.

        Args:
            step: Optimiser steps so far.
            logs: The running means of the epoch; what is put in is seen by later callbacks.
        """
        raise TypeError(f"{type(self).__name__} must define `act`.")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Takes up the count where the model stands."""
        self._seen = int(self.model.step)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Acts if another multiple has been passed."""
        step = int(self.model.step)
        due = step // self.every > self._seen // self.every
        self._seen = step
        if due:
            self.act(step, {} if logs is None else logs)
