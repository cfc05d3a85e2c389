"""Translators of layers whose configuration means the same in tf_keras."""

from __future__ import annotations

import keras
import tf_keras

from keras_ganaccel.compression.bridge.configs import by_config
from keras_ganaccel.compression.bridge.registry import register_translator

_PLAIN = (
    "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "SeparableConv1D", "SeparableConv2D", "Dense", "EinsumDense", "Embedding", "Activation",
    "ReLU", "ELU", "PReLU", "Softmax", "Identity", "Masking", "Add", "Subtract", "Multiply",
    "Average", "Maximum", "Minimum", "Concatenate", "Dot", "Flatten", "Reshape", "Permute",
    "RepeatVector", "Cropping1D", "Cropping2D", "Cropping3D",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
    "UpSampling1D", "UpSampling2D", "UpSampling3D", "AveragePooling1D", "AveragePooling2D",
    "AveragePooling3D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalMaxPooling3D", "LayerNormalization", "GroupNormalization", "UnitNormalization",
    "Rescaling", "Resizing", "CenterCrop",
    "ActivityRegularization", "Attention", "AdditiveAttention",
)  # fmt: skip
_RANDOM = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout",
    "GaussianNoise", "AlphaDropout", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom", "RandomBrightness",
)  # fmt: skip


def register_standard() -> None:
    """Registers every layer of this module."""
    for name in _PLAIN:
        register_translator(getattr(keras.layers, name), by_config(getattr(tf_keras.layers, name)))
    for name in _RANDOM:
        register_translator(
            getattr(keras.layers, name),
            by_config(getattr(tf_keras.layers, name)),
            random=True,
            note="draws its own random numbers while training",
        )
    for name in ("DepthwiseConv1D", "DepthwiseConv2D"):
        register_translator(
            getattr(keras.layers, name),
            by_config(getattr(tf_keras.layers, name)),
            attributes={"kernel": "depthwise_kernel"},
            note="`kernel` becomes `depthwise_kernel`",
        )
    register_translator(
        keras.layers.BatchNormalization,
        # The fused kernel corrects the moving variance by n / (n - 1); Keras 3 does not.
        by_config(tf_keras.layers.BatchNormalization, fixed={"fused": False}),
        note="unfused, so that the moving variance is updated alike",
    )
    register_translator(
        keras.layers.LeakyReLU,
        by_config(tf_keras.layers.LeakyReLU, rename={"negative_slope": "alpha"}),
        note="`negative_slope` becomes `alpha`",
    )
