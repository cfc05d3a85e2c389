"""Classifiers of our own, by the kind of samples that they are for."""

from __future__ import annotations

from typing import Any

import keras

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.modality.registry import MODALITIES, modality_named, modality_of

SIZES = ("tiny", "small", "base")


def architectures(modality: str | None = None) -> tuple[str, ...]:
    """Returns the names that `build_classifier` knows, the usual ones first.

    Args:
        modality: For samples of this kind; None for all kinds.

    Example:
        >>> architectures("image")[:2]
        ('separable', 'convnet')
    """
    kinds = MODALITIES if modality is None else (modality,)
    names = [name for kind in kinds for name in modality_named(kind).classifiers]
    return tuple(dict.fromkeys(names))


def build_classifier(
    spec: Spec,
    architecture: str | None = None,
    size: str = "tiny",
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    seed: int = 0,
    name: str | None = None,
    **options: Any,
) -> keras.Model:
    """Builds a classifier for a data set, of layers that save, prune, quantize and export.

    Args:
        spec: The description of the data, as ``LabelledData.spec`` holds it.
        architecture: For images ``"separable"`` (depthwise separable convolutions, Howard et al.,
            arXiv 1704.04861), ``"convnet"``, ``"mlp"``, ``"resnet8"`` (at size tiny the ResNet-8
            of MLPerf Tiny, Banbury et al., arXiv 2106.07597), or the name of a backbone in
            `keras.applications`, such as ``"ResNet50"``. None takes the modality's usual one.
        size: ``"tiny"``, ``"small"`` or ``"base"``; a tiny separable one has at most 10,000
            parameters for ten classes. Backbones have one size only and ignore it.
        activation: ``"relu"`` or ``"relu6"``; backbones keep their own.
        dropout: Share of the features that are dropped before the last layer, in [0, 1).
        seed: Seed of the initial weights.
        name: Name of the model; what was built, by default.
        **options: What the modality alone knows, such as ``weights`` (``"imagenet"`` or a file)
            for a backbone of images.

    Returns:
        A functional model: input float32 ``(batch, *spec.sample_shape)``, encoded samples; output
        ``logits``, float32 ``(batch, num_classes)``.

    Raises:
        InvalidInputError: An unknown name, or a value out of range.

    Example:
        >>> import keras_ganaccel as ga
        >>> spec = ga.DataSpec(8, 8, 1, tuple("0123456789"))
        >>> model = ga.build_classifier(spec, "separable", "tiny")
        >>> model.output_shape, model.count_params() <= 10_000
        ((None, 10), True)
    """
    known = architectures(spec.modality)
    by_lower = {item.lower(): item for item in known}
    asked = (*known, "")[0] if architecture is None else architecture
    if asked.lower() not in by_lower:
        raise InvalidInputError(
            f"Unknown architecture. Received: {architecture!r}. {nearest(asked, known)}"
        )
    if size not in SIZES:
        raise InvalidInputError(f"Unknown `size`. Received: {size!r}. {nearest(str(size), SIZES)}")
    if not 0.0 <= dropout < 1.0:
        raise InvalidInputError(
            f"`dropout` must be in [0, 1). Received: {dropout}. Pass 0 to drop nothing."
        )
    built: keras.Model = modality_of(spec).build_classifier(
        spec,
        by_lower[asked.lower()],
        size,
        activation=activation,
        dropout=dropout,
        seed=seed,
        name=name,
        **options,
    )
    return built
