"""Spectral normalisation, and the discriminator's layers that may have it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.modality.image.layers import DirectConv2D, class_rows
from keras_ganaccel.seeds import derive_seed

_REGISTER = keras.saving.register_keras_serializable(package="keras_ganaccel")

# Keeps the division defined for a kernel that is zero.
_SMALLEST_SIGMA = 1e-12


def spectrally_normalized(kernel: tf.Tensor, vector_u: keras.Variable, training: bool) -> tf.Tensor:
    """Divides a kernel by its largest singular value (Miyato et al., arXiv 1802.05957).

    One step of power iteration per call in training; the vector stays as it is in inference. The
    kernel variable itself is left alone, so that the optimiser's steps are not undone, and the
    singular value is part of the gradient. Every replica computes the same update.

    Args:
        kernel: Shape ``(..., units)``.
        vector_u: The state of the power iteration, shape ``(units,)``, float32, not trainable.
        training: Whether to advance it.

    Returns:
        float32, the shape of ``kernel``.
    """
    kernel = tf.cast(kernel, tf.float32)
    matrix = tf.reshape(kernel, (-1, kernel.shape[-1]))
    fixed = tf.stop_gradient(matrix)
    left = tf.convert_to_tensor(vector_u)
    right = tf.math.l2_normalize(tf.linalg.matvec(fixed, left))
    if training:
        left = tf.math.l2_normalize(tf.linalg.matvec(fixed, right, transpose_a=True))
        vector_u.assign(left)
    sigma = tf.reduce_sum(right * tf.linalg.matvec(matrix, left))
    return kernel / tf.maximum(sigma, _SMALLEST_SIGMA)


def _add_vector_u(layer: keras.layers.Layer, units: int, seed: int) -> keras.Variable:
    return layer.add_weight(
        name="vector_u",
        shape=(units,),
        initializer=keras.initializers.RandomNormal(stddev=units**-0.5, seed=seed),
        trainable=False,
        autocast=False,
        dtype="float32",
        aggregation="mean",
    )


@_REGISTER
class SpectralConv2D(DirectConv2D):
    """A convolution with a spectrally normalised kernel; takes what `keras.layers.Conv2D` takes."""

    def build(self, input_shape: Any) -> None:  # noqa: D102
        super().build(input_shape)
        self.vector_u = _add_vector_u(self, self.filters, derive_seed(0, self.name))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:  # noqa: D102
        kernel = spectrally_normalized(self.kernel, self.vector_u, training)
        outputs = self.convolution_op(inputs, tf.cast(kernel, inputs.dtype))
        return outputs if self.bias is None else outputs + tf.cast(self.bias, inputs.dtype)

    def save_own_variables(self, store: Any) -> None:  # noqa: D102
        super().save_own_variables(store)
        store["vector_u"] = self.vector_u

    def load_own_variables(self, store: Any) -> None:  # noqa: D102
        super().load_own_variables(store)
        self.vector_u.assign(store["vector_u"])


@_REGISTER
class ProjectionLogit(keras.layers.Layer):
    """A discriminator's last layer: a linear logit plus the label's projection (arXiv 1802.05637).

    ``logit = <w, features> + b + <embedding[label], features>``; an unlabelled sample (-1) has
    the unconditional part alone. Computes in float32 whatever the precision of the features.

    Args:
        num_classes: The number of classes.
        spectral_norm: Divide both matrices by their largest singular value.
        seed: Seed of the initial values.

    Input: ``[features (batch, units), label (batch,) integer]``. Output: float32, ``(batch,)``.
    """

    def __init__(
        self, num_classes: int, spectral_norm: bool = False, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_classes = num_classes
        self.spectral_norm = spectral_norm
        self.seed = seed

    def build(self, input_shape: Any) -> None:  # noqa: D102
        units = input_shape[0][-1]

        def normal(name: str) -> keras.initializers.Initializer:
            return keras.initializers.RandomNormal(
                stddev=units**-0.5, seed=derive_seed(self.seed, name)
            )

        self.kernel = self.add_weight(name="kernel", shape=(units, 1), initializer=normal("kernel"))
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.num_classes, units), initializer=normal("embeddings")
        )
        if self.spectral_norm:
            seed = derive_seed(self.seed, "vector_u")
            self.kernel_vector_u = _add_vector_u(self, 1, seed)
            self.embeddings_vector_u = _add_vector_u(self, units, seed)
        self.built = True

    def call(self, inputs: list[tf.Tensor], training: bool = False) -> tf.Tensor:  # noqa: D102
        features, labels = inputs
        kernel, embeddings = map(tf.convert_to_tensor, (self.kernel, self.embeddings))
        if self.spectral_norm:
            kernel = spectrally_normalized(kernel, self.kernel_vector_u, training)
            embeddings = spectrally_normalized(embeddings, self.embeddings_vector_u, training)
        unconditional = tf.squeeze(tf.matmul(features, kernel), -1) + self.bias
        return unconditional + tf.reduce_sum(class_rows(labels, embeddings) * features, -1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:  # noqa: D102
        return (input_shape[0][0],)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "spectral_norm": self.spectral_norm,
            "seed": self.seed,
        }
