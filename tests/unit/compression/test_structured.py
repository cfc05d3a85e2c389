"""Channels are removed wherever they are tied, and what was useless is not missed."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_ganaccel.compression.channels import Channels
from keras_ganaccel.compression.graph import flatten
from keras_ganaccel.compression.selection import Space, _next_cut, choose_channels, macs
from keras_ganaccel.compression.structured import _rebuilt, narrowed, structured_prune
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train


def tangled():
    """Residual sum, concatenation, depthwise, gating, flattening, nesting."""
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(8, 3, padding="same", name="stem")(image)
    x = L.ReLU()(L.BatchNormalization(name="norm")(x))
    y = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = L.Add()([x, L.Conv2D(8, 1, name="project")(y)])
    gate = L.Dense(4, activation="relu", name="squeeze")(L.GlobalAveragePooling2D()(x))
    gate = L.Reshape((1, 1, 8))(L.Dense(8, activation="sigmoid", name="excite")(gate))
    x = L.Multiply()([x, gate])
    x = L.Concatenate(name="join")([x, L.Conv2D(6, 1, name="side")(x)])
    x = keras.Sequential([L.Conv2D(5, 3, name="inner")], name="nested")(L.MaxPooling2D()(x))
    x = L.Flatten(name="flatten")(keras.ops.relu(x))
    x = L.Dense(7, activation="relu", name="hidden")(x)
    model = keras.Model(image, L.Dense(4, name="logits")(x))
    generator = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(generator.uniform(0.1, 0.6, variable.shape))
    return model


def groups_of(model):
    graph = flatten(model)
    channels = Channels(graph)
    found = {step.name: channels.groups(step.outputs[0]) for step in graph.steps}
    return graph, channels, found


def test_tied_channels_are_in_one_group():
    _, channels, groups = groups_of(tangled())
    np.testing.assert_array_equal(groups["stem"], groups["project"])
    np.testing.assert_array_equal(groups["stem"], groups["excite"])
    np.testing.assert_array_equal(groups["depthwise"], np.repeat(groups["stem"], 2))
    np.testing.assert_array_equal(groups["join"], [*groups["stem"], *groups["side"]])
    np.testing.assert_array_equal(groups["flatten"], np.tile(groups["inner"], 4))
    assert not set(groups["stem"]) & set(groups["side"])
    assert all(channels.removable(g) for g in groups["stem"])
    assert not any(channels.removable(g) for g in groups["logits"])


@pytest.mark.parametrize("space", ["stem", "side", "inner", "hidden", "squeeze"])
def test_removing_silent_channels_changes_nothing(space):
    """A channel is silent when nothing reads it; the reference is the whole model."""
    model = tangled()
    graph, channels, groups = groups_of(model)
    gone = {int(groups[space][0]), int(groups[space][2])}
    for step in graph.steps:
        if isinstance(step.operation, (L.Conv2D, L.Dense)) and not isinstance(
            step.operation, L.DepthwiseConv2D
        ):
            silent = np.isin(channels.groups(step.inputs[0]), list(gone))
            kernel = step.operation.kernel.numpy()
            kernel[..., silent, :] = 0.0
            step.operation.kernel.assign(kernel)
    smaller = _rebuilt(graph, channels, gone)
    images = np.random.default_rng(1).uniform(size=(3, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(smaller(images), model(images), rtol=1e-4)
    assert smaller.count_params() < model.count_params()


def test_mean_over_all_channels_protects_them():
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(8, 3, name="conv")(image)
    x = L.LayerNormalization()(x)
    model = keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    _, channels, groups = groups_of(model)
    assert not any(channels.removable(g) for g in groups["conv"])


def test_macs_are_counted_by_hand():
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(4, 3, strides=2, padding="same")(image)
    x = L.DepthwiseConv2D(3, padding="valid")(x)
    model = keras.Model(image, L.Dense(5)(L.Flatten()(x)))
    assert macs(flatten(model)) == 16 * 9 * 3 * 4 + 4 * 9 * 4 + 16 * 5


def test_least_important_channels_go_first():
    model = tangled()
    graph, channels, groups = groups_of(model)
    every = {int(g): 100.0 for each in groups.values() for g in each}
    cheap = {int(groups["side"][1]), int(groups["side"][4])}
    removed = choose_channels(
        graph, channels, {**every, **dict.fromkeys(cheap, 0.0)}, 0.99 * macs(graph), 2
    )
    assert removed == cheap


def test_wide_layers_lose_whole_vectors():
    space = Space(tuple(range(60)), (0.0,) * 60)
    widths, taken = [], 0
    while (taken := _next_cut(space, taken, 8)) is not None:
        widths.append(60 - taken)
    assert widths == [48, 32, 16, 8]


def test_half_the_multiplications(trained, tuner, accuracy):
    before = [w.copy() for w in trained.get_weights()]
    total = macs(flatten(trained))
    small = structured_prune(trained, tuner, macs_fraction=0.5, steps=80, learning_rate=3e-3)
    assert macs(flatten(small)) <= 0.5 * total
    widths = [small.get_layer(n).output.shape[-1] for n in ("stem", "pointwise", "conv")]
    assert widths[0] == widths[1]
    assert all(width % 4 == 0 for width in widths)
    assert small.count_params() < trained.count_params()
    assert accuracy(small) > accuracy(trained) - 0.06
    for old, new in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_too_much_is_refused(trained, tuner):
    with pytest.raises(InvalidInputError, match="cannot be reached"):
        narrowed(trained, 10.0, tuner, 4)
    with pytest.raises(InvalidInputError, match="macs_fraction"):
        structured_prune(trained, tuner, macs_fraction=0.0)
