"""The GAN that a configuration describes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from keras_ganaccel.config import GanConfig
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.distribution import choose_precision
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.networks import build_discriminator, build_generator
from keras_ganaccel.gan.options import GanOptions
from keras_ganaccel.gan.transfer import initialize_from
from keras_ganaccel.seeds import derive_seed


def build_gan(config: GanConfig, spec: Spec, seed: int = 0) -> ConditionalGAN:
    """Builds and compiles a GAN; call it inside the scope of the strategy that trains.

    Args:
        config: What to build.
        spec: The description of the data.
        seed: Seed of the initial weights, the noise and the augmentation.

    Returns:
        The compiled GAN, with the weights of ``config.init_from`` if that is given.

    Raises:
        InvalidInputError: The options do not fit each other.
        MissingFileError: There are no networks in ``config.init_from``.
    """
    precision, _ = choose_precision(config.precision)
    dtype = None if precision == "float32" else keras.DTypePolicy(precision)
    gan = ConditionalGAN(
        build_generator(
            spec,
            config.latent_dim,
            architecture=config.generator,
            width=config.width,
            seed=derive_seed(seed, "generator"),
            dtype=dtype,
        ),
        build_discriminator(
            spec,
            architecture=config.discriminator,
            width=config.width,
            spectral_norm=config.spectral_norm,
            seed=derive_seed(seed, "discriminator"),
            dtype=dtype,
        ),
        config.latent_dim,
        spec.num_classes,
        **_options(config),
        spec=spec,
        seed=derive_seed(seed, "gan"),
    )
    gan.compile(
        learning_rate=config.learning_rate,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        steps_per_execution=config.steps_per_execution,
    )
    if config.init_from is not None:
        # A checkpoint of this run, if there is one, replaces these weights.
        initialize_from(gan, Path(config.init_from) / "artifacts")
    return gan


def _options(config: GanConfig) -> dict[str, Any]:
    """Those options of the game that a configuration names as `GanOptions` does."""
    names = {field.name for field in fields(GanOptions)} & {field.name for field in fields(config)}
    return {name: getattr(config, name) for name in names - {"latent_dim"}}
