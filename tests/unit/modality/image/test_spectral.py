"""Spectral normalisation against NumPy's singular values, and the projection head."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.modality.image.spectral import (
    ProjectionLogit,
    SpectralConv2D,
    spectrally_normalized,
)

RNG = np.random.default_rng(0)


def separated_kernel(*shape):
    """A kernel one of whose singular values stands out: the power iteration converges fast."""
    return tf.constant(np.random.default_rng(1).normal(1.0, 0.4, shape), tf.float32)


def converged_vector(kernel, steps=20):
    vector_u = keras.Variable(np.ones(kernel.shape[-1]), dtype="float32", trainable=False)
    for _ in range(steps):
        spectrally_normalized(kernel, vector_u, training=True)
    return vector_u


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (7, 2), (2, 9)])
def test_largest_singular_value_becomes_one(shape):
    kernel = separated_kernel(*shape)
    vector_u = converged_vector(kernel)
    outputs = spectrally_normalized(kernel, vector_u, training=False)
    singular = np.linalg.svd(np.reshape(outputs, (-1, shape[-1])), compute_uv=False)
    assert singular[0] == pytest.approx(1.0, abs=1e-3)


def test_gradient_includes_the_singular_value():
    """The normalised kernel does not change with the kernel's scale, so neither may the loss."""
    kernel = separated_kernel(5, 4)
    vector_u = converged_vector(kernel)
    weights = RNG.normal(size=(5, 4)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        value = tf.reduce_sum(weights * spectrally_normalized(kernel, vector_u, training=False))
    gradient = tape.gradient(value, kernel)
    assert abs(float(tf.reduce_sum(gradient * kernel))) < 1e-3 * float(tf.norm(gradient))


def test_zero_kernel_stays_finite():
    vector_u = keras.Variable(np.ones(3), dtype="float32", trainable=False)
    outputs = spectrally_normalized(tf.zeros((4, 3)), vector_u, training=True)
    np.testing.assert_array_equal(outputs, np.zeros((4, 3)))
    assert np.isfinite(np.asarray(vector_u)).all()


def test_state_moves_in_training_only_and_the_kernel_never():
    layer = SpectralConv2D(6, 3, padding="same", name="conv")
    x = RNG.normal(size=(2, 5, 5, 3)).astype(np.float32)
    layer(x)
    kernel, state = layer.kernel.numpy(), layer.vector_u.numpy()
    layer(x, training=False)
    np.testing.assert_array_equal(layer.vector_u, state)
    layer(x, training=True)
    assert np.abs(np.asarray(layer.vector_u) - state).max() > 1e-4
    np.testing.assert_array_equal(layer.kernel, kernel)
    assert [variable.name for variable in layer.trainable_variables] == ["kernel", "bias"]


def test_convolution_uses_the_normalised_kernel_and_the_bias():
    # One singular value stands out, so that the power iteration converges fast.
    kernel = keras.initializers.RandomNormal(mean=1.0, stddev=0.3, seed=0)
    layer = SpectralConv2D(6, 3, padding="same", kernel_initializer=kernel, name="conv")
    x = RNG.normal(size=(2, 5, 5, 3)).astype(np.float32)
    for _ in range(20):
        layer(x, training=True)
    layer.bias.assign(np.arange(6))
    sigma = np.linalg.svd(np.reshape(layer.kernel, (-1, 6)), compute_uv=False)[0]
    expected = tf.nn.conv2d(x, np.asarray(layer.kernel) / sigma, 1, "SAME") + np.arange(6.0)
    np.testing.assert_allclose(layer(x), expected, atol=1e-3)


def test_saved_layer_keeps_its_state(tmp_path):
    model = keras.Sequential(
        [keras.Input((4, 4, 2), name="image"), SpectralConv2D(3, 3, name="conv")], name="model"
    )
    x = RNG.normal(size=(2, 4, 4, 2)).astype(np.float32)
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(copy.layers[-1].vector_u, model.layers[-1].vector_u)
    np.testing.assert_allclose(copy(x), model(x), atol=1e-6)


def test_projection_head_adds_the_labels_part():
    head = ProjectionLogit(3, name="logit")
    features = RNG.normal(size=(4, 5)).astype(np.float32)
    labels = np.array([0, 2, -1, 1])
    outputs = head([features, labels])
    table = np.concatenate([np.asarray(head.embeddings), np.zeros((1, 5))])
    plain = features @ np.asarray(head.kernel)[:, 0] + np.asarray(head.bias)
    np.testing.assert_allclose(outputs, plain + (table[labels] * features).sum(1), atol=1e-5)


@pytest.mark.bfloat16
def test_projection_head_is_float32_under_a_low_precision_policy():
    head = ProjectionLogit(3, spectral_norm=True, dtype="mixed_bfloat16", name="logit")
    outputs = head([tf.ones((2, 5), tf.bfloat16), np.array([0, -1])], training=True)
    assert outputs.dtype == tf.float32
    assert {variable.dtype for variable in head.variables} == {"float32"}


def test_spectral_projection_head_has_unit_singular_values():
    head = ProjectionLogit(3, spectral_norm=True, seed=2, name="logit")
    features = RNG.normal(size=(4, 5)).astype(np.float32)
    labels = np.array([0, 2, -1, 1])
    for _ in range(100):
        head([features, labels], training=True)
    kernel = np.asarray(head.kernel)[:, 0] / np.linalg.norm(head.kernel)
    table = np.asarray(head.embeddings) / np.linalg.svd(head.embeddings, compute_uv=False)[0]
    table = np.concatenate([table, np.zeros((1, 5))])
    expected = features @ kernel + (table[labels] * features).sum(1)
    np.testing.assert_allclose(head([features, labels]), expected, atol=1e-3)
