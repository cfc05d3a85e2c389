"""What every generator and every discriminator must keep, whatever its architecture."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.networks import build_discriminator, build_generator
from keras_ganaccel.gan.penalties import gradient_penalty
from keras_ganaccel.modality.image.blocks import pyramid, stage_channels
from keras_ganaccel.modality.image.layers import ConditionalBatchNormalization
from keras_ganaccel.modality.image.spec import DataSpec

GENERATORS = ("residual", "transposed", "subpixel")
DISCRIMINATORS = (("residual", False), ("residual", True), ("convolutional", False))
NAMES = tuple("abc")
SPEC = DataSpec(8, 8, 1, NAMES)
LATENTS = tf.random.stateless_normal((6, 5), (0, 1))
LABELS = tf.constant([0, 1, 2, 0, 1, 2])
IMAGES = tf.random.stateless_uniform((6, 8, 8, 1), (0, 2), -1, 1)


def small_generator(architecture, spec=SPEC, **options):
    return build_generator(spec, 5, architecture=architecture, width=16, **options)


def small_discriminator(architecture, spectral_norm=False, spec=SPEC, **options):
    return build_discriminator(
        spec, architecture=architecture, spectral_norm=spectral_norm, width=16, **options
    )


@pytest.mark.parametrize("architecture", GENERATORS)
@pytest.mark.parametrize("shape", [(9, 6, 3), (13, 28, 1), (4, 33, 1)])
def test_generator_makes_any_size(architecture, shape):
    images = small_generator(architecture, DataSpec(*shape, NAMES))([LATENTS, LABELS])
    assert images.shape == (6, *shape)


@pytest.mark.parametrize(("side", "blocks"), [(16, [4, 8, 16]), (28, [4, 7, 14])])
def test_residual_networks_have_no_blocks_at_a_large_full_resolution(side, blocks):
    spec = DataSpec(side, side, 1, NAMES)
    for network in (
        small_generator("residual", spec),
        small_discriminator("residual", spec=spec),
    ):
        sides = {layer.output.shape[1] for layer in network.layers if layer.name.endswith("_add")}
        assert sorted(sides) == blocks


@pytest.mark.parametrize("side", [27, 28])
def test_every_pixel_reaches_a_discriminator_without_blocks_at_full_resolution(side):
    model = small_discriminator("residual", spec=DataSpec(side, side, 1, NAMES))
    images = tf.random.stateless_uniform((2, side, side, 1), (0, 3), -1, 1)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model([images, tf.constant([0, 1])])
    assert np.abs(tape.gradient(logits, images).numpy()).min() > 0


@pytest.mark.parametrize("architecture", GENERATORS)
def test_generator_stays_in_range_and_uses_noise_and_class(architecture):
    model = small_generator(architecture)
    images = model([LATENTS * 5, LABELS]).numpy()
    assert np.abs(images).max() <= 1
    other_class = model([LATENTS * 5, (LABELS + 1) % 3]).numpy()
    assert np.abs(other_class - images).max((1, 2, 3)).min() > 1e-3
    other_noise = model([LATENTS * 4, LABELS]).numpy()
    assert np.abs(other_noise - images).max((1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("architecture", GENERATORS)
def test_sample_in_inference_does_not_depend_on_its_batch(architecture):
    model = small_generator(architecture)
    model([LATENTS, LABELS], training=True)
    together = model([LATENTS, LABELS], training=False)
    alone = model([LATENTS[2:3], LABELS[2:3]], training=False)
    np.testing.assert_allclose(alone[0], together[2], atol=1e-5)


def test_residual_networks_have_no_normalisation_and_start_as_the_identity():
    model = small_generator("residual")
    assert not any(isinstance(layer, ConditionalBatchNormalization) for layer in model.layers)
    block = model.get_layer("stage1_block0_add")
    probe = keras.Model(model.inputs, [block.input[0], block.output])
    before, after = probe([LATENTS, LABELS])
    np.testing.assert_array_equal(before, after)
    for name in ("transposed", "subpixel"):
        layers = small_generator(name).layers
        assert any(isinstance(layer, ConditionalBatchNormalization) for layer in layers)


@pytest.mark.parametrize(("architecture", "spectral_norm"), DISCRIMINATORS)
@pytest.mark.parametrize("shape", [(9, 6, 3), (13, 28, 1)])
def test_discriminator_takes_any_size(architecture, spectral_norm, shape):
    spec = DataSpec(*shape, NAMES)
    logits = small_discriminator(architecture, spectral_norm, spec)([tf.zeros((6, *shape)), LABELS])
    assert logits.shape == (6,)
    assert logits.dtype == tf.float32


@pytest.mark.parametrize(("architecture", "spectral_norm"), DISCRIMINATORS)
def test_logit_depends_on_its_own_sample_alone(architecture, spectral_norm):
    model = small_discriminator(architecture, spectral_norm)
    together = model([IMAGES, LABELS])
    alone = model([IMAGES[:1], LABELS[:1]])
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)
    assert float(tf.math.reduce_std(together)) > 1e-5


@pytest.mark.parametrize(("architecture", "spectral_norm"), DISCRIMINATORS)
def test_unlabelled_samples_leave_the_class_weights_alone(architecture, spectral_norm):
    model = small_discriminator(architecture, spectral_norm)
    head = model.get_layer("logit")
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(model([IMAGES, -tf.ones_like(LABELS)]))
    gradient = tape.gradient(value, head.trainable_variables)
    by_name = dict(zip([v.name for v in head.trainable_variables], gradient, strict=True))
    assert np.abs(by_name["embeddings"]).max() == 0
    assert np.abs(by_name["kernel"]).max() > 0


@pytest.mark.parametrize(("architecture", "spectral_norm"), DISCRIMINATORS)
def test_penalty_reaches_every_weight(architecture, spectral_norm):
    """All but the head's bias, which moves every logit alike."""
    model = small_discriminator(architecture, spectral_norm)
    with tf.GradientTape() as tape:
        penalty = tf.reduce_sum(
            gradient_penalty(lambda x: model([x, LABELS], training=True), IMAGES)
        )
    gradients = tape.gradient(penalty, model.trainable_variables)
    missing = [
        v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None
    ]
    assert missing == ["logit/bias"]
    assert all(np.isfinite(gradient).all() for gradient in gradients if gradient is not None)


@pytest.mark.bfloat16
def test_logits_in_bfloat16_are_near_those_in_float32():
    for architecture in ("residual", "convolutional"):
        exact = small_discriminator(architecture)
        low = small_discriminator(architecture, dtype="mixed_bfloat16")
        low.set_weights(exact.get_weights())
        logits = low([IMAGES, LABELS])
        assert logits.dtype == tf.float32
        np.testing.assert_allclose(logits, exact([IMAGES, LABELS]), atol=0.03)
    for architecture in GENERATORS:
        exact = small_generator(architecture)
        low = small_generator(architecture, dtype="mixed_bfloat16")
        low.set_weights(exact.get_weights())
        images = low([LATENTS, LABELS], training=True)
        assert images.dtype == tf.float32
        np.testing.assert_allclose(images, exact([LATENTS, LABELS], training=True), atol=0.08)


@pytest.mark.parametrize("build", [small_generator, small_discriminator])
def test_seed_decides_the_weights(build):
    first, same, other = (build("residual", seed=seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("architecture", GENERATORS)
def test_saved_generator_is_the_same(architecture, tmp_path):
    model = small_generator(architecture)
    model([LATENTS, LABELS], training=True)
    model.save(tmp_path / "generator.keras")
    copy = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    np.testing.assert_allclose(copy([LATENTS, LABELS]), model([LATENTS, LABELS]), atol=1e-6)


@pytest.mark.parametrize(("architecture", "spectral_norm"), DISCRIMINATORS)
def test_saved_discriminator_is_the_same(architecture, spectral_norm, tmp_path):
    model = small_discriminator(architecture, spectral_norm)
    model([IMAGES, LABELS], training=True)
    model.save(tmp_path / "discriminator.keras")
    copy = keras.models.load_model(tmp_path / "discriminator.keras", safe_mode=True)
    np.testing.assert_allclose(copy([IMAGES, LABELS]), model([IMAGES, LABELS]), atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (64, 64), (9, 6), (5, 33), (3, 4)])
def test_pyramid_halves_down_to_four(shape):
    sizes = pyramid(*shape)
    assert sizes[-1] == shape
    assert max(sizes[0]) <= 4
    for smaller, larger in pairwise(sizes):
        for low, high in zip(smaller, larger, strict=True):
            assert low == (-(-high // 2) if high > 4 else high)
    assert len(stage_channels(*shape, 8)) == len(sizes)


def test_unknown_architectures_name_the_nearest():
    with pytest.raises(InvalidInputError, match="Did you mean 'residual'"):
        small_generator("residul")
    with pytest.raises(InvalidInputError, match="Did you mean 'convolutional'"):
        small_discriminator("convolution")
