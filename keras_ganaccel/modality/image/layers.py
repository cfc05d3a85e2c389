"""The layers that the networks of the GAN need and Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel import onednn
from keras_ganaccel.distribution import cpu_flags

_REGISTER = keras.saving.register_keras_serializable(package="keras_ganaccel")


def class_rows(labels: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Looks up one row per label, zeros for a label outside of 0..k-1 (such as -1, unlabelled).

    A product with a one-hot matrix rather than a gather, so that the gradient is dense: replicas'
    gradients add up and Adam's moments decay alike for every class, seen in the batch or not.

    Args:
        labels: Shape ``(batch,)``, integer.
        table: Shape ``(k, units)``, float.

    Returns:
        Shape ``(batch, units)``, the dtype of ``table``.
    """
    one_hot = tf.one_hot(tf.cast(labels, tf.int32), table.shape[0], dtype=table.dtype)
    return tf.matmul(one_hot, table)


def has_grouped_kernels(dtype: str) -> bool:
    """Tells whether TensorFlow has kernels here for grouped convolutions and their gradients.

    On CPUs oneDNN alone has the gradients, and in bfloat16 only with AVX-512.

    Args:
        dtype: Name of the dtype that is computed in.
    """
    if tf.config.list_physical_devices("GPU"):
        return True
    return onednn.is_on() and (dtype == "float32" or "avx512f" in cpu_flags())


@_REGISTER
class DirectConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` without the detour through XLA that Keras takes for groups on CPUs.

    That detour compiles every grouped convolution by itself and runs several times slower. Where
    there is no kernel for groups, they are convolved one by one.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:  # noqa: D102
        if self.groups == 1:
            return self._convolve(inputs, kernel)
        if not has_grouped_kernels(inputs.dtype.name):
            parts = zip(
                tf.split(inputs, self.groups, axis=-1),
                tf.split(kernel, self.groups, axis=-1),
                strict=True,
            )
            return tf.concat([self._convolve(*part) for part in parts], axis=-1)
        outputs = self._convolve(inputs, kernel)
        # An exported graph may run where oneDNN is off. There TensorFlow's graph optimizer would
        # fuse the convolution with its bias and activation into a kernel that has no groups. This
        # passes the values on, uncopied, and stands between them.
        return tf.ensure_shape(outputs, outputs.shape)

    def _convolve(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(
            inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate
        )


@_REGISTER
class ClassEmbedding(keras.layers.Layer):
    """A learned vector per class; zeros for unlabelled samples.

    Args:
        num_classes: The number of classes.
        units: Length of the vectors.
        embeddings_initializer: Keras initializer of the table.

    Input: labels, integer, shape ``(batch,)``. Output: shape ``(batch, units)``.
    """

    def __init__(
        self,
        num_classes: int,
        units: int,
        embeddings_initializer: Any = "random_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.units = units
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Any) -> None:  # noqa: D102
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_classes, self.units),
            initializer=self.embeddings_initializer,
        )
        self.built = True

    def call(self, labels: tf.Tensor) -> tf.Tensor:  # noqa: D102
        return class_rows(labels, tf.convert_to_tensor(self.embeddings))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:  # noqa: D102
        return (*input_shape, self.units)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        initializer = keras.initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "units": self.units,
            "embeddings_initializer": initializer,
        }


@_REGISTER
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch norm whose scale and shift belong to the sample's class (arXiv 1707.00683).

    The statistics are those of the global batch, whatever the number of replicas: TensorFlow's
    fused kernel on one, an explicit reduction over all on several. Both keep the population
    variance in the moving statistics (the fused kernel's own is Bessel-corrected), so that the
    number of replicas changes nothing. An unlabelled sample gets plain batch norm.

    Args:
        num_classes: The number of classes.
        momentum: Share of the moving statistics that stays, per step.
        epsilon: Added to the variance.

    Input: ``[x (batch, height, width, channels), label (batch,) integer]``. Output: like ``x``.
    """

    def __init__(
        self, num_classes: int, momentum: float = 0.98, epsilon: float = 1e-4, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:  # noqa: D102
        channels = input_shape[0][-1]
        for name in ("scale_offset", "shift"):
            weight = self.add_weight(
                name=name,
                shape=(self.num_classes, channels),
                initializer="zeros",
                autocast=False,
            )
            setattr(self, name, weight)
        for name, initializer in (("moving_mean", "zeros"), ("moving_variance", "ones")):
            weight = self.add_weight(
                name=name,
                shape=(channels,),
                initializer=initializer,
                trainable=False,
                autocast=False,
                aggregation="mean",
            )
            setattr(self, name, weight)
        self.built = True

    def call(self, inputs: list[tf.Tensor], training: bool = False) -> tf.Tensor:  # noqa: D102
        x, labels = inputs
        normalized = self._normalize_batch(x) if training else self._normalize_moving(x)
        scale = 1.0 + class_rows(labels, tf.convert_to_tensor(self.scale_offset))
        shift = class_rows(labels, tf.convert_to_tensor(self.shift))
        scale, shift = (tf.cast(row[:, None, None], x.dtype) for row in (scale, shift))
        return normalized * scale + shift

    def _normalize_moving(self, x: tf.Tensor) -> tf.Tensor:
        mean, variance = map(tf.convert_to_tensor, (self.moving_mean, self.moving_variance))
        factor = tf.math.rsqrt(variance + self.epsilon)
        return x * tf.cast(factor, x.dtype) - tf.cast(mean * factor, x.dtype)

    def _normalize_batch(self, x: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            normalized, mean, variance = self._fused(x)
        else:
            normalized, mean, variance = self._synchronized(x, context)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            value = tf.convert_to_tensor(moving)
            moving.assign(value + (1.0 - self.momentum) * (tf.stop_gradient(batch) - value))
        return normalized

    def _fused(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        channels = x.shape[-1]
        result = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.ones(channels),
            offset=tf.zeros(channels),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(x) // channels, tf.float32)
        return result.y, result.batch_mean, result.batch_variance * (count - 1.0) / count

    def _synchronized(
        self, x: tf.Tensor, context: tf.distribute.ReplicaContext
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        values = tf.cast(x, tf.float32)
        count = tf.cast(tf.size(values) // values.shape[-1], tf.float32)
        total, count = context.all_reduce(
            tf.distribute.ReduceOp.SUM, [tf.reduce_sum(values, (0, 1, 2)), count]
        )
        mean = total / count
        # Two passes: the mean of squares minus the squared mean would cancel.
        squares = tf.reduce_sum(tf.square(values - mean), (0, 1, 2))
        variance = context.all_reduce(tf.distribute.ReduceOp.SUM, squares) / count
        normalized = (values - mean) * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast(normalized, x.dtype), mean, variance

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:  # noqa: D102
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


def resize_matrix(size: int, new_size: int) -> np.ndarray:
    """The matrix of linear interpolation along one axis, pixel centres at half-integers.

    When the axis shrinks, the triangle widens with the step (antialiasing), as in
    ``tf.image.resize(..., antialias=True)``.

    Args:
        size: Length of the axis.
        new_size: Length that it is to have.

    Returns:
        float32, shape ``(new_size, size)``; every row sums to 1.
    """
    step = size / new_size
    centre = (np.arange(new_size) + 0.5) * step
    distance = np.abs(np.arange(size) + 0.5 - centre[:, None]) / max(step, 1.0)
    weight = np.maximum(1.0 - distance, 0.0)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


@_REGISTER
class BilinearResize(keras.layers.Layer):
    """Bilinear resampling to any size, antialiased when it shrinks.

    Two small matrix products: as fast here as TensorFlow's own kernel, and with gradients of every
    order, deterministic and in the compute dtype, which that kernel does not offer.

    Args:
        height: Rows of the output.
        width: Columns of the output.

    Input: shape ``(batch, rows, columns, channels)``. Output: ``(batch, height, width, channels)``.
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = height
        self.width = width

    def call(self, inputs: tf.Tensor) -> tf.Tensor:  # noqa: D102
        _, rows, columns, channels = inputs.shape
        outputs = inputs
        if rows != self.height:
            matrix = tf.constant(resize_matrix(rows, self.height), inputs.dtype)
            flat = tf.reshape(outputs, (-1, rows, columns * channels))
            outputs = tf.reshape(tf.matmul(matrix, flat), (-1, self.height, columns, channels))
        if columns != self.width:
            matrix = tf.constant(resize_matrix(columns, self.width), inputs.dtype)
            outputs = tf.matmul(matrix, outputs)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:  # noqa: D102
        return (input_shape[0], self.height, self.width, input_shape[-1])

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "height": self.height, "width": self.width}


@_REGISTER
class SubpixelShuffle(keras.layers.Layer):
    """Rearranges channels into pixels (sub-pixel convolution, arXiv 1609.05158).

    Args:
        factors: How many times more rows and columns the output has.

    Input: shape ``(batch, rows, columns, channels * factors[0] * factors[1])``. Output:
    ``(batch, rows * factors[0], columns * factors[1], channels)``.
    """

    def __init__(self, factors: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factors = tuple(factors)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:  # noqa: D102
        _, rows, columns, _ = inputs.shape
        _, height, width, channels = self.compute_output_shape(inputs.shape)
        split = tf.reshape(inputs, (-1, rows, columns, *self.factors, channels))
        return tf.reshape(tf.transpose(split, (0, 1, 3, 2, 4, 5)), (-1, height, width, channels))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:  # noqa: D102
        batch, rows, columns, channels = input_shape
        vertical, horizontal = self.factors
        return (batch, rows * vertical, columns * horizontal, channels // (vertical * horizontal))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "factors": self.factors}
