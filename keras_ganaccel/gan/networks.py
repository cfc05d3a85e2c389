"""Generators and discriminators, by the kind of samples that they are for."""

from __future__ import annotations

from typing import Any

import keras

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.modality.registry import modality_of


def build_generator(
    spec: Spec,
    latent_dim: int = 64,
    *,
    architecture: str | None = None,
    width: int | None = None,
    seed: int = 0,
    dtype: Any = None,
    name: str = "generator",
    **options: Any,
) -> keras.Model:
    """Builds a class-conditional generator.

    For images, ``"residual"`` is free of normalisation: grouped bottleneck blocks that start as the
    identity and bilinear resampling, as in R3GAN (arXiv 2501.05441). ``"transposed"`` and
    ``"subpixel"`` are convolutions (transposed, or followed by a rearrangement of channels into
    pixels) with class-conditional batch norm.

    Args:
        spec: The description of the data.
        latent_dim: Length of the noise vector.
        architecture: One of the modality's, see above; None takes its usual one.
        width: Size of its layers; None chooses by the data.
        seed: Seed of the initial weights.
        dtype: Keras dtype policy, such as ``"mixed_bfloat16"``; None takes the global one.
        name: The model's name.
        **options: What the modality alone knows; ``blocks_per_stage`` for images.

    Returns:
        A functional model: inputs ``[latent (batch, latent_dim) float32, label (batch,) int32]``,
        output float32, ``(batch, *spec.sample_shape)``, in the form that the GAN plays with.

    Raises:
        InvalidInputError: The architecture is unknown.

    Example:
        >>> import keras_ganaccel as ga
        >>> spec = ga.DataSpec(9, 6, 3, ("cat", "dog"))
        >>> ga.build_generator(spec, 16, width=16).output_shape
        (None, 9, 6, 3)
    """
    modality = modality_of(spec)
    chosen = _chosen("generator", architecture, modality.generators)
    built: keras.Model = modality.build_generator(
        spec, latent_dim, chosen, width=width, seed=seed, dtype=dtype, name=name, **options
    )
    return built


def build_discriminator(
    spec: Spec,
    *,
    architecture: str | None = None,
    width: int | None = None,
    spectral_norm: bool = False,
    seed: int = 0,
    dtype: Any = None,
    name: str = "discriminator",
    **options: Any,
) -> keras.Model:
    """Builds a class-conditional discriminator without batch norm.

    For images, ``"residual"`` mirrors the residual generator: grouped bottleneck blocks and average
    pooling (R3GAN, arXiv 2501.05441). ``"convolutional"`` is a stack of 3x3 and strided 4x4
    convolutions. ``"backbone"`` looks at the features of a pretrained model.

    Args:
        spec: The description of the data.
        architecture: One of the modality's, see above; None takes its usual one.
        width: Size of its layers; None chooses by the data.
        spectral_norm: Divide every trained kernel by its largest singular value (arXiv
            1802.05957).
        seed: Seed of the initial weights.
        dtype: Keras dtype policy, such as ``"mixed_bfloat16"``; None takes the global one.
        name: The model's name.
        **options: What the modality alone knows; for images ``blocks_per_stage``, and ``backbone``,
            the pretrained feature extractor.

    Returns:
        A functional model: inputs ``[sample (batch, *spec.sample_shape) float32, in the form that
        the GAN plays with, label (batch,) int32]``, where label -1 leaves out the class; output
        ``logit`` float32, ``(batch,)`` or ``(batch, heads)``.

    Raises:
        InvalidInputError: The architecture is unknown, or it and another option do not go together.

    Example:
        >>> import keras_ganaccel as ga
        >>> spec = ga.DataSpec(9, 6, 3, ("cat", "dog"))
        >>> ga.build_discriminator(spec, width=16).output_shape
        (None,)
    """
    modality = modality_of(spec)
    chosen = _chosen("discriminator", architecture, modality.discriminators)
    built: keras.Model = modality.build_discriminator(
        spec,
        chosen,
        width=width,
        spectral_norm=spectral_norm,
        seed=seed,
        dtype=dtype,
        name=name,
        **options,
    )
    return built


def _chosen(what: str, asked: str | None, known: tuple[str, ...]) -> str:
    if asked is None and known:
        return known[0]
    if asked is None or asked not in known:
        raise InvalidInputError(
            f"Unknown {what} architecture. Received: {asked!r}. {nearest(str(asked), known)}"
        )
    return asked
