"""Data sets that other libraries bring: scikit-learn's digits, Keras', TensorFlow Datasets'."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from keras_ganaccel.errors import (
    InvalidInputError,
    MissingExtraError,
    MissingFileError,
    nearest,
    reason_of,
)
from keras_ganaccel.modality.image.arrays import (
    RawData,
    check_samples,
    combine_arrays,
    resize_samples,
)

KERAS_DATASETS = ("cifar10", "cifar100", "fashion_mnist", "mnist")
_FOUR = ("x_train", "y_train", "x_test", "y_test")


def load_digits() -> RawData:
    """Returns scikit-learn's 1,797 handwritten digits, 8x8, values 0 to 16."""
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    return RawData("digits", images.reshape(-1, 8, 8, 1), labels, details=(0.0, 16.0))


def load_keras(name: str) -> RawData:
    """Loads an image data set of ``keras.datasets``, from Keras' cache or the network.

    Args:
        name: Such as ``"mnist"``.

    Returns:
        The raw data, with its test split.

    Raises:
        InvalidInputError: If there is no such data set.
        MissingFileError: If it is not in the cache and cannot be downloaded.
    """
    if name not in KERAS_DATASETS:
        raise InvalidInputError(
            f"Unknown Keras image data set. Received: {name!r}. {nearest(name, KERAS_DATASETS)}"
        )
    module = importlib.import_module(f"keras.datasets.{name}")
    try:
        (x_train, y_train), (x_test, y_test) = module.load_data()
    # Keras raises bare exceptions when a download fails.
    except Exception as error:
        raise MissingFileError(
            f"Cannot load the Keras data set {name!r}. Received: {reason_of(error)}. "
            "Check the network, or put its files into Keras' cache."
        ) from error
    return combine_arrays((x_train, y_train, x_test, y_test), _FOUR, name)


def load_tfds(name: str, size: tuple[int, int] | None = None) -> RawData:
    """Loads an image classification data set of TensorFlow Datasets.

    Args:
        name: Such as ``"mnist"`` or ``"name/config:version"``.
        size: ``(height, width)`` to resize to; None requires images of one size.

    Returns:
        The raw data; its train, validation and test splits are kept, others left out.

    Raises:
        MissingExtraError: If tensorflow_datasets is not installed.
        InvalidInputError: If there is no such data set, or it is not one of labelled images.
        MissingFileError: If it is not in the cache and cannot be downloaded.
    """
    try:
        tfds = importlib.import_module("tensorflow_datasets")
    except ImportError:
        raise MissingExtraError(
            f"tensorflow-datasets must be installed. Received: 'tfds:{name}'. "
            "Run: pip install 'keras-ganaccel[datasets]'"
        ) from None
    try:
        builder = tfds.builder(name)
    except Exception as error:
        known = tfds.list_builders(with_community_datasets=False)
        plain = name.partition("/")[0].partition(":")[0]
        if plain in known:
            reason = reason_of(error)
            raise InvalidInputError(f"Cannot load 'tfds:{name}'. Received: {reason}.") from error
        hint = nearest(plain, known) if known else "See the catalogue."
        raise InvalidInputError(
            f"Unknown data set of TensorFlow Datasets. Received: {name!r}. {hint}"
        ) from error
    kinds = [builder.info.features[key] for key in (builder.info.supervised_keys or ())[:2]]
    wanted = (tfds.features.Image, tfds.features.ClassLabel)
    if len(kinds) != 2 or not all(map(isinstance, kinds, wanted)):
        raise InvalidInputError(
            f"A TensorFlow data set must hold images with class labels. Received: 'tfds:{name}'. "
            "Choose an image classification data set."
        )
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise MissingFileError(
            f"Cannot load 'tfds:{name}'. Received: {reason_of(error)}. "
            "Check the network, or prepare the data set first."
        ) from error
    return _collect(tfds, builder, name, size)


def _collect(tfds: Any, builder: Any, name: str, size: tuple[int, int] | None) -> RawData:
    from keras_ganaccel.pipelines import without_autotuner

    samples: list[np.ndarray] = []
    labels: list[int] = []
    supplied = {}
    for split in ("train", "validation", "test"):
        if split not in builder.info.splits:
            continue
        first = len(samples)
        rows = without_autotuner(builder.as_dataset(split=split, as_supervised=True))
        for image, label in tfds.as_numpy(rows):
            samples.append(image if size is None else resize_samples(image[np.newaxis], size)[0])
            labels.append(int(label))
        supplied[split] = np.arange(first, len(samples))
    shapes = {sample.shape for sample in samples}
    if len(shapes) != 1:
        raise InvalidInputError(
            f"All samples must have one shape. Received: {len(shapes)} shapes in 'tfds:{name}'. "
            "Give `image_size` (--image-size)."
        )
    names = tuple(builder.info.features[builder.info.supervised_keys[1]].names)
    x = check_samples(np.stack(samples))
    return RawData(builder.name, x, np.array(labels), supplied, names)
