"""Pictures of generated samples, one row per class: as PNG files and for TensorBoard."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_ganaccel.distribution import is_chief
from keras_ganaccel.files import atomic_open
from keras_ganaccel.gan.callbacks.periodic import Periodic


class _SamplePictures(Periodic):
    """Draws the same latent points for every class each time."""

    def __init__(
        self, every: int, columns: int, class_names: Sequence[str] | None, seed: int
    ) -> None:
        super().__init__(every)
        self.columns = columns
        self.class_names = class_names
        self.seed = seed

    def picture(self) -> Image.Image | None:
        """Draws samples of the model as it is now, if samples of their kind can be drawn."""
        labels = np.repeat(np.arange(self.model.num_classes, dtype=np.int32), self.columns)
        samples = self.model.generate(labels, seed=self.seed)
        return self.model.forms.picture(samples, labels, self.class_names)


class SampleGrid(_SamplePictures):
    """Writes a PNG of generated samples every `every` steps, and one at the end of training.

    Samples that cannot be drawn, such as rows of a table, leave none.

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
        picture = self.picture() if is_chief() else None
        if picture is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_open(self._path(step)) as file:
            picture.save(file, format="PNG")

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
        picture = self.picture() if is_chief() else None
        if picture is None:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(
                str(self.log_dir / "train"), filename_suffix=".samples"
            )
        with self._writer.as_default(), tf.summary.record_if(True):
            _write_image("generated", picture, step)
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
