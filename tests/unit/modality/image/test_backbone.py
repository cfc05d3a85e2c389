"""The discriminator on a frozen feature extractor."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.networks import build_discriminator
from keras_ganaccel.modality.image.backbone import BackboneInput, build_backbone_discriminator
from keras_ganaccel.modality.image.spec import DataSpec

SPEC = DataSpec(8, 8, 1, ("a", "b", "c"))
RNG = np.random.default_rng(0)
IMAGES = tf.constant(RNG.uniform(-1, 1, (4, 8, 8, 1)), tf.float32)
LABELS = tf.constant([0, 1, 2, -1])


def small_backbone(size=16, channels=3):
    return keras.Sequential(
        [
            keras.Input((size, size, channels), name="image"),
            keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1"),
            keras.layers.BatchNormalization(name="norm1"),
            keras.layers.MaxPooling2D(name="pool1"),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv2"),
            keras.layers.Dropout(0.5, name="dropout"),
            keras.layers.MaxPooling2D(name="pool2"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(3, name="logits"),
        ],
        name="small",
    )


@pytest.mark.parametrize(
    ("mode", "reference"),
    [
        ("torch", keras.applications.densenet.preprocess_input),
        ("caffe", keras.applications.vgg16.preprocess_input),
        ("signed", keras.applications.mobilenet_v2.preprocess_input),
        ("raw", lambda x: x),
        ("unit", lambda x: x / 255),
    ],
)
def test_input_range_is_that_of_keras_applications(mode, reference):
    raw = RNG.uniform(0, 255, (2, 5, 4, 3)).astype(np.float32)
    outputs = BackboneInput(3, mode, name="input")(raw / 127.5 - 1)
    np.testing.assert_allclose(outputs, reference(raw.copy()), atol=1e-3)


def test_channels_are_repeated_or_averaged():
    grey = BackboneInput(3, "signed", name="input")(IMAGES)
    np.testing.assert_array_equal(grey, np.repeat(IMAGES, 3, -1))
    colour = RNG.uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32)
    outputs = BackboneInput(1, "signed", name="input")(colour)
    np.testing.assert_allclose(outputs, colour.mean(-1, keepdims=True), atol=1e-6)


def test_one_head_per_scale_and_only_the_heads_are_trained():
    model = build_backbone_discriminator(SPEC, small_backbone(), width=8)
    logits = model([IMAGES, LABELS])
    assert logits.shape == (4, 3)
    assert logits.dtype == tf.float32
    assert all(variable.path.split("/")[0][:4] == "head" for variable in model.trainable_variables)
    assert model.get_layer("backbone").trainable is False


def test_users_model_is_copied_with_its_weights_and_left_as_it_was():
    backbone = small_backbone()
    before = [np.array(weight) for weight in backbone.get_weights()]
    model = build_backbone_discriminator(SPEC, backbone, width=8)
    model([IMAGES, LABELS], training=True)
    assert backbone.trainable
    assert all(layer.trainable for layer in backbone.layers)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    copied = model.get_layer("backbone").model.get_layer("conv1").get_weights()
    np.testing.assert_array_equal(copied[0], before[0])


def test_backbone_runs_in_inference_mode():
    """Neither its dropout nor its batch norm may act, in training either."""
    model = build_backbone_discriminator(SPEC, small_backbone(), width=8, spectral_norm=False)
    np.testing.assert_allclose(
        model([IMAGES, LABELS], training=True), model([IMAGES, LABELS], training=False), atol=1e-5
    )


def test_gradient_reaches_the_image_through_the_frozen_features():
    model = build_backbone_discriminator(SPEC, small_backbone(), width=8)
    images = IMAGES
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(model([images, LABELS]))
    assert float(tf.reduce_max(tf.abs(tape.gradient(value, images)))) > 0


def test_named_layers_and_free_input_size():
    free = keras.Sequential(
        [
            keras.Input((None, None, 1), name="image"),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", name="first"),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", name="second"),
        ],
        name="free",
    )
    model = build_backbone_discriminator(
        SPEC, free, feature_layers=["second"], image_size=(12, 20), width=8
    )
    assert model([IMAGES, LABELS]).shape == (4, 1)
    assert model.get_layer("backbone_resize").output.shape == (None, 12, 20, 1)
    everything = build_backbone_discriminator(SPEC, free, width=8)
    assert everything.get_layer("backbone_resize").output.shape == (None, 64, 64, 1)
    assert everything.output_shape == (None, 2)


def test_saved_discriminator_is_the_same(tmp_path):
    model = build_discriminator(SPEC, architecture="backbone", backbone=small_backbone(), width=8)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(copy([IMAGES, LABELS]), model([IMAGES, LABELS]), atol=1e-5)
    assert len(copy.trainable_variables) == len(model.trainable_variables)


@pytest.mark.parametrize(
    ("name", "input_range"),
    [("resnet50", "caffe"), ("resnet50v2", "signed"), ("vgg16", "caffe"), ("densenet121", "torch"),
     ("my_features", "unit")],
)  # fmt: skip
def test_known_models_get_their_range(name, input_range):
    backbone = keras.Sequential(
        [keras.Input((8, 8, 3), name="image"), keras.layers.Conv2D(2, 3, name="conv")], name=name
    )
    model = build_backbone_discriminator(SPEC, backbone, width=8)
    assert model.get_layer("backbone_input").input_range == input_range


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["ResNet50", "VGG16", "DenseNet121"])
def test_models_of_keras_applications(architecture):
    backbone = getattr(keras.applications, architecture)(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    model = build_backbone_discriminator(SPEC, backbone, width=8)
    assert model([IMAGES, LABELS], training=True).shape == (4, 4)


def test_unfit_arguments_are_refused():
    backbone = small_backbone()
    with pytest.raises(InvalidInputError, match="Did you mean 'conv2'"):
        build_backbone_discriminator(SPEC, backbone, feature_layers=["conv"])
    with pytest.raises(InvalidInputError, match="'flatten'"):
        build_backbone_discriminator(SPEC, backbone, feature_layers=["flatten"])
    with pytest.raises(InvalidInputError, match="`input_range`"):
        build_backbone_discriminator(SPEC, backbone, input_range="0..1")
    with pytest.raises(InvalidInputError, match="1 or 3 channels"):
        build_backbone_discriminator(SPEC, small_backbone(channels=2))
    with pytest.raises(InvalidInputError, match="Give both or neither"):
        build_discriminator(SPEC, architecture="backbone")
    with pytest.raises(InvalidInputError, match="Give both or neither"):
        build_discriminator(SPEC, backbone=backbone)
