"""A small trained classifier and its data, made once, and classifiers drawn at random."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812
from sklearn.datasets import load_digits

from keras_ganaccel.compression.finetune import FineTuner, training_stream
from keras_ganaccel.data.inputs import ModelInputs


def small_cnn():
    image = keras.Input((8, 8, 1), name="image")
    x = L.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(image)
    x = L.ReLU(name="stem_relu")(L.BatchNormalization(momentum=0.9, name="stem_norm")(x))
    y = L.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = L.BatchNormalization(momentum=0.9, name="depthwise_norm")(y)
    y = L.Conv2D(16, 1, name="pointwise")(L.ReLU(name="depthwise_relu")(y))
    x = L.ReLU(name="sum_relu")(L.Add(name="sum")([x, y]))
    x = L.MaxPooling2D(name="pool")(x)
    x = L.Conv2D(24, 3, activation="relu", name="conv")(x)
    x = L.Dropout(0.1, name="dropout")(L.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(image, L.Dense(10, name="logits")(x), name="small_cnn")


@pytest.fixture(scope="session")
def digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype("float32").reshape(-1, 8, 8, 1)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1200], order[1200:]
    return (x[train], y[train]), (x[test], y[test])


@pytest.fixture(scope="session")
def trained(digits):
    keras.utils.set_random_seed(0)
    model = small_cnn()
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(*digits[0], batch_size=100, epochs=15, verbose=0)
    return model


@pytest.fixture
def tuner(digits):
    inputs = ModelInputs(("image",), ((8, 8, 1),), ("float32",))
    stream, distil = training_stream(
        digits[0], None, classes=10, batch_size=64, seed=0, inputs=inputs
    )
    return FineTuner(stream, "logits", 10, distil)


@pytest.fixture(scope="session")
def accuracy(digits):
    x, y = digits[1]

    def measure(model):
        return float((np.argmax(model(x, training=False), -1) == y).mean())

    return measure


def draw_net(seed):
    """Draws a classifier of (12, 12, 3) to four logits with what makes ranges and weights meet."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)

    def frozen():
        return bool(rng.random() < 0.7)

    def normed(x):
        return L.BatchNormalization(
            scale=bool(rng.integers(2)), center=bool(rng.integers(2)), trainable=frozen(),
            moving_mean_initializer=keras.initializers.RandomNormal(stddev=0.3),
            moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2.0),
        )(x)  # fmt: skip

    def activated(x):
        kind = rng.choice(["relu", "relu6", "sigmoid", "tanh", "leaky", "none"])
        if kind == "leaky":
            return L.LeakyReLU(0.1)(x)
        return x if kind == "none" else L.Activation(str(kind))(x)

    def conv(x):
        kind = rng.choice(["conv", "conv", "separable", "depthwise", "nested"])
        width = int(rng.choice([6, 8]))
        options = {"padding": "same", "use_bias": bool(rng.integers(2)), "trainable": frozen()}
        if kind == "separable":
            y = L.SeparableConv2D(width, 3, **options)(x)
        elif kind == "depthwise":
            y = L.DepthwiseConv2D(3, **options)(x)
        elif kind == "nested":
            inner = keras.Input(x.shape[1:])
            block = L.Conv2D(width, 3, padding="same")(inner)
            block = keras.Model(inner, L.ReLU()(L.BatchNormalization()(block)))
            block.trainable = frozen()
            y = block(x)
        else:
            y = L.Conv2D(width, int(rng.choice([1, 3])), **options)(x)
        return activated(normed(y) if rng.random() < 0.5 else y)

    def passed(x):
        kind = rng.choice(["pool", "average", "pad", "reshape", "permute", "up", "none"])
        if kind == "pool":
            return L.MaxPooling2D(3, 1, padding="same")(x)
        if kind == "average":
            return L.AveragePooling2D(3, 1, padding="same")(x)
        if kind == "pad":
            return L.Cropping2D(1)(L.ZeroPadding2D(1)(x))
        if kind == "reshape":
            return L.Reshape(x.shape[1:])(L.Flatten()(x))
        if kind == "permute":
            return L.Permute((2, 1, 3))(x)
        return L.UpSampling2D()(L.MaxPooling2D()(x)) if kind == "up" else x

    image = keras.Input((12, 12, 3))
    x = L.Rescaling(2.0, offset=-1.0)(image) if rng.random() < 0.5 else image
    found = [activated(L.Conv2D(8, 3, padding="same", trainable=frozen(), name="first")(x))]
    for _ in range(int(rng.integers(2, 5))):
        x = found[int(rng.integers(len(found)))]
        kind = rng.choice(["conv", "passed", "concatenate", "add", "shared"])
        if kind == "concatenate":
            x = L.Concatenate()([x, conv(found[-1])])
        elif kind == "add":
            x = L.ReLU()(L.Add()([x, L.Conv2D(x.shape[-1], 1)(found[-1])]))
        elif kind == "shared":
            shared = L.Conv2D(x.shape[-1], 3, padding="same", trainable=frozen())
            x = L.Concatenate()([shared(x), shared(passed(x))])
        else:
            x = conv(x) if kind == "conv" else passed(x)
        found.append(x)
    x = L.GlobalAveragePooling2D()(L.Concatenate()(found[-2:]))
    return keras.Model(image, L.Dense(4, name="logits")(L.Dense(32, activation="relu")(x)))


def weights_that_stay(model):
    """The values of every weight that training must not move, by path."""
    found = {}
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if not layer.trainable and not isinstance(layer, keras.Model):
            found |= {weight.path: weight.numpy().copy() for weight in layer.weights}
    return found


@pytest.fixture(scope="session")
def random_net():
    """Small classifiers: branches, chains of concatenations, frozen, nested and shared layers."""
    return draw_net


@pytest.fixture(scope="session")
def frozen_weights():
    return weights_that_stay
