"""What a conditional GAN is made with, checked in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.losses import get_objective
from keras_ganaccel.modality.policies import check_policies


@dataclass(frozen=True)
class GanOptions:
    """The numbers and names of a `ConditionalGAN`; see there.

    Raises:
        InvalidInputError: One is out of its range.
    """

    latent_dim: int
    num_classes: int
    objective: str
    r1_weight: float
    r2_weight: float
    wgan_gp_weight: float
    penalty_interval: int
    lecam_weight: float
    augmentation: tuple[str, ...]
    adaptive_augmentation: bool
    ema_half_life: float
    ema_warm_up: float
    discriminator_steps: int
    shared_generator_pass: bool
    seed: int

    def __post_init__(self) -> None:
        get_objective(self.objective)
        object.__setattr__(self, "augmentation", check_policies(self.augmentation, game=True))
        for name in ("latent_dim", "num_classes", "penalty_interval", "discriminator_steps"):
            self._at_least(name, 1)
        for name in ("r1_weight", "r2_weight", "wgan_gp_weight", "lecam_weight"):
            self._at_least(name, 0)
        for name in ("ema_half_life", "ema_warm_up", "seed"):
            self._at_least(name, 0)

    def _at_least(self, name: str, low: int) -> None:
        value = getattr(self, name)
        if not value >= low:
            raise InvalidInputError(f"`{name}` must be at least {low}. Received: {value}.")

    def as_config(self) -> dict[str, Any]:
        """Returns the options as keyword arguments that JSON can hold."""
        return {**asdict(self), "augmentation": list(self.augmentation)}

    @property
    def has_penalties(self) -> bool:
        """Whether any gradient penalty is active."""
        return self.r1_weight > 0 or self.r2_weight > 0 or self.wgan_gp_weight > 0

    @property
    def adapts(self) -> bool:
        """Whether there is an augmentation whose strength is adjusted."""
        return self.adaptive_augmentation and bool(self.augmentation)

    @property
    def lazy(self) -> bool:
        """Whether the penalties are updates of their own."""
        return self.has_penalties and self.penalty_interval > 1

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The quantities that training and evaluation report."""
        optional = {
            "r1_penalty": self.r1_weight > 0,
            "r2_penalty": self.r2_weight > 0,
            "wgan_gp_penalty": self.wgan_gp_weight > 0,
            "augmentation_strength": self.adapts,
        }
        always = ("generator_loss", "discriminator_loss", "real_logits", "fake_logits")
        return (*always, *(name for name, active in optional.items() if active))


def check_networks(generator: keras.Model, discriminator: keras.Model, latent_dim: int) -> None:
    """Refuses networks that do not fit each other.

    Args:
        generator: From latent and label to a sample.
        discriminator: From sample and label to logits.
        latent_dim: Length of the noise vector.

    Raises:
        InvalidInputError: A network is not functional or has other inputs or outputs.
    """
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        if not isinstance(network, keras.Model) or not hasattr(network, "inputs"):
            raise InvalidInputError(
                f"`{name}` must be a functional Keras model. Received: {type(network).__name__}. "
                "Build it from keras.Input tensors."
            )
        if len(network.inputs) != 2 or len(network.outputs) != 1:
            raise InvalidInputError(
                f"`{name}` must have two inputs and one output. Received: "
                f"{len(network.inputs)} and {len(network.outputs)}. The second input is the label."
            )
    latent, image = generator.inputs[0].shape, generator.outputs[0].shape
    if latent != (None, latent_dim):
        raise InvalidInputError(
            f"The generator must take a latent of shape (batch, {latent_dim}). "
            f"Received: {latent}. Set `latent_dim` to its length."
        )
    if discriminator.inputs[0].shape != image:
        raise InvalidInputError(
            "The discriminator must take what the generator makes. Received: "
            f"{discriminator.inputs[0].shape} and {image}. Build both for the same data."
        )
