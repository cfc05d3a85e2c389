"""Generating samples, each a function of the seed, its index and its label alone."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.gan.noise import noise_rows


class Sampler:
    """Runs a generator in inference mode, in chunks of a fixed size.

    Args:
        generator: Functional model from ``[latent, label]`` to relaxed samples.
        latent_dim: Length of the noise vector.
        forms: What hardens the samples.
    """

    def __init__(self, generator: keras.Model, latent_dim: int, forms: Forms) -> None:
        self._forms = forms
        self._generator = generator
        self._latent_dim = latent_dim
        self._from_indices = tf.function(self._index_chunk, reduce_retracing=True, autograph=False)
        self._from_latents = tf.function(self._latent_chunk, reduce_retracing=True, autograph=False)

    def samples(
        self, seed: int, indices: np.ndarray, labels: np.ndarray, truncation: float, chunk: int
    ) -> np.ndarray:
        """Generates one sample per index and label.

        Args:
            seed: Seed of the noise.
            indices: Shape ``(n,)``, int64.
            labels: Shape ``(n,)``, int32.
            truncation: Factor on the noise.
            chunk: Samples per call into TensorFlow.

        Returns:
            Encoded samples, float32, shape ``(n, *sample_shape)``.
        """
        seed_tensor = tf.constant(seed, tf.int64)
        factor = tf.constant(truncation, tf.float32)

        def run(indices: np.ndarray, labels: np.ndarray) -> tf.Tensor:
            return self._from_indices(seed_tensor, indices, labels, factor)

        return self._in_chunks(run, chunk, indices, labels)

    def from_latents(self, latents: np.ndarray, labels: np.ndarray, chunk: int) -> np.ndarray:
        """Generates one sample per latent vector, shape ``(n, latent_dim)``, and label."""
        return self._in_chunks(self._from_latents, chunk, latents, labels)

    def _in_chunks(self, run: Any, chunk: int, *rows: np.ndarray) -> np.ndarray:
        count = len(rows[0])
        samples = np.empty((count, *self._generator.output_shape[1:]), np.float32)
        for start in range(0, count, chunk):
            part = [values[start : start + chunk] for values in rows]
            # A last chunk that is smaller is filled up: one trace, and the same kernels for all.
            missing = chunk - len(part[0])
            filled = [np.concatenate([values, values[:1].repeat(missing, 0)]) for values in part]
            samples[start : start + chunk] = run(*map(tf.constant, filled))[: chunk - missing]
        return np.asarray(self._forms.harden(samples), np.float32)

    def _index_chunk(
        self, seed: tf.Tensor, indices: tf.Tensor, labels: tf.Tensor, truncation: tf.Tensor
    ) -> tf.Tensor:
        return self._latent_chunk(noise_rows(seed, indices, self._latent_dim) * truncation, labels)

    def _latent_chunk(self, latents: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return tf.cast(self._generator([latents, labels], training=False), tf.float32)


def check_draw(seed: Any, batch_size: Any) -> None:
    """Refuses what is no seed or no size of a batch."""
    for name, value, lowest in (("seed", seed, -(2**63)), ("batch_size", batch_size, 1)):
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or not lowest <= value < 2**63:
            raise InvalidInputError(
                f"`{name}` must be a whole number of 64 bits{', above 0' * (lowest > 0)}. "
                f"Received: {value!r}. Leave it out for the default."
            )


def check_labels(labels: Any, num_classes: int) -> np.ndarray:
    """Brings the classes asked for into the form that a generator takes.

    Args:
        labels: Integers in 0..num_classes-1, one per sample.
        num_classes: The number of classes.

    Returns:
        int32, shape ``(n,)``.

    Raises:
        InvalidInputError: There is something else among them.
    """
    asked = np.asarray(labels)
    if asked.ndim != 1 or (asked.size and asked.dtype.kind not in "iu"):
        raise InvalidInputError(
            "Labels to generate must be a list of integers. Received: "
            f"shape {asked.shape}, {asked.dtype}. Give one class per sample."
        )
    if asked.size and not 0 <= asked.min() <= asked.max() < num_classes:
        raise InvalidInputError(
            f"Labels to generate must be in 0..{num_classes - 1}. Received: "
            f"{asked.min()}..{asked.max()}. Give classes that the GAN was made for."
        )
    return asked.astype(np.int32)
