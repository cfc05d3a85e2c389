"""Rewriting for integers changes the structure, not the results, and can be undone."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_ganaccel.compression.fusion import find_fusions
from keras_ganaccel.compression.graph import flatten
from keras_ganaccel.compression.plain import in_float32
from keras_ganaccel.compression.prepare import prepare, restore

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(size=(6, 12, 12, 3)).astype("float32")


def randomized(model):
    generator = np.random.default_rng(3)
    for variable in model.weights:
        if variable.dtype == "float32":
            variable.assign(generator.uniform(0.1, 0.9, variable.shape))
    return model


def every_kind():
    image = keras.Input((12, 12, 3), name="image")
    x = L.Rescaling(2.0, -1.0)(image)
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = L.ReLU()(L.BatchNormalization()(x))
    y = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", depth_multiplier=1)(x))
    x = (x + keras.ops.relu6(y)) * 0.5
    x = L.BatchNormalization(center=False)(L.SeparableConv2D(6, 3)(x))
    x = L.Activation("swish")(x)
    x = L.BatchNormalization()(L.Conv2D(4, 1, activation="relu")(x))
    x = L.BatchNormalization()(L.Conv2DTranspose(5, 2, strides=2)(x))
    nested = keras.Sequential([L.Dropout(0.1), L.Flatten(), L.Dense(7)], name="nested")
    x = L.ReLU(6.0)(L.BatchNormalization(scale=False)(nested(x)))
    x = L.BatchNormalization()(L.Dense(5, activation="tanh")(x))
    return randomized(keras.Model(image, L.Dense(3, activation="softmax", name="head")(x)))


def test_prepared_model_computes_the_same():
    model = every_kind()
    prepared = prepare(model)
    np.testing.assert_allclose(
        prepared.model(IMAGES, training=False), model(IMAGES, training=False), atol=1e-5
    )
    kinds = {type(layer) for layer in prepared.model.layers}
    assert not kinds & {L.BatchNormalization, L.ReLU, L.SeparableConv2D, L.Rescaling}
    assert not any(isinstance(layer, keras.Model) for layer in prepared.model.layers)


@pytest.mark.parametrize("invert", [False, True])
def test_adapted_layers_and_whole_numbers_become_convolutions(invert):
    raw = GENERATOR.integers(0, 256, (32, 8, 8, 3)).astype("uint8")
    scaled = L.Normalization(invert=invert)
    scaled.adapt(raw.astype("float32"))
    image = keras.Input((8, 8, 3), dtype="uint8")
    x = L.Conv2D(4, 3)(scaled(L.Rescaling(1 / 3.0)(image)))
    model = keras.Model(image, L.Dense(3)(L.Flatten()(x)))
    prepared = prepare(model)
    expected = model(raw, training=False)
    np.testing.assert_allclose(prepared.model(raw, training=False), expected, rtol=1e-4, atol=1e-3)
    assert not {type(each) for each in prepared.model.layers} & {L.Normalization, L.Rescaling}
    np.testing.assert_array_equal(restore(prepared, model)(raw, training=False), expected)


def test_folding_follows_the_formula():
    image = keras.Input((5, 5, 2), name="image")
    x = L.BatchNormalization(epsilon=0.01)(L.Conv2D(3, 3)(image))
    model = randomized(keras.Model(image, L.ReLU()(x)))
    conv, norm = model.layers[1], model.layers[2]
    folded = prepare(model).model.layers[-1]
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + 0.01)
    np.testing.assert_allclose(folded.kernel, conv.kernel.numpy() * scale, rtol=1e-6)
    expected = norm.beta.numpy() + (conv.bias.numpy() - norm.moving_mean.numpy()) * scale
    np.testing.assert_allclose(folded.bias, expected, rtol=1e-5)
    assert folded.activation is keras.activations.relu


def test_trained_weights_come_back_to_the_original_structure():
    model = every_kind()
    prepared = prepare(model)
    generator = np.random.default_rng(7)
    for layer in prepared.model.layers:
        if layer.trainable:
            for variable in layer.weights:
                noise = generator.uniform(0.8, 1.2, variable.shape)
                variable.assign(variable.numpy() * noise * (generator.random(variable.shape) > 0.3))
    before = [w.copy() for w in model.get_weights()]
    back = restore(prepared, model)
    np.testing.assert_allclose(
        back(IMAGES, training=False), prepared.model(IMAGES, training=False), atol=1e-4
    )
    assert [type(a) for a in back.layers] == [type(a) for a in model.layers]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_layer_names_depend_on_structure_alone():
    first = [layer.name for layer in prepare(every_kind()).model.layers]
    keras.layers.Dense(3)  # moves Keras' automatic names on
    assert [layer.name for layer in prepare(every_kind()).model.layers] == first


@pytest.mark.parametrize("branch", ["used twice", "is an output", "is called twice"])
def test_what_others_see_is_not_folded(branch):
    image = keras.Input((5, 5, 2), name="image")
    conv, norm = L.Conv2D(2, 1), L.BatchNormalization()
    x = conv(image)
    outputs = norm(x)
    if branch == "used twice":
        outputs = L.Add()([outputs, x])
    elif branch == "is an output":
        outputs = [outputs, x]
    else:
        outputs = L.Add()([outputs, conv(x)])
    model = randomized(keras.Model(image, outputs))
    assert all(fusion.norm is None for fusion in find_fusions(flatten(model)))
    images = IMAGES[:, :5, :5, :2]
    for a, b in zip(
        keras.tree.flatten(prepare(model).model(images)),
        keras.tree.flatten(model(images)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.bfloat16
def test_mixed_precision_is_rebuilt_in_float32():
    image = keras.Input((6,), name="image")
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, dtype="mixed_bfloat16", name="b")])
    x = inner(L.Dense(4, dtype="mixed_bfloat16", name="a")(image))
    model = keras.Model(image, L.Dense(2, dtype="float32", name="c")(x))
    rebuilt = in_float32(model)
    assert rebuilt is not model
    assert all(x.dtype_policy.name == "float32" for x in rebuilt._flatten_layers() if x.weights)
    for old, new in zip(model.get_weights(), rebuilt.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert in_float32(rebuilt) is rebuilt
