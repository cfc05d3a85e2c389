"""Models that others made, as they are published, at small sizes and untrained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_ganaccel.benchmarks.compression import resnet8
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.modality.image.spec import DataSpec

L = keras.layers
VOCABULARY = 60


@dataclass(frozen=True)
class ZooModel:
    """A published model.

    Args:
        source: The name of its publisher.
        build: Makes it, untrained.
        input_range: What it takes for black and white.
        classifies: False for an autoencoder, which is to give back what it gets.
        blocks: The layer up to which its first blocks are what is fine-tuned, with a head of their
            own: the whole network would take many minutes for each technique. Empty for all of it.
    """

    source: str
    build: Callable[[], keras.Model]
    input_range: tuple[float, float] = (0.0, 1.0)
    classifies: bool = True
    blocks: str = ""

    def build_blocks(self) -> keras.Model:
        """Makes the first blocks up to `blocks`, with a head for as many classes."""
        whole = self.build()
        found = whole.get_layer(self.blocks).output
        outputs = L.Dense(whole.output_shape[-1])(L.GlobalAveragePooling2D()(found))
        return keras.Model(whole.inputs[0], outputs, name=f"{whole.name}_blocks")


def ds_cnn() -> keras.Model:
    """The keyword spotter of MLPerf Tiny: 49 frames of 10 coefficients, 12 words."""
    spectrum = keras.Input((49, 10, 1), name="spectrum")
    x = L.Conv2D(64, (10, 4), strides=2, padding="same")(spectrum)
    x = L.Dropout(0.2)(L.ReLU()(L.BatchNormalization()(x)))
    for _ in range(4):
        x = L.DepthwiseConv2D(3, padding="same")(x)
        x = L.ReLU()(L.BatchNormalization()(x))
        x = L.ReLU()(L.BatchNormalization()(L.Conv2D(64, 1, padding="same")(x)))
    x = L.AveragePooling2D((25, 5))(L.Dropout(0.4)(x))
    return keras.Model(spectrum, L.Dense(12, activation="softmax")(L.Flatten()(x)), name="ds_cnn")


def autoencoder() -> keras.Model:
    """The anomaly detector of MLPerf Tiny: gives back 640 features through a neck of 8."""
    features = keras.Input((640,), name="features")
    x: Any = features
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = L.ReLU()(L.BatchNormalization()(L.Dense(width)(x)))
    return keras.Model(features, L.Dense(640)(x), name="autoencoder")


def conv_mixer() -> keras.Model:
    """keras.io's ConvMixer, with 64 filters and 4 blocks."""
    image = keras.Input((32, 32, 3), name="image")
    x = L.Conv2D(64, 2, strides=2)(L.Rescaling(1.0 / 255)(image))
    x = L.BatchNormalization()(L.Activation("gelu")(x))
    for _ in range(4):
        y = L.DepthwiseConv2D(5, padding="same")(x)
        y = L.BatchNormalization()(L.Activation("gelu")(y))
        x = L.Conv2D(64, 1)(L.Add()([y, x]))
        x = L.BatchNormalization()(L.Activation("gelu")(x))
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(image, L.Dense(10, activation="softmax")(x), name="conv_mixer")


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class Patches(keras.layers.Layer):
    """Cuts images into patches, as the vision transformer of keras.io does.

    Args:
        patch_size: Height and width of a patch.
        **kwargs: Those of every layer.
    """

    def __init__(self, patch_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, images: Any) -> Any:
        """Returns ``(batch, patches, values)``."""
        patches = keras.ops.image.extract_patches(images, size=self.patch_size)
        count = patches.shape[1] * patches.shape[2]
        return keras.ops.reshape(patches, (-1, count, patches.shape[3]))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "patch_size": self.patch_size}


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class PatchEncoder(keras.layers.Layer):
    """Projects patches and adds a learnt position, as the vision transformer of keras.io does.

    Args:
        num_patches: How many patches an image has.
        projection_dim: The width to project to.
        **kwargs: Those of every layer.
    """

    def __init__(self, num_patches: int, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_patches, self.projection_dim = num_patches, projection_dim
        self.projection = L.Dense(projection_dim)
        self.position_embedding = L.Embedding(num_patches, projection_dim)

    def call(self, patch: Any) -> Any:
        """Returns ``(batch, patches, projection_dim)``."""
        positions = keras.ops.expand_dims(keras.ops.arange(self.num_patches), axis=0)
        return self.projection(patch) + self.position_embedding(positions)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {"num_patches": self.num_patches, "projection_dim": self.projection_dim}
        return {**super().get_config(), **own}


def vision_transformer() -> keras.Model:
    """keras.io's vision transformer, with patches of 8x8, 32 wide, 2 blocks."""
    image = keras.Input((32, 32, 3), name="image")
    augmentation = keras.Sequential(
        [
            L.Normalization(mean=0.5, variance=0.08),
            L.Resizing(32, 32),
            L.RandomFlip("horizontal"),
            L.RandomRotation(factor=0.02),
            L.RandomZoom(height_factor=0.2, width_factor=0.2),
        ],
        name="augmentation",
    )
    x = PatchEncoder(16, 32)(Patches(8)(augmentation(image)))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([L.MultiHeadAttention(2, 32, dropout=0.1)(y, y), x])
        y = L.LayerNormalization(epsilon=1e-6)(x)
        for width in (64, 32):
            y = L.Dropout(0.1)(L.Dense(width, activation=keras.activations.gelu)(y))
        x = L.Add()([y, x])
    x = L.Dropout(0.5)(L.Flatten()(L.LayerNormalization(epsilon=1e-6)(x)))
    x = L.Dropout(0.5)(L.Dense(64, activation=keras.activations.gelu)(x))
    return keras.Model(image, L.Dense(10)(x), name="vision_transformer")


def text_cnn() -> keras.Model:
    """keras.io's convolutional classifier of token ids, 32 wide."""
    ids = keras.Input((100,), dtype="int32", name="ids")
    x = L.Dropout(0.5)(L.Embedding(VOCABULARY, 32)(ids))
    for _ in range(2):
        x = L.Conv1D(32, 7, padding="valid", activation="relu", strides=3)(x)
    x = L.Dropout(0.5)(L.Dense(32, activation="relu")(L.GlobalMaxPooling1D()(x)))
    return keras.Model(ids, L.Dense(1, activation="sigmoid")(x), name="text_cnn")


def structured_data() -> keras.Model:
    """keras.io's classifier of columns: normalized numbers, one-hot categories, in the model."""
    numbers = {name: keras.Input((1,), name=name) for name in ("age", "pressure", "rate")}
    codes = {name: keras.Input((1,), dtype="int32", name=name) for name in ("kind", "sex")}
    encoded = [L.Normalization(mean=0.5, variance=0.1)(each) for each in numbers.values()]
    encoded += [
        L.CategoryEncoding(VOCABULARY, output_mode="one_hot")(each) for each in codes.values()
    ]
    x = L.Dropout(0.5)(L.Dense(32, activation="relu")(L.Concatenate()(encoded)))
    outputs = L.Dense(1, activation="sigmoid")(x)
    return keras.Model({**numbers, **codes}, outputs, name="structured_data")


def application(name: str, size: int = 32, classes: int = 10, **options: Any) -> keras.Model:
    """A network of `keras.applications`, untrained, for small images.

    Args:
        name: The function that makes it.
        size: Height and width of the images.
        classes: Number of classes.
        **options: Further arguments of the function.
    """
    make = getattr(keras.applications, name)
    return make(weights=None, input_shape=(size, size, 3), classes=classes, **options)


_BYTES = (0.0, 255.0)
# Range of the inputs, size of the images, and the layer up to which is fine-tuned: past one block
# of each kind.
_APPLICATIONS: Mapping[str, tuple[tuple[float, float], int, str]] = {
    "MobileNet": ((-1.0, 1.0), 32, "conv_pw_6_relu"),
    "MobileNetV2": ((-1.0, 1.0), 32, "block_4_add"),
    "MobileNetV3Small": (_BYTES, 32, "expanded_conv_4_add"),
    "EfficientNetB0": (_BYTES, 32, "block2b_add"),
    "EfficientNetV2B0": (_BYTES, 32, "block4b_add"),
    "NASNetMobile": ((-1.0, 1.0), 32, "reduction_concat_stem_1"),
    "DenseNet121": ((0.0, 1.0), 32, "pool2_pool"),
    "ResNet50": ((0.0, 1.0), 32, "conv3_block1_out"),
    "ConvNeXtTiny": (_BYTES, 32, "convnext_tiny_stage_1_block_0_identity"),
    "InceptionResNetV2": ((-1.0, 1.0), 75, "block35_1_ac"),
}
MODELS: Mapping[str, ZooModel] = {
    "resnet8": ZooModel("MLPerf Tiny", partial(resnet8, DataSpec(32, 32, 3, tuple("abcde")), 0)),
    "ds_cnn": ZooModel("MLPerf Tiny", ds_cnn),
    "mobilenet_025": ZooModel(
        "MLPerf Tiny", partial(application, "MobileNet", 96, 2, alpha=0.25), (-1.0, 1.0)
    ),
    "autoencoder": ZooModel("MLPerf Tiny", autoencoder, classifies=False),
    "conv_mixer": ZooModel("keras.io", conv_mixer, _BYTES),
    "vision_transformer": ZooModel("keras.io", vision_transformer),
    "text_cnn": ZooModel("keras.io", text_cnn),
    "structured_data": ZooModel("keras.io", structured_data),
    **{
        name: ZooModel(
            "keras.applications", partial(application, name, size), input_range, blocks=blocks
        )
        for name, (input_range, size, blocks) in _APPLICATIONS.items()
    },
}


def learnable_samples(
    model: keras.Model, classes: int, rows: int, input_range: tuple[float, float]
) -> tuple[Any, np.ndarray]:
    """Makes samples that a model can learn to tell apart: a pattern for each class, and noise.

    Args:
        model: The model, whose inputs they are for.
        classes: Number of classes.
        rows: Number of samples.
        input_range: What the model takes for black and white.

    Returns:
        An array for a single input, else a tuple of arrays; and the labels.
    """
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    inputs, (low, high) = ModelInputs.of(model), input_range
    found = []
    for given, dtype in zip(inputs.shapes, inputs.dtypes, strict=True):
        shape = tuple(size or 1 for size in given)
        if dtype.startswith("int"):
            share = VOCABULARY // classes
            first = share * labels.reshape(-1, *(1 for _ in shape))
            found.append((generator.integers(0, share, (rows, *shape)) + first).astype(dtype))
            continue
        patterns = _patterns(generator, classes, shape)
        values = 0.7 * patterns[labels] + 0.3 * generator.random((rows, *shape))
        found.append((low + (high - low) * values).astype(np.float32))
    return (found[0] if len(found) == 1 else tuple(found)), labels


def _patterns(generator: np.random.Generator, classes: int, shape: tuple[int, ...]) -> np.ndarray:
    """A random pattern for each class, in patches of 8 along every axis but the last."""
    coarse = [max(size // 8, 1) for size in shape[:-1]]
    patterns = generator.random((classes, *coarse, shape[-1]))
    for axis, (size, few) in enumerate(zip(shape[:-1], coarse, strict=True), start=1):
        patterns = np.repeat(patterns, -(-size // few), axis=axis).take(range(size), axis=axis)
    return patterns
