"""How a student is trained: its recipe, and the optimizer that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_ganaccel.errors import InvalidInputError, nearest

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Recipe:
    """How a student is trained on a transfer set.

    Args:
        steps: Optimizer steps.
        batch_size: Samples per step over all replicas.
        optimizer: Name of a Keras optimizer.
        learning_rate: Its first learning rate.
        schedule: ``"cosine"`` or ``"constant"``.
        temperature: Temperature of the distillation.
        alpha: Weight of the labels.
        loss: ``"hinton"`` or ``"logits"``.
        label_smoothing: Label smoothing of the labels' term.
        augmentation: Augmentation of the samples of a transfer set that is made for it.
        transfer_size: Augmented real samples of such a set; None: as `TransferSet.make` has it,
            and no more than the steps take.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.Recipe(steps=200, augmentation=("shift",)).loss
        'hinton'
    """

    steps: int = 1000
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    temperature: float = 2.0
    alpha: float = 0.2
    loss: str = "hinton"
    label_smoothing: float = 0.0
    augmentation: tuple[str, ...] = ("shift", "cutout", "mixup")
    transfer_size: int | None = None

    @property
    def samples(self) -> int:
        """Samples that its steps take."""
        return self.steps * self.batch_size


def make_optimizer(
    optimizer: str | keras.optimizers.Optimizer,
    learning_rate: float,
    schedule: str,
    steps: int,
) -> keras.optimizers.Optimizer:
    """Makes an optimizer by name, with its schedule.

    Args:
        optimizer: The name of a Keras optimizer, or one that is used as it is.
        learning_rate: Its first learning rate.
        schedule: ``"cosine"`` (down to a hundredth over `steps`) or ``"constant"``.
        steps: Optimizer steps that will be taken.

    Returns:
        The optimizer.

    Raises:
        InvalidInputError: An unknown name.
    """
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if schedule not in SCHEDULES:
        raise InvalidInputError(
            f"Unknown `schedule`. Received: {schedule!r}. {nearest(schedule, SCHEDULES)}"
        )
    rate: Any = float(learning_rate)
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)
    try:
        return keras.optimizers.get(
            {"class_name": optimizer, "config": {"learning_rate": rate, "name": optimizer}}
        )
    except (ValueError, TypeError):
        raise InvalidInputError(
            f"Unknown optimizer. Received: {optimizer!r}. Use a name of keras.optimizers."
        ) from None
