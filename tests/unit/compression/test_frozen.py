"""What is frozen stays the same bit for bit, and what comes back is the model that was trained."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_ganaccel.compression.channels import Channels
from keras_ganaccel.compression.compress import compress
from keras_ganaccel.compression.graph import flatten
from keras_ganaccel.compression.kernels import trained_ids
from keras_ganaccel.compression.prepare import prepare, restore
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train


def assert_same(after, before):
    assert len(after) == len(before)
    for (path, value), other in zip(before.items(), after.values(), strict=True):
        np.testing.assert_array_equal(value, other, err_msg=path)


def perturbed(prepared, rng):
    """Moves every weight of a prepared model that training may move."""
    for layer in prepared.model.layers:
        moving = trained_ids(layer)
        for weight in layer.weights:
            if id(weight) in moving:
                weight.assign(weight.value + 0.05 * rng.normal(size=weight.shape))


@pytest.mark.parametrize("seed", range(12))
def test_any_training_of_the_prepared_model_comes_back(seed, random_net, frozen_weights):
    model, rng = random_net(seed), np.random.default_rng(seed)
    before = frozen_weights(model)
    prepared = prepare(model)
    perturbed(prepared, rng)
    restored = restore(prepared, model)
    assert_same(frozen_weights(restored), before)
    x = rng.random((4, 12, 12, 3)).astype("float32")
    expected = np.asarray(prepared.model(x, training=False))
    received = np.asarray(restored(x, training=False))
    np.testing.assert_allclose(received, expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("conv_moves", [True, False])
@pytest.mark.parametrize("norm_moves", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_channel_that_the_norm_switched_off(conv_moves, norm_moves, use_bias, frozen_weights):
    rng = np.random.default_rng(0)
    image = keras.Input((6, 6, 2))
    x = L.Conv2D(3, 3, use_bias=use_bias, trainable=conv_moves, name="conv")(image)
    x = L.BatchNormalization(trainable=norm_moves, name="norm")(x)
    model = keras.Model(image, x)
    model.get_layer("norm").gamma.assign([1.0, 0.0, -1e-9])
    before = frozen_weights(model)
    prepared = prepare(model)
    perturbed(prepared, rng)
    restored = restore(prepared, model)
    assert_same(frozen_weights(restored), before)
    x = rng.random((4, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(restored(x), prepared.model(x), atol=1e-4)


def test_a_single_frozen_weight_is_kept_too():
    model = keras.Sequential([keras.Input((4,)), L.Dense(8, name="dense"), L.Dense(3)])
    model.get_layer("dense").kernel.trainable = False
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 4)).astype("float32"), rng.integers(0, 3, 64)
    made = compress(model, (x, y), technique="qat", steps=3, learning_rate=0.1)
    before, after = model.get_layer("dense"), made.keras_model.get_layer("dense")
    np.testing.assert_array_equal(before.kernel, after.kernel)
    assert np.abs(before.bias - after.bias).max() > 0
    assert after.kernel.trainable is False


def frozen_net():
    image = keras.Input((8, 8, 1))
    x = L.Rescaling(1 / 255)(image)
    x = L.Conv2D(16, 3, trainable=False, name="frozen")(x)
    x = L.ReLU()(L.BatchNormalization(trainable=False, name="still")(x))
    x = L.Conv2D(32, 3, activation="relu", name="free")(x)
    return keras.Model(image, L.Dense(10, name="logits")(L.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("technique", ["qat", "structured_pqat", "pcqat"])
def test_frozen_layers_and_rescaling_do_not_move(technique, digits):
    (x, y), _ = digits
    model = frozen_net()
    made = compress(
        model, (255 * x, y), technique=technique, steps=4, learning_rate=0.1,
        sparsity=0.4, macs_fraction=0.8,
    )  # fmt: skip
    for name in ("frozen", "still"):
        for old, new in zip(
            model.get_layer(name).get_weights(),
            made.keras_model.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(old, new)
    layer = next(v for v in made.tf_keras_model.variables if "depthwise_kernel" in v.name)
    assert layer.numpy().item() == np.float32(1 / 255)


def test_channels_of_frozen_layers_are_not_removed():
    graph = flatten(frozen_net())
    channels = Channels(graph)
    free = {
        step.name: all(channels.removable(g) for g in channels.groups(step.outputs[0]))
        for step in graph.steps
        if step.name in ("frozen", "free")
    }
    assert free == {"frozen": False, "free": True}


def test_nothing_to_prune_is_refused_with_the_reason(digits):
    model = frozen_net()
    model.trainable = False
    with pytest.raises(InvalidInputError, match=r"At most 0\.0 .*'frozen' \(it is frozen"):
        compress(model, digits[0], technique="prune")


def test_random_nets_have_what_the_tests_are_about(random_net, frozen_weights):
    nets = [random_net(seed) for seed in range(12)]
    assert all(net.output_shape == (None, 4) for net in nets)
    kinds = {type(layer).__name__ for net in nets for layer in net._flatten_layers()}
    assert kinds >= {"Concatenate", "Rescaling", "BatchNormalization", "SeparableConv2D"}
    assert sum(bool(frozen_weights(net)) for net in nets) >= 6
