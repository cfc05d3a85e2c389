"""Samples without labels: to learn from, or to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.image.arrays import (
    check_samples,
    read_array,
    resize_samples,
    unflattened,
)
from keras_ganaccel.modality.image.folders import left_out_note, list_files
from keras_ganaccel.modality.image.images import read_images, relative_names
from keras_ganaccel.modality.image.scale import to_scale
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.protocol import Samples


def read_samples(
    path: Any, spec: DataSpec, *, skip_corrupt: bool = False, name: str = "samples"
) -> Samples:
    """Loads samples without labels, in the shape and value range of known data.

    Args:
        path: An image file, a folder of them (at any depth, in sorted path order), an .npy file,
            an .npz file with ``x``, or an array. Arrays must be in `spec.value_range` already, or
            be integers that fill their dtype.
        spec: The description of the data that they belong to.
        skip_corrupt: Leave out images that cannot be read; `Samples.skipped` lists them.
        name: What messages call an array.

    Returns:
        Raw samples, shape ``(n, *spec.image_shape)``, with their names.

    Raises:
        InvalidInputError: If they cannot be used.
    """
    if not isinstance(path, (str, Path)):
        return _from_array(path, spec, name)
    path = Path(path).expanduser()
    if not path.exists():
        raise MissingFileError(
            f"There is no such file or folder. Received: {str(path)!r}. Check the path."
        )
    if path.is_file() and path.suffix.lower() in (".npy", ".npz"):
        return _from_array(read_array(path), spec, path.name)
    folder, files = path.parent, [path]
    notes: tuple[str, ...] = ()
    if path.is_dir():
        found = list_files(path)
        folder, files, notes = path, list(found.images), left_out_note(found.others, path)
    if not files:
        raise InvalidInputError(
            f"A folder of samples must hold images. Received: none in {str(path)!r}. "
            "Give a folder with image files."
        )
    size = (spec.height, spec.width)
    read = read_images(files, folder, size=size, skip_corrupt=skip_corrupt)
    skipped = relative_names(files, folder, ~read.readable)
    notes += tuple(f"Left out {name}: it cannot be read." for name in skipped)
    x = _in_range(_with_channels(read.x, spec.channels), spec.value_range)
    return Samples(x, relative_names(files, folder, read.readable), skipped, notes)


def _from_array(array: Any, spec: DataSpec, name: str) -> Samples:
    x, notes = unflattened(array, name)
    x = check_samples(x, name)
    if x.shape[3] != spec.channels:
        raise InvalidInputError(
            f"`{name}` must have the data's channels, {spec.channels}. Received: {x.shape[3]}. "
            "Convert the samples."
        )
    x, scaled = to_scale(x, spec.value_range, name)
    x = resize_samples(x, (spec.height, spec.width))
    return Samples(x, tuple(str(row) for row in range(len(x))), notes=notes + scaled)


def _with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Turns 8-bit images grey with the ITU-R 601 weights, as Pillow does, or repeats grey ones."""
    if pixels.shape[3] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=3)
    grey = pixels.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((grey + 0x8000) >> 16).astype(np.uint8)[..., np.newaxis]


def _in_range(pixels: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    low, high = value_range
    if (low, high) == (0.0, 255.0):
        return pixels
    return (low + pixels / 255.0 * (high - low)).astype(np.float32)
