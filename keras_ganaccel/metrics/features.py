"""Feature spaces that suit the data: in them generated and real samples are compared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.build import architectures, build_classifier
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, MissingFileError, nearest

_INCEPTION_SIZE = 299


class FeatureExtractor:
    """Turns images into features by one layer of a classifier.

    Args:
        model: A functional or sequential Keras model with one input, built.
        layer: The name of the layer whose output is taken; by default what enters the last layer
            that has weights, which in a classifier is its head.
        name: What the feature space is called wherever a figure from it is reported.
        input_range: The values that the model takes for black and white.
        batch_size: How many images go through at once. It changes no result.

    Raises:
        InvalidInputError: The model has no such layer, or no fixed graph of layers.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> import numpy as np
        >>> inputs = keras.Input((8, 8, 1), name="image")
        >>> hidden = keras.layers.Flatten(name="flat")(inputs)
        >>> outputs = keras.layers.Dense(10, name="logits")(hidden)
        >>> extractor = ga.FeatureExtractor(keras.Model(inputs, outputs, name="mlp"), name="pixels")
        >>> extractor(np.zeros((3, 8, 8, 1), np.float32)).shape
        (3, 64)
    """

    def __init__(
        self,
        model: keras.Model,
        layer: str | None = None,
        *,
        name: str,
        input_range: tuple[float, float] = (0.0, 1.0),
        batch_size: int = 256,
    ) -> None:
        self.name = name
        #: The whole model, to save and to make the extractor from again.
        self.classifier = model
        self._low, self._high = input_range
        self._batch_size = batch_size
        features = _layer_output(model, layer) if layer else _head_input(model)
        self._model = keras.Model(model.inputs[0], features, name="feature_extractor")
        self._forward = tf.function(self._features, reduce_retracing=True, autograph=False)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the features of images.

        Args:
            images: Encoded samples, float, shape ``(n, *sample_shape)``.

        Returns:
            float32 features, shape ``(n, d)``. Feature maps are averaged over their positions.
        """
        images = np.asarray(images, np.float32)
        batches = [
            self._batch(images[start : start + self._batch_size])
            for start in range(0, max(len(images), 1), self._batch_size)
        ]
        return np.concatenate(batches)

    def _batch(self, images: np.ndarray) -> np.ndarray:
        """Runs one batch, filled up to full size so that only one graph is ever traced."""
        missing = self._batch_size - len(images)
        padded = np.pad(images, [(0, missing)] + [(0, 0)] * (images.ndim - 1))
        return self._forward(padded).numpy()[: len(images)]

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        outputs = self._model(images * (self._high - self._low) + self._low, training=False)
        positions = list(range(1, outputs.shape.rank - 1))
        return tf.cast(tf.reduce_mean(outputs, positions) if positions else outputs, tf.float32)


def train_feature_extractor(
    x: np.ndarray,
    y: np.ndarray,
    spec: Spec,
    *,
    seed: int = 0,
    steps: int = 1000,
    architecture: str | None = None,
    size: str = "small",
    augmentation: Sequence[str] = ("shift",),
) -> FeatureExtractor:
    """Trains a classifier on the real training split and takes its penultimate layer.

    Args:
        x: Encoded training samples, float32, shape ``(n, *spec.sample_shape)``.
        y: Their classes, shape ``(n,)``, integers; rows labelled -1 are left out.
        spec: The description of the data.
        seed: Fixes the training.
        steps: Optimiser steps.
        architecture: A structure of `build_classifier`; None takes a convnet for images, else the
            usual one of the modality.
        size: Its size.
        augmentation: Policies of `train_classifier`. With few labels they make all the difference:
            on 16 MNIST digits a class 93 % accuracy with shifts, 70 % without.

    Returns:
        The extractor; its name says what it was trained on.

    Raises:
        InvalidInputError: No row has a label.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("digits", labels_per_class=10)
        >>> x, y = data.arrays("train")
        >>> extractor = ga.train_feature_extractor(x, y, data.spec, steps=1, size="tiny")
        >>> extractor(x[:3]).ndim
        2
    """
    labelled = np.asarray(y) >= 0
    if not labelled.any():
        raise InvalidInputError(
            "A feature extractor is trained on labels. Received: unlabelled rows only. "
            "Give labelled data, or use a model of your own."
        )
    architecture = architecture or measuring_architecture(spec)
    model = build_classifier(spec, architecture, size, seed=seed, name="feature_classifier")
    labelled_rows = (x[labelled], y[labelled])
    train_classifier(model, labelled_rows, steps=steps, augmentation=augmentation, seed=seed)
    return FeatureExtractor(model, name=f"{architecture}-{size} trained on the real training split")


def measuring_architecture(spec: Spec) -> str:
    """Returns the structure that measures samples: a convnet where the modality has one."""
    known = architectures(spec.modality)
    return "convnet" if "convnet" in known else known[0]


def inception_extractor(weights: str | os.PathLike[str], channels: int = 3) -> FeatureExtractor:
    """Takes the pooled features of Inception v3, from weights that are at hand.

    Distances in this space are called KID and FID in the literature. The weights of
    `keras.applications` are not those of the original FID code: compare only like with like.

    Args:
        weights: A Keras weights file of ``InceptionV3(include_top=False)``.
        channels: 1 or 3, the channels of the images that will be given.

    Returns:
        The extractor; it takes images of any size.

    Raises:
        MissingFileError: There is no such file; nothing is ever downloaded.
    """
    if not Path(weights).is_file():
        raise MissingFileError(
            f"The Inception weights were not found. Received: {str(weights)!r}. "
            "Name a Keras weights file of InceptionV3 without its top."
        )
    size = (_INCEPTION_SIZE, _INCEPTION_SIZE)
    inception = keras.applications.InceptionV3(
        include_top=False, weights=str(weights), input_shape=(*size, 3), pooling="avg"
    )
    image = keras.Input((None, None, channels), name="image")
    resized = keras.layers.Resizing(*size, interpolation="bilinear", name="resized")(image)
    if channels == 1:
        resized = keras.layers.Concatenate(name="rgb")([resized] * 3)
    features = keras.layers.Identity(name="pooled")(inception(resized))
    model = keras.Model(image, features, name="inception_features")
    return FeatureExtractor(
        model, "pooled", name="inception_v3", input_range=(-1.0, 1.0), batch_size=32
    )


def _layer_output(model: keras.Model, layer: str) -> keras.KerasTensor:
    names = [each.name for each in model.layers]
    if layer not in names:
        raise InvalidInputError(
            f"`layer` must be a layer of {model.name!r}. Received: {layer!r}. "
            + nearest(layer, names)
        )
    return _symbolic(model, model.get_layer(layer), "output")


def _head_input(model: keras.Model) -> keras.KerasTensor:
    for layer in reversed(model.layers):
        if layer.weights:
            return _symbolic(model, layer, "input")
    raise InvalidInputError(
        f"The penultimate layer was not found. Received: {model.name!r}, without weights. "
        "Name a `layer`, or build the model first."
    )


def _symbolic(model: keras.Model, layer: keras.Layer, end: str) -> keras.KerasTensor:
    """Returns a layer's symbolic input or output, which only graphs of layers have."""
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise InvalidInputError(
            f"Features need a functional or sequential model. Received: {type(model).__name__}. "
            "Wrap its feature layers in a functional model."
        )
    return getattr(layer, end)
