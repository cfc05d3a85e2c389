"""Pictures of generated samples, one row per class: as PNG files and for TensorBoard."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from keras_ganaccel.distribution import is_chief
from keras_ganaccel.files import atomic_open
from keras_ganaccel.gan.callbacks.periodic import Periodic
from keras_ganaccel.modality.image.preprocess import signed_to_unit

_LEAST_SIDE = 32
_GAP = 2
_FONT_SIZE = 14


def grid_image(
    images: np.ndarray, labels: np.ndarray, class_names: Sequence[str] | None = None
) -> Image.Image:
    """Draws images, a row for each class with its name; small ones are magnified unsmoothed.

    Args:
        images: Shape ``(n, height, width, channels)``, float, in [0, 1].
        labels: Their classes, shape ``(n,)``, integers.
        class_names: One name per class; by default the integer labels.

    Returns:
        An RGB picture.
    """
    classes, counts = np.unique(labels, return_counts=True)
    names = [class_names[label] if class_names else str(label) for label in classes]
    scale = -(-_LEAST_SIDE // min(images.shape[1:3]))
    cell_height, cell_width = (side * scale + _GAP for side in images.shape[1:3])
    body = np.full((len(classes) * cell_height, max(counts) * cell_width, 3), 255, np.uint8)
    for row, label in enumerate(classes):
        for column, image in enumerate(images[labels == label]):
            pixels = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
            pixels = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
            top, left = row * cell_height, column * cell_width
            body[top : top + len(pixels), left : left + pixels.shape[1]] = pixels

    font = ImageFont.load_default(_FONT_SIZE)
    margin = round(max(font.getlength(name) for name in names)) + 4 * _GAP
    picture = Image.new("RGB", (margin + body.shape[1], body.shape[0]), "white")
    picture.paste(Image.fromarray(body), (margin, 0))
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        middle = row * cell_height + (cell_height - _GAP) // 2
        pen.text((margin - 2 * _GAP, middle), name, fill="black", font=font, anchor="rm")
    return picture


class _SamplePictures(Periodic):
    """Draws the same latent points for every class each time."""

    def __init__(
        self, every: int, columns: int, class_names: Sequence[str] | None, seed: int
    ) -> None:
        super().__init__(every)
        self.columns = columns
        self.class_names = class_names
        self.seed = seed

    def picture(self) -> Image.Image:
        """Draws samples of the model as it is now."""
        labels = np.repeat(np.arange(self.model.num_classes, dtype=np.int32), self.columns)
        images = signed_to_unit(self.model.generate(labels, seed=self.seed))
        return grid_image(images, labels, self.class_names)


class SampleGrid(_SamplePictures):
    """Writes a PNG of generated samples every `every` steps, and one at the end of training.

    Every picture shows the same latent points, so that a series shows how training went. The
    files are called ``step_000500.png``; each appears only when it is complete.

    Args:
        folder: Where the pictures go; made if need be.
        every: Optimiser steps between two pictures.
        columns: Samples per class.
        class_names: One name per class; by default the integer labels.
        seed: Fixes the latent points.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     grid = ga.SampleGrid(folder, columns=2, class_names=spec.class_names)
        ...     grid.set_model(gan)  # As `gan.fit(..., callbacks=[grid])` does.
        ...     grid.on_train_end()
        ...     [path.name for path in pathlib.Path(folder).iterdir()]
        ['step_000000.png']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 500,
        *,
        columns: int = 10,
        class_names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every, columns, class_names, seed)
        self.folder = Path(folder)

    def act(self, step: int, logs: dict[str, Any]) -> None:
        """Writes the picture of this step; only the chief of several workers does."""
        if not is_chief():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_open(self._path(step)) as file:
            self.picture().save(file, format="PNG")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Writes the picture of the last step."""
        self.act(int(self.model.step), {})

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:06d}.png"


class TensorBoardImages(_SamplePictures):
    """Shows generated samples in TensorBoard, beside the curves of Keras' own callback.

    Args:
        log_dir: The ``log_dir`` of `keras.callbacks.TensorBoard`; the pictures go into its
            ``train`` run.
        every: Optimiser steps between two pictures.
        columns: Samples per class.
        class_names: One name per class; by default the integer labels.
        seed: Fixes the latent points.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pictures = ga.TensorBoardImages(folder, columns=2)
        ...     pictures.set_model(gan)  # As `gan.fit(..., callbacks=[pictures])` does.
        ...     pictures.act(500, {})
        ...     pictures.on_train_end()
        ...     [path.name for path in pathlib.Path(folder).iterdir()]
        ['train']
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        every: int = 500,
        *,
        columns: int = 10,
        class_names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every, columns, class_names, seed)
        self.log_dir = Path(log_dir)
        self._writer: tf.summary.SummaryWriter | None = None

    def act(self, step: int, logs: dict[str, Any]) -> None:
        """Writes the picture of this step; only the chief of several workers does."""
        if not is_chief():
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(
                str(self.log_dir / "train"), filename_suffix=".samples"
            )
        with self._writer.as_default(), tf.summary.record_if(True):
            _write_image("generated", self.picture(), step)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _write_image(tag: str, picture: Image.Image, step: int) -> None:
    """Writes an image summary; `tf.summary.image` would need the package tensorboard itself."""
    png = io.BytesIO()
    picture.save(png, format="PNG")
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "images"
    parts = [str(picture.width), str(picture.height), png.getvalue()]
    tf.summary.write(tag, tf.constant(parts), step=step, metadata=metadata)
