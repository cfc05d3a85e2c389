"""Starting a GAN from another run's networks: fine-tuning on new data or classes."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

import keras

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.gan.conditional_gan import ConditionalGAN

logger = logging.getLogger(__name__)


class Transfer(NamedTuple):
    """What was taken over.

    Attributes:
        copied: Variables that were, as ``network/layer/variable``.
        left: Variables that keep their own values, because the source has none of that name and
            shape: those of the classes, where these are others.
    """

    copied: tuple[str, ...]
    left: tuple[str, ...]


def initialize_from(
    gan: ConditionalGAN, source: ConditionalGAN | str | os.PathLike[str]
) -> Transfer:
    """Copies into a GAN what fits of another one's weights.

    The averaged generator of the source becomes both generators. Variables are matched by the
    names of layer and variable and by shape.

    Args:
        gan: The model to train, freshly made.
        source: A GAN, a ``.keras`` file of one, or a folder with ``generator.keras`` and
            ``discriminator.keras``.

    Returns:
        What was copied and what was not.

    Raises:
        MissingFileError: There is no such file.
        InvalidInputError: Nothing at all fits.
    """
    generator, discriminator = _networks(source)
    copied: list[str] = []
    left: list[str] = []
    for name, target, origin in (
        ("generator", gan.generator, generator),
        ("ema_generator", gan.ema_generator, generator),
        ("discriminator", gan.discriminator, discriminator),
    ):
        known = {variable.path: variable for variable in origin.variables}
        for variable in target.variables:
            found = known.get(variable.path)
            if found is not None and found.shape == variable.shape:
                variable.assign(keras.ops.convert_to_numpy(found))
                copied.append(f"{name}/{variable.path}")
            else:
                left.append(f"{name}/{variable.path}")
    if not copied:
        raise InvalidInputError(
            f"No weight of the other GAN fits. Received: {source}. "
            "Choose the architecture and width that it was made with."
        )
    if left:
        logger.warning("Not taken over, because name or shape differ: %s.", ", ".join(left))
    return Transfer(tuple(copied), tuple(left))


def _networks(
    source: ConditionalGAN | str | os.PathLike[str],
) -> tuple[keras.Model, keras.Model]:
    if isinstance(source, ConditionalGAN):
        return source.ema_generator, source.discriminator
    path = Path(source)
    if path.is_dir():
        return _load(path / "generator.keras"), _load(path / "discriminator.keras")
    loaded = _load(path)
    if not isinstance(loaded, ConditionalGAN):
        raise InvalidInputError(
            f"The file must hold a whole GAN. Received: {str(path)!r}. "
            "Name the folder of generator.keras and discriminator.keras instead."
        )
    return loaded.ema_generator, loaded.discriminator


def _load(path: Path) -> keras.Model:
    if not path.is_file():
        raise MissingFileError(f"There is no such model. Received: {str(path)!r}. Check the path.")
    return keras.saving.load_model(path, compile=False)
