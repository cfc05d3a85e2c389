"""Every translated layer computes the same in tf_keras; every other one is refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras import layers as L  # noqa: N812

from keras_ganaccel.compression import bridge
from keras_ganaccel.compression.bridge import coverage, registry
from keras_ganaccel.errors import EquivalenceError, InvalidInputError, UnsupportedLayerError

IMAGE, SERIES, VOLUME, VECTOR = (8, 8, 3), (6, 4), (6, 6, 6, 2), (5,)

CASES = {
    "Activation": (L.Activation("elu"), IMAGE),
    "ActivityRegularization": (L.ActivityRegularization(l2=0.1), VECTOR),
    "AlphaDropout": (L.AlphaDropout(0.3), VECTOR),
    "AveragePooling1D": (L.AveragePooling1D(2, padding="same"), SERIES),
    "AveragePooling2D": (L.AveragePooling2D(3, strides=2, padding="same"), IMAGE),
    "AveragePooling3D": (L.AveragePooling3D(2), VOLUME),
    "BatchNormalization": (L.BatchNormalization(momentum=0.8, epsilon=1e-2), IMAGE),
    "Bidirectional": (L.Bidirectional(L.LSTM(3, return_sequences=True)), SERIES),
    "CenterCrop": (L.CenterCrop(4, 6), IMAGE),
    "Conv1D": (L.Conv1D(4, 3, padding="causal", dilation_rate=2), SERIES),
    "Conv1DTranspose": (L.Conv1DTranspose(4, 3, strides=2, padding="same"), SERIES),
    "Conv2D": (L.Conv2D(6, 3, strides=2, padding="same", groups=3, activation="gelu"), IMAGE),
    "Conv2DTranspose": (L.Conv2DTranspose(4, 3, strides=2, padding="same"), IMAGE),
    "Conv3D": (L.Conv3D(3, 2, strides=2, kernel_regularizer="l2"), VOLUME),
    "Conv3DTranspose": (L.Conv3DTranspose(3, 3, strides=2), VOLUME),
    "ConvLSTM1D": (L.ConvLSTM1D(2, 3, padding="same"), (4, 6, 2)),
    "ConvLSTM2D": (L.ConvLSTM2D(2, 3, padding="same"), (3, 5, 5, 2)),
    "ConvLSTM3D": (L.ConvLSTM3D(2, 2, padding="same"), (2, 4, 4, 4, 1)),
    "Cropping1D": (L.Cropping1D((1, 2)), SERIES),
    "Cropping2D": (L.Cropping2D(((1, 0), (2, 1))), IMAGE),
    "Cropping3D": (L.Cropping3D(1), VOLUME),
    "Dense": (L.Dense(7, activation="hard_sigmoid", kernel_constraint="non_neg"), VECTOR),
    "DepthwiseConv1D": (L.DepthwiseConv1D(3, depth_multiplier=2), SERIES),
    "DepthwiseConv2D": (L.DepthwiseConv2D(3, strides=2, depth_multiplier=2), IMAGE),
    "Discretization": (L.Discretization(bin_boundaries=[-0.5, 0.0, 0.5]), VECTOR),
    "Dropout": (L.Dropout(0.5), IMAGE),
    "ELU": (L.ELU(alpha=0.7), VECTOR),
    "EinsumDense": (L.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), SERIES),
    "Embedding": (L.Embedding(9, 4), ((5,), "int32")),
    "Flatten": (L.Flatten(), IMAGE),
    "GRU": (L.GRU(3), SERIES),
    "GaussianDropout": (L.GaussianDropout(0.3), VECTOR),
    "GaussianNoise": (L.GaussianNoise(0.3), VECTOR),
    "GlobalAveragePooling1D": (L.GlobalAveragePooling1D(), SERIES),
    "GlobalAveragePooling2D": (L.GlobalAveragePooling2D(keepdims=True), IMAGE),
    "GlobalAveragePooling3D": (L.GlobalAveragePooling3D(), VOLUME),
    "GlobalMaxPooling1D": (L.GlobalMaxPooling1D(), SERIES),
    "GlobalMaxPooling2D": (L.GlobalMaxPooling2D(), IMAGE),
    "GlobalMaxPooling3D": (L.GlobalMaxPooling3D(), VOLUME),
    "GroupNormalization": (L.GroupNormalization(groups=3), IMAGE),
    "Identity": (L.Identity(), IMAGE),
    "LSTM": (L.LSTM(3, return_sequences=True), SERIES),
    "LayerNormalization": (L.LayerNormalization(epsilon=1e-4), IMAGE),
    "LeakyReLU": (L.LeakyReLU(negative_slope=0.13), IMAGE),
    "Masking": (L.Masking(), SERIES),
    "MaxPooling1D": (L.MaxPooling1D(2), SERIES),
    "MaxPooling2D": (L.MaxPooling2D(3, strides=2, padding="same"), IMAGE),
    "MaxPooling3D": (L.MaxPooling3D(2), VOLUME),
    "Normalization": (L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]), IMAGE),
    "PReLU": (L.PReLU(shared_axes=(1, 2)), IMAGE),
    "Permute": (L.Permute((2, 1)), SERIES),
    "RNN": (L.RNN(L.GRUCell(3)), SERIES),
    "RandomBrightness": (L.RandomBrightness(0.2, value_range=(0.0, 1.0)), IMAGE),
    "RandomFlip": (L.RandomFlip(), IMAGE),
    "RandomRotation": (L.RandomRotation(0.1), IMAGE),
    "RandomTranslation": (L.RandomTranslation(0.1, 0.1), IMAGE),
    "RandomZoom": (L.RandomZoom(0.1), IMAGE),
    "ReLU": (L.ReLU(max_value=3.0, negative_slope=0.1, threshold=0.2), IMAGE),
    "RepeatVector": (L.RepeatVector(3), VECTOR),
    "Rescaling": (L.Rescaling(1 / 127.5, offset=-1.0), IMAGE),
    "Reshape": (L.Reshape((4, -1)), IMAGE),
    "Resizing": (L.Resizing(5, 11, interpolation="bilinear"), IMAGE),
    "SeparableConv1D": (L.SeparableConv1D(5, 3, padding="same"), SERIES),
    "SeparableConv2D": (L.SeparableConv2D(5, 3, strides=2, padding="same"), IMAGE),
    "SimpleRNN": (L.SimpleRNN(3), SERIES),
    "Softmax": (L.Softmax(axis=-1), IMAGE),
    "SpatialDropout1D": (L.SpatialDropout1D(0.2), SERIES),
    "SpatialDropout2D": (L.SpatialDropout2D(0.2), IMAGE),
    "SpatialDropout3D": (L.SpatialDropout3D(0.2), VOLUME),
    "TimeDistributed": (L.TimeDistributed(L.Dense(3)), SERIES),
    "UnitNormalization": (L.UnitNormalization(), VECTOR),
    "UpSampling1D": (L.UpSampling1D(2), SERIES),
    "UpSampling2D": (L.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    "UpSampling3D": (L.UpSampling3D(2), VOLUME),
    "ZeroPadding1D": (L.ZeroPadding1D((1, 2)), SERIES),
    "ZeroPadding2D": (L.ZeroPadding2D(((1, 0), (2, 1))), IMAGE),
    "ZeroPadding3D": (L.ZeroPadding3D(1), VOLUME),
}  # fmt: skip
MERGES = {
    name: getattr(L, name)
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
}


def randomized(model, seed=0):
    """Gives every float weight a random value, so that nothing hides behind zeros and ones."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" not in variable.path and variable.dtype == "float32":
            variable.assign(generator.uniform(0.2, 1.2, variable.shape))
    return model


def one_layer_model(layer, shape):
    shape, dtype = shape if isinstance(shape[0], tuple) else (shape, "float32")
    image = keras.Input(shape, dtype=dtype, name="image")
    return keras.Model(image, layer(image), name="model")


def check(model, samples=None):
    """Translates, and compares once more with an independent forward pass."""
    before = [w.copy() for w in model.get_weights()]
    twin = bridge.to_tf_keras(model, samples=samples)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    generator = np.random.default_rng(1)
    inputs = [
        generator.integers(0, 2, (3, *t.shape[1:])).astype("int32")
        if t.dtype == "int32"
        else generator.uniform(-1, 1, (3, *t.shape[1:])).astype("float32")
        for t in model.inputs
    ]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    expected = keras.tree.flatten(model(inputs, training=False))
    received = tf.nest.flatten(twin(inputs, training=False))
    for a, b in zip(expected, received, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    return twin


@pytest.mark.train
@pytest.mark.parametrize("name", CASES)
def test_layer_equals_its_translation(name):
    layer, shape = CASES[name]
    assert type(layer).__name__ == name
    model = randomized(one_layer_model(type(layer).from_config(layer.get_config()), shape))
    check(model)


@pytest.mark.parametrize("name", MERGES)
def test_merging_layers(name):
    a, b = keras.Input(IMAGE, name="a"), keras.Input(IMAGE, name="b")
    check(keras.Model([a, b], MERGES[name]()([a, b])))


@pytest.mark.parametrize("name", ["Dot", "Attention", "AdditiveAttention", "MultiHeadAttention"])
def test_layers_of_two_series(name):
    a, b = keras.Input(SERIES, name="a"), keras.Input(SERIES, name="b")
    if name == "MultiHeadAttention":
        outputs = L.MultiHeadAttention(2, 3)(a, b)
    else:
        outputs = {
            "Dot": L.Dot(axes=(2, 2)),
            "Attention": L.Attention(use_scale=True),
            "AdditiveAttention": L.AdditiveAttention(),
        }[name]([a, b])
    check(randomized(keras.Model([a, b], outputs)))


def test_stacked_cells():
    cells = L.StackedRNNCells([L.LSTMCell(3), L.SimpleRNNCell(2)])
    check(randomized(one_layer_model(L.RNN(cells, return_sequences=True), SERIES)))


@pytest.mark.parametrize(
    "name", [n for n in dir(keras.activations) if callable(getattr(keras.activations, n))]
)
def test_every_activation_is_carried(name):
    if name in ("deserialize", "get", "serialize", "threshold"):  # threshold takes arguments
        return
    units = 6  # even, for glu
    check(randomized(one_layer_model(L.Activation(name), (units,))))


def test_every_class_of_keras_is_translated_hosted_or_refused():
    tested = {
        *CASES, *MERGES, "Dot", "Attention", "AdditiveAttention", "MultiHeadAttention",
        "StackedRNNCells", "GRUCell", "LSTMCell", "SimpleRNNCell", "InputLayer",
    }  # fmt: skip
    rows = {name: (yes, note) for name, yes, note in coverage.coverage()}
    hosted = {name for name, (_, note) in rows.items() if note == coverage.HOSTED}
    assert {name for name, (yes, _) in rows.items() if yes} - hosted == tested
    assert {name for name, (yes, _) in rows.items() if not yes} == set(registry.refusals())


class Patches(keras.layers.Layer):
    """Cuts images into patches, as people write it; nothing is registered."""

    def __init__(self, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, images):
        patches = keras.ops.image.extract_patches(images, size=self.patch_size)
        return keras.ops.reshape(patches, (keras.ops.shape(images)[0], -1, patches.shape[-1]))

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}


class PatchEncoder(keras.layers.Layer):
    """Projects patches and adds a learnt position to each."""

    def __init__(self, num_patches, projection_dim, **kwargs):
        super().__init__(**kwargs)
        self.num_patches, self.projection_dim = num_patches, projection_dim
        self.projection = L.Dense(projection_dim)
        self.position_embedding = L.Embedding(num_patches, projection_dim)

    def call(self, patch):
        positions = keras.ops.expand_dims(keras.ops.arange(self.num_patches), axis=0)
        return self.projection(patch) + self.position_embedding(positions)

    def get_config(self):
        return {
            **super().get_config(),
            "num_patches": self.num_patches,
            "projection_dim": self.projection_dim,
        }


class Counted(keras.layers.Layer):
    """Keeps a statistic, and adds a loss of its own."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")
        self.seen = self.add_weight(shape=(), trainable=False, initializer="zeros", name="seen")

    def call(self, x, training=False):
        if training:
            self.seen.assign_add(1.0)
        self.add_loss(0.1 * keras.ops.sum(self.factor**2))
        return x * self.factor


HOSTED = {
    "AdaptiveAveragePooling2D": (lambda: L.AdaptiveAveragePooling2D(2), IMAGE),
    # The one of tf_keras counts with an operation that TFLite does not have.
    "CategoryEncoding": (
        lambda: L.CategoryEncoding(4, output_mode="multi_hot"),
        ((5,), "int32"),
    ),
    "Counted": (Counted, VECTOR),
    "LSTM with dropout": (lambda: L.LSTM(3, dropout=0.5), SERIES),
    "Patches": (lambda: Patches(4), IMAGE),
    "PatchEncoder": (lambda: PatchEncoder(6, 3), SERIES),
    "RMSNormalization": (L.RMSNormalization, IMAGE),
    "RandomContrast": (lambda: L.RandomContrast(0.2, value_range=(0, 1)), IMAGE),
    "Resizing, antialiased": (lambda: L.Resizing(4, 4, antialias=True), IMAGE),
    "SpectralNormalization": (lambda: L.SpectralNormalization(L.Conv2D(2, 3)), IMAGE),
}


@pytest.mark.parametrize("name", HOSTED)
def test_what_tf_keras_lacks_runs_as_it_is(name):
    make, shape = HOSTED[name]
    model = randomized(one_layer_model(make(), shape))
    twin = check(model)
    (layer,) = [layer for layer in twin.layers if hasattr(layer, "hosted_name")]
    assert layer.hosted_name == type(model.layers[1]).__name__
    # What is trained there comes back.
    changed = [np.asarray(weight) + 0.25 for weight in model.layers[1].weights]
    for (_, own), value in zip(layer.weight_pairs(model.layers[1], ""), changed, strict=True):
        own.assign(value)
    back = bridge.from_tf_keras(twin, model)
    for weight, value in zip(back.layers[1].weights, changed, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_hosted_layer_trains_with_its_statistics_and_losses():
    model = randomized(one_layer_model(Counted(), VECTOR))
    model.layers[1].seen.assign(2.0)
    twin = bridge.to_tf_keras(model)
    factor, seen = twin.layers[1].weights
    assert [w is factor for w in twin.trainable_weights] == [True]
    with tf.GradientTape() as tape:
        outputs = twin(np.ones((2, 5), np.float32), training=True)
        (own,) = twin.losses
        total = tf.reduce_sum(outputs)
    assert float(own) == pytest.approx(0.1 * float((factor.numpy() ** 2).sum()), rel=1e-6)
    assert tape.gradient(total, factor) is not None
    assert seen.numpy() == 3.0
    assert np.asarray(model.layers[1].seen) == 2.0


def test_a_frozen_hosted_layer_stays_frozen():
    layer = PatchEncoder(6, 3)
    layer.trainable = False
    assert bridge.to_tf_keras(one_layer_model(layer, SERIES)).trainable_weights == []


def test_a_layer_that_cannot_be_copied_is_refused_by_name():
    class Odd(keras.layers.Layer):
        def __init__(self, function):
            super().__init__(name="odd")
            self.function = function

        def call(self, x):
            return self.function(x)

    model = one_layer_model(Odd(keras.ops.abs), VECTOR)
    with pytest.raises(UnsupportedLayerError, match=r"'odd' \(Odd\).*get_config"):
        bridge.to_tf_keras(model)


def test_what_a_layer_was_adapted_to_is_carried():
    samples = np.random.default_rng(0).normal(5.0, 3.0, (32, 4, 3)).astype(np.float32)
    scaled, within, bins = L.Normalization(), L.Normalization(), L.Discretization(num_bins=4)
    for layer in (scaled, within, bins):
        layer.adapt(samples)
    series = keras.Input((4, 3))
    outputs = [scaled(series), L.TimeDistributed(within)(series), bins(series)]
    model = keras.Model(series, outputs)
    twin = bridge.to_tf_keras(model, samples=samples)
    for mine, theirs in zip(model(samples), twin(samples), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    back = bridge.from_tf_keras(twin, model)
    np.testing.assert_array_equal(back(samples)[0], model(samples)[0])


def test_attention_with_dropout_is_carried():
    series = keras.Input(SERIES, name="series")
    attention = L.MultiHeadAttention(2, 3, dropout=0.3)
    twin = check(randomized(keras.Model(series, attention(query=series, value=series))))
    assert type(twin.layers[1]) is tf_keras.layers.MultiHeadAttention


def test_the_residual_scale_of_keras_is_two_layers_that_can_be_quantized():
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    image = keras.Input(IMAGE, name="image")
    outputs = CustomScaleLayer(scale=0.17, name="mixed")([image, L.Conv2D(3, 1)(image)])
    twin = check(randomized(keras.Model(image, outputs)))
    kinds = [type(layer).__name__ for layer in twin.layers]
    assert kinds == ["InputLayer", "Conv2D", "Rescaling", "Add"]


def test_refusals_name_the_layer_and_the_reason():
    image = keras.Input(IMAGE, name="image")
    model = keras.Model(image, L.Lambda(lambda x: x * 2, name="twice")(image))
    with pytest.raises(UnsupportedLayerError, match=r"'twice' \(Lambda\).*Python code"):
        bridge.to_tf_keras(model)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (L.Conv2D(2, 3, dtype="mixed_bfloat16"), "float32"),
        (L.Conv2D(2, 3, activation=lambda x: x), "activation"),
    ],
)  # fmt: skip
def test_refused_settings(layer, reason):
    model = one_layer_model(layer, IMAGE)
    with pytest.raises(UnsupportedLayerError, match=reason):
        bridge.to_tf_keras(model)


def test_subclassed_model_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedLayerError, match="Functional or Sequential"):
        bridge.to_tf_keras(Subclassed())


class Scaled(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


class LegacyScaled(tf_keras.layers.Layer):
    power = 1

    def build(self, shape):
        self.gain = self.add_weight("gain", shape=(shape[-1],))

    def call(self, x):
        return x * self.gain**self.power


class LegacyWrong(LegacyScaled):
    power = 2


def test_registered_translator_carries_a_custom_layer():
    bridge.register_translator(Scaled, lambda _: LegacyScaled(), attributes={"factor": "gain"})
    model = randomized(one_layer_model(Scaled(name="scaled"), VECTOR))
    twin = check(model)
    twin.get_layer("scaled").gain.assign(np.full(5, 3.0, np.float32))
    back = bridge.from_tf_keras(twin, model)
    np.testing.assert_array_equal(back.get_layer("scaled").factor, np.full(5, 3.0))


def test_wrong_translator_is_caught():
    bridge.register_translator(Scaled, lambda _: LegacyWrong(), attributes={"factor": "gain"})
    with pytest.raises(EquivalenceError, match="inference"):
        bridge.to_tf_keras(randomized(one_layer_model(Scaled(), VECTOR)))


def test_forgotten_weight_is_caught():
    bridge.register_translator(Scaled, lambda _: LegacyScaled())
    with pytest.raises(EquivalenceError, match="attributes"):
        bridge.to_tf_keras(one_layer_model(Scaled(), VECTOR))


def test_difference_in_training_mode_is_caught():
    class Quirk(keras.layers.Layer):
        def call(self, x, training=False):
            return 2 * x if training else x

    class LegacyQuirk(tf_keras.layers.Layer):
        def call(self, x, training=False):
            return x

    bridge.register_translator(Quirk, lambda _: LegacyQuirk())
    with pytest.raises(EquivalenceError, match="training mode"):
        bridge.to_tf_keras(one_layer_model(Quirk(), VECTOR))


def test_register_translator_checks_its_arguments():
    with pytest.raises(InvalidInputError, match="layer_class"):
        bridge.register_translator(Scaled(), lambda _: LegacyScaled())
    with pytest.raises(InvalidInputError, match="translate"):
        bridge.register_translator(Scaled, "LegacyScaled")


def test_coverage_page_is_current(request):
    page = request.config.rootpath / "docs" / "bridge_coverage.md"
    assert page.read_text(encoding="utf-8") == coverage.coverage_table()
