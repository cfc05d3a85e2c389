"""Whole models over the bridge and back: structure, operations, random graphs, applications."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers as L  # noqa: N812

from keras_ganaccel.compression import bridge
from keras_ganaccel.errors import EquivalenceError, InvalidInputError

pytestmark = pytest.mark.train

ops = keras.ops


def randomized(model, seed=0):
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype == "float32" and "seed" not in variable.path:
            variable.assign(generator.uniform(0.1, 0.6, variable.shape))
    return model


def agree(model, twin, inputs):
    expected = keras.tree.flatten(model(inputs, training=False))
    received = tf.nest.flatten(twin(inputs, training=False))
    for a, b in zip(expected, received, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def block(filters, name):
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(filters, 3, padding="same", use_bias=False, name="conv")(image)
    return keras.Model(image, L.BatchNormalization(name="norm")(x), name=name)


def test_nested_models_are_opened_up_and_names_stay_unique():
    image = keras.Input((8, 8, 3), name="image")
    first, second = block(3, "first"), block(3, "second")
    inner = keras.Sequential([keras.Input((8, 8, 3)), first, L.ReLU(name="relu")], name="inner")
    model = randomized(keras.Model(image, L.Flatten(name="flat")(second(inner(image)))))
    twin = bridge.to_tf_keras(model)
    assert not any(isinstance(layer, tf_keras.Model) for layer in twin.layers)
    names = [layer.name for layer in twin.layers]
    assert names == ["image", "conv", "norm", "relu", "second_conv", "second_norm", "flat"]
    agree(model, twin, np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32"))


def test_shared_layers_and_models_stay_shared():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = L.Dense(4, name="dense")
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="head")], name="inner")
    outputs = {"sum": inner(dense(a)) + inner(dense(dense(b))), "a": dense(a)}
    model = randomized(keras.Model({"a": a, "b": b}, outputs))
    twin = bridge.to_tf_keras(model)
    assert len(twin.trainable_weights) == 4
    inputs = {k: np.random.default_rng(1).normal(size=(3, 4)).astype("float32") for k in "ab"}
    received = twin(inputs)
    assert set(received) == {"sum", "a"}
    for key, value in model(inputs).items():
        np.testing.assert_allclose(value, received[key], rtol=1e-5)


def test_users_model_is_not_touched():
    image = keras.Input((8, 8, 3), name="image")
    x = L.BatchNormalization(momentum=0.5)(L.Dropout(0.5, seed=1)(image))
    model = keras.Model(image, L.Dense(2)(L.RandomFlip(seed=2)(x)))
    before = [v.numpy().copy() for v in model.variables]
    operations = [len(o._inbound_nodes) for o in model._operations]
    bridge.to_tf_keras(model, samples=np.ones((4, 8, 8, 3), np.float32))
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, variable.value)
    assert operations == [len(o._inbound_nodes) for o in model._operations]


def test_twin_is_untouched_by_its_proof():
    model = randomized(block(4, "model"))
    twin = bridge.to_tf_keras(model)
    np.testing.assert_array_equal(
        twin.get_layer("norm").moving_mean, model.get_layer("norm").moving_mean
    )


def test_inference_mode_of_a_frozen_backbone_stays():
    image = keras.Input((8, 8, 3), name="image")
    model = randomized(keras.Model(image, block(4, "backbone")(image, training=False)))
    twin = bridge.to_tf_keras(model)
    before = twin.get_layer("norm").moving_mean.numpy()
    twin(np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32"), training=True)
    np.testing.assert_array_equal(before, twin.get_layer("norm").moving_mean)


def test_weights_come_back():
    model = randomized(block(4, "model"))
    twin = bridge.to_tf_keras(model)
    for weight in twin.weights:
        weight.assign(weight * 0.5 + 0.1)
    back = bridge.from_tf_keras(twin, model)
    for old, new in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_allclose(new, old * 0.5 + 0.1, rtol=1e-6)


def test_a_model_that_does_not_belong_is_refused():
    with pytest.raises(InvalidInputError, match="'conv'"):
        bridge.from_tf_keras(tf_keras.Sequential(), block(4, "model"))


def test_certificate_lists_every_layer():
    twin = bridge.to_tf_keras(block(4, "model"), samples=np.zeros((5, 8, 8, 3)))
    certificate = bridge.certificate_of(twin)
    assert [proof.kind for proof in certificate.layers] == ["Conv2D", "BatchNormalization"]
    assert certificate.samples == 4 + 5
    assert certificate.worst.training_error <= 1e-5
    with pytest.raises(EquivalenceError, match="no certificate"):
        bridge.certificate_of(tf_keras.Sequential())


OPERATIONS = {
    "operators": lambda x, y: (2.0 * x - y) / (1.5 + x * x) + (-x) ** 2,
    "activations": lambda x, y: ops.relu(x) + ops.relu6(4 * y) + ops.sigmoid(x) * ops.tanh(y),
    "more_activations": lambda x, y: ops.softmax(x) + ops.gelu(y) + ops.silu(x) + ops.elu(y),
    "reductions": lambda x, y: ops.mean(x, axis=(1, 2)) + ops.max(y, axis=[1, 2]) - ops.sum(x),
    "shapes": lambda x, y: ops.transpose(ops.reshape(x, (-1, 8, 12)), (0, 2, 1)),
    "joins": lambda x, y: ops.concatenate([x, y, x], axis=-1),
    "stack": lambda x, y: ops.stack([x, y], axis=1),
    "pad_and_clip": lambda x, y: ops.pad(ops.clip(x, -0.5, 0.5), ((0, 0), (1, 2), (0, 0), (0, 0))),
    "products": lambda x, y: ops.matmul(x, ops.swapaxes(y, -1, -2)),
    "powers": lambda x, y: ops.sqrt(ops.abs(x)) + ops.exp(y) + ops.log1p(ops.square(x)),
    "constants": lambda x, y: x * np.array([1.0, 2.0, 3.0], "float32") + ops.maximum(y, 0.1),
    "slices": lambda x, y: x[:, 1:5, ::2] + y[:, 2:6, ::2],
    "split": lambda x, y: ops.add(*ops.split(ops.concatenate([x, y], -1), 2, axis=-1)),
    "same_twice": lambda x, y: x + x + ops.where(y > 0, x, y),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name):
    a, b = keras.Input((8, 4, 3), name="a"), keras.Input((8, 4, 3), name="b")
    model = keras.Model([a, b], OPERATIONS[name](a, b))
    inputs = list(np.random.default_rng(0).normal(size=(2, 3, 8, 4, 3)).astype("float32"))
    agree(model, bridge.to_tf_keras(model), inputs)


# Each takes an image (batch, h, w, c) and a draw of small integers, and returns an image.
LAYERS = [
    lambda n: L.Conv2D(2 + n, 3, padding="same", strides=1 + n % 2, activation="relu"),
    lambda n: L.Conv2D(2 + n, 1, use_bias=False, activation=("selu", "swish", "gelu", "mish")[n]),
    lambda n: L.DepthwiseConv2D(3, padding="same", depth_multiplier=1 + n % 2),
    lambda n: L.SeparableConv2D(2 + n, 3, padding="same"),
    lambda n: L.Conv2DTranspose(2 + n, 2, strides=1 + n % 2, padding="same"),
    lambda n: L.BatchNormalization(scale=bool(n % 2), center=n < 2),
    lambda n: L.LayerNormalization(),
    lambda n: L.ReLU(max_value=(None, 6.0, 1.0, 2.0)[n]),
    lambda n: L.LeakyReLU(negative_slope=0.1 * n),
    lambda n: L.PReLU(shared_axes=(1, 2)),
    lambda n: L.MaxPooling2D(2, padding="same", strides=1 + n % 2),
    lambda n: L.AveragePooling2D(2, padding="same", strides=1 + n % 2),
    lambda n: L.UpSampling2D(1 + n % 2),
    lambda n: L.ZeroPadding2D(n),
    lambda n: L.Dropout(0.1 * n),
    lambda n: L.SpatialDropout2D(0.1 * n),
    lambda n: L.Rescaling(0.5, offset=n),
    lambda n: L.Resizing(3 + n, 4),
    lambda n: L.Activation(("hard_sigmoid", "tanh", "softplus", "elu")[n]),
    lambda n: L.Dense(3, activation=("relu6", "hard_silu", "exponential", "softsign")[n]),
    lambda n: lambda x: ops.relu6(x * (n + 1.0)),
    lambda n: lambda x: x + L.Dense(x.shape[-1])(x),
    lambda n: lambda x: L.Multiply()([x, L.Dense(x.shape[-1], activation="sigmoid")(x)]),
    lambda n: lambda x: L.Concatenate()([x, L.Conv2D(2, 1)(x), x]),
    lambda n: lambda x: keras.Sequential([L.Conv2D(2 + n, 1), L.BatchNormalization()])(x),
]
HEADS = [
    lambda x: L.GlobalAveragePooling2D()(x),
    lambda x: L.GlobalMaxPooling2D()(x),
    lambda x: L.Flatten()(x),
    lambda x: ops.mean(x, axis=(1, 2)),
]
draws = st.tuples(
    st.lists(st.tuples(st.integers(0, len(LAYERS) - 1), st.integers(0, 3)), max_size=6),
    st.integers(0, len(HEADS) - 1),
    st.integers(0, 2**16),
)


def check_random_graph(draw):
    steps, head, seed = draw
    image = x = keras.Input((8, 8, 3), name="image")
    for kind, number in steps:
        if x.shape[1] > 24 or x.shape[-1] > 32:
            break
        x = LAYERS[kind](number)(x)
    model = keras.Model(image, L.Dense(4, name="logits")(HEADS[head](x)))
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype == "float32":
            variable.assign(generator.uniform(0.05, 0.3, variable.shape))
    twin = bridge.to_tf_keras(model, seed=seed)
    agree(model, twin, generator.uniform(-1, 1, (2, 8, 8, 3)).astype("float32"))
    back = bridge.from_tf_keras(twin, model)
    for old, new in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


options = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@settings(max_examples=12, **options)
@given(draws)
def test_random_graphs(draw):
    check_random_graph(draw)


@pytest.mark.slow
@settings(max_examples=200, **options)
@given(draws)
def test_many_random_graphs(draw):
    check_random_graph(draw)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50", "DenseNet121", "VGG16",
        )
    ],
)  # fmt: skip
def test_applications(name):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(32, 32, 3), classes=10, classifier_activation=None
    )
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            for variable in layer.weights:
                variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    images = generator.uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    twin = bridge.to_tf_keras(model, samples=images)
    reference = model(images, training=False).numpy()
    received = twin(images, training=False).numpy()
    np.testing.assert_allclose(received, reference, atol=1e-4 * np.abs(reference).max())
