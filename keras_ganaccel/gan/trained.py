"""A trained generator on its own, as a run leaves it in `generator.keras`."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.gan.noise import noise_rows
from keras_ganaccel.gan.sampling import Sampler, check_labels


class TrainedGenerator:
    """Samples from a generator network alone; the same ones as the GAN that it was trained in.

    Args:
        generator: Functional model from ``[latent (batch, latent_dim), label (batch,)]`` to
            relaxed samples ``(batch, *sample_shape)``.
        num_classes: How many classes it knows.
        spec: The description of the data; None for images, which need none.

    Raises:
        InvalidInputError: The model has other inputs or outputs.

    Example:
        >>> import keras_ganaccel as ga
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> generator = ga.TrainedGenerator(ga.build_generator(spec, 16, width=8), num_classes=2)
        >>> generator.generate([0, 1, 1], seed=0).shape
        (3, 8, 8, 1)
    """

    def __init__(self, generator: keras.Model, num_classes: int, spec: Spec | None = None) -> None:
        shapes = [tuple(each.shape) for each in generator.inputs]
        if len(shapes) != 2 or len(shapes[0]) != 2 or len(generator.outputs) != 1:
            raise InvalidInputError(
                f"A generator takes a latent vector and a label and returns samples. "
                f"Received: a model with inputs {shapes}. Name a run's generator.keras."
            )
        self.ema_generator = generator
        self.num_classes = num_classes
        self.forms = Forms(spec)
        self._sampler = Sampler(generator, self.latent_dim, self.forms)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], num_classes: int, spec: Spec | None = None
    ) -> TrainedGenerator:
        """Loads a run's `generator.keras` (in Keras' safe mode)."""
        return cls(keras.saving.load_model(path, compile=False, safe_mode=True), num_classes, spec)

    @property
    def latent_dim(self) -> int:
        """Length of the noise vector."""
        return int(self.ema_generator.inputs[0].shape[1])

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.ema_generator.outputs[0].shape[1:])

    def harden(self, relaxed: Any) -> Any:
        """Maps what the generator itself returns, arrays or tensors, to encoded samples."""
        return self.forms.harden(relaxed)

    def latents(self, seed: int, indices: Any) -> np.ndarray:
        """Returns the noise behind samples; see `ConditionalGAN.latents`."""
        return noise_rows(seed, indices, self.latent_dim).numpy()

    def generate(
        self,
        labels: Any,
        seed: int = 0,
        *,
        start_index: int = 0,
        truncation: float = 1.0,
        batch_size: int = 256,
    ) -> np.ndarray:
        """Generates samples; see `ConditionalGAN.generate`."""
        classes = check_labels(labels, self.num_classes)
        indices = np.arange(start_index, start_index + len(classes), dtype=np.int64)
        return self._sampler.samples(seed, indices, classes, truncation, batch_size)

    def generate_from_latents(
        self, latents: np.ndarray, labels: Any, *, batch_size: int = 256
    ) -> np.ndarray:
        """Generates from given noise; see `ConditionalGAN.generate_from_latents`."""
        classes = check_labels(labels, self.num_classes)
        return self._sampler.from_latents(np.asarray(latents, np.float32), classes, batch_size)
