"""Layers against NumPy, TensorFlow's own kernels, and Keras' layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.modality.image.layers import (
    BilinearResize,
    ClassEmbedding,
    ConditionalBatchNormalization,
    DirectConv2D,
    SubpixelShuffle,
    class_rows,
    resize_matrix,
)

RNG = np.random.default_rng(0)


def test_class_rows_are_zero_without_a_label():
    table = tf.constant(RNG.normal(size=(3, 4)), tf.float32)
    rows = class_rows(np.array([2, -1, 0, 3]), table)
    np.testing.assert_array_equal(rows, [table[2], np.zeros(4), table[0], np.zeros(4)])


def test_class_embedding_gradient_is_dense():
    layer = ClassEmbedding(3, 4, name="embedding")
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(np.array([1, 1, -1])))
    gradient = tape.gradient(value, layer.trainable_variables[0])
    assert isinstance(gradient, tf.Tensor)
    np.testing.assert_array_equal(gradient, [[0] * 4, [2] * 4, [0] * 4])


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_direct_convolution_equals_one_per_group(groups):
    x = tf.constant(RNG.normal(size=(3, 5, 6, 8)), tf.float32)
    layer = DirectConv2D(12, 3, strides=(2, 1), padding="same", groups=groups, name="conv")
    parts = zip(tf.split(x, groups, -1), tf.split(layer(x), groups, -1), strict=True)
    kernels = np.split(np.asarray(layer.kernel), groups, -1)
    for (part, output), kernel in zip(parts, kernels, strict=True):
        expected = tf.nn.conv2d(part, kernel, (2, 1), "SAME")
        np.testing.assert_allclose(output, expected, atol=1e-5)


def test_grouped_convolution_has_right_gradients_of_both_orders():
    """A groups-wise reference, through a penalty on the input's gradient."""
    x = tf.constant(RNG.normal(size=(2, 4, 4, 4)), tf.float32)
    kernel = tf.constant(RNG.normal(size=(3, 3, 2, 4)), tf.float32)

    layer = DirectConv2D(4, 3, groups=2, padding="same", use_bias=False, name="grouped")
    layer.build(x.shape)

    def grouped(images, weights):
        return layer.convolution_op(images, weights)

    def split(images, weights):
        pairs = zip(tf.split(images, 2, -1), tf.split(weights, 2, -1), strict=True)
        return tf.concat([tf.nn.conv2d(part, piece, 1, "SAME") for part, piece in pairs], -1)

    def second_order(convolve):
        with tf.GradientTape() as outer:
            outer.watch(kernel)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(tf.square(convolve(x, kernel)))
            penalty = tf.reduce_sum(tf.square(inner.gradient(value, x)))
        return outer.gradient(penalty, kernel)

    np.testing.assert_allclose(second_order(grouped), second_order(split), rtol=1e-4)


def normalization_case():
    x = RNG.normal(2.0, 3.0, (6, 4, 5, 3)).astype(np.float32)
    labels = np.array([0, 1, 0, 1, -1, 1])
    layer = ConditionalBatchNormalization(2, momentum=0.9, epsilon=1e-3, name="normalization")
    layer([x, labels])
    layer.scale_offset.assign(RNG.normal(size=(2, 3)))
    layer.shift.assign(RNG.normal(size=(2, 3)))
    return layer, x, labels


def conditional_reference(layer, x, labels, mean, variance):
    scale = np.concatenate([np.asarray(layer.scale_offset) + 1, np.ones((1, 3))])
    shift = np.concatenate([np.asarray(layer.shift), np.zeros((1, 3))])
    normalized = (x - mean) / np.sqrt(variance + layer.epsilon)
    return normalized * scale[labels, None, None] + shift[labels, None, None]


def test_conditional_batch_norm_in_training():
    layer, x, labels = normalization_case()
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    outputs = layer([x, labels], training=True)
    expected = conditional_reference(layer, x, labels, mean, variance)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_conditional_batch_norm_keeps_the_population_variance():
    layer, x, labels = normalization_case()
    layer([x, labels], training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5)


def test_conditional_batch_norm_in_inference_treats_samples_alone():
    layer, x, labels = normalization_case()
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_variance.assign([4.0, 9.0, 0.5])
    outputs = layer([x, labels], training=False)
    expected = conditional_reference(
        layer, x, labels, np.array([1.0, 2.0, 3.0]), np.array([4.0, 9.0, 0.5])
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    np.testing.assert_allclose(layer([x[:1], labels[:1]]), outputs[:1], atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, [1.0, 2.0, 3.0])


@pytest.mark.bfloat16
def test_conditional_batch_norm_in_bfloat16_keeps_float32_statistics():
    layer = ConditionalBatchNormalization(2, dtype="mixed_bfloat16", name="normalization")
    x = tf.constant(RNG.normal(5.0, 1.0, (8, 4, 4, 2)), tf.bfloat16)
    outputs = layer([x, np.zeros(8, int)], training=True)
    assert outputs.dtype == tf.bfloat16
    assert abs(float(tf.reduce_mean(tf.cast(outputs, tf.float32)))) < 0.02
    assert {variable.dtype for variable in layer.variables} == {"float32"}


@pytest.mark.parametrize(("size", "new_size"), [(4, 8), (4, 7), (7, 4), (28, 9), (5, 5), (3, 64)])
def test_resizing_equals_tensorflows(size, new_size):
    x = RNG.normal(size=(2, size, size + 1, 3)).astype(np.float32)
    outputs = BilinearResize(new_size, new_size + 2, name="resize")(x)
    expected = tf.image.resize(x, (new_size, new_size + 2), antialias=True)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(resize_matrix(size, new_size).sum(1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("block", [(2, 2), (1, 2), (2, 1)])
def test_subpixel_shuffle_places_every_channel(block):
    x = RNG.normal(size=(2, 3, 4, 2 * block[0] * block[1])).astype(np.float32)
    outputs = SubpixelShuffle(block, name="shuffle")(x).numpy()
    for row, column, channel in np.ndindex(*outputs.shape[1:]):
        inside = (row % block[0]) * block[1] + column % block[1]
        source = x[:, row // block[0], column // block[1], inside * 2 + channel]
        np.testing.assert_array_equal(outputs[:, row, column, channel], source)
    if block == (2, 2):
        np.testing.assert_array_equal(outputs, tf.nn.depth_to_space(x, 2))


@pytest.mark.parametrize(
    "layer",
    [
        ClassEmbedding(3, 4, name="a"),
        ConditionalBatchNormalization(3, 0.7, 0.01, name="b"),
        BilinearResize(5, 6, name="c"),
        SubpixelShuffle((1, 2), name="d"),
        DirectConv2D(4, 3, groups=2, name="e"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configuration_round_trip(layer):
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
