"""Arrays of samples: from memory, .npz and .npy files; checked, and resized."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_ganaccel.data.finite import check_finite
from keras_ganaccel.data.labels import holds_text, label_array
from keras_ganaccel.errors import InvalidInputError, MissingFileError

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class RawData:
    """What a source holds, before labels are mapped and splits are drawn.

    Args:
        name: Of the data set.
        x: Samples, shape ``(n, height, width, channels)``.
        labels: As the source has them, ``n`` of them.
        supplied: The rows of the splits that the source comes with.
        class_names: The source's own names of the classes 0..k-1, if it has any.
        every_text: Labels that are text name classes, even "nan" or "".
        value_range: The raw values that mean black and white, if the source defines them.
        skipped: Files that could not be read.
        notes: What else the user should know.
    """

    name: str
    x: np.ndarray
    labels: Any
    supplied: Mapping[str, np.ndarray] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    every_text: bool = False
    value_range: tuple[float, float] | None = None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_samples(x: Any, name: str = "x") -> np.ndarray:
    """Makes sure that an array can be used as samples, and gives it a channel axis.

    Args:
        x: Shape ``(n, height, width)`` or ``(n, height, width, channels)``, 1 or 3 channels, any
            real dtype.
        name: What messages call the array.

    Returns:
        The same values, shape ``(n, height, width, channels)``.

    Raises:
        InvalidInputError: If shape, dtype or values do not fit.
    """
    try:
        samples = np.asarray(x)
    except ValueError:
        raise InvalidInputError(
            f"`{name}` must be one array. Received: samples of different shapes. "
            "Resize them to one shape first."
        ) from None
    if samples.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"`{name}` must hold real numbers. Received: dtype {samples.dtype}. "
            "Convert it to integers or floats."
        )
    if samples.ndim == 3:
        samples = samples[..., np.newaxis]
    if samples.ndim != 4 or samples.shape[3] not in (1, 3) or 0 in samples.shape:
        first = samples.ndim == 4 and samples.shape[1] in (1, 3)
        hint = "Move the channels last." if first else "Reshape it, with 1 or 3 channels last."
        raise InvalidInputError(
            f"`{name}` must have the shape (n, height, width) or (n, height, width, channels). "
            f"Received: shape {np.shape(x)}. {hint}"
        )
    check_finite(samples, name)
    return samples


def combine_arrays(arrays: Sequence[Any], names: Sequence[str], name: str) -> RawData:
    """Makes one data set out of ``x, y`` or ``x_train, y_train, x_test, y_test``.

    Args:
        arrays: Two or four arrays.
        names: What messages call them.
        name: Of the data set.

    Returns:
        The raw data; with four arrays the last two are its test split.

    Raises:
        InvalidInputError: If samples or labels do not fit, or not together.
    """
    parts = [check_samples(x, n) for x, n in zip(arrays[::2], names[::2], strict=True)]
    labels = [label_array(y, n) for y, n in zip(arrays[1::2], names[1::2], strict=True)]
    for x, y, x_name, y_name in zip(parts, labels, names[::2], names[1::2], strict=True):
        if len(y) != len(x):
            raise InvalidInputError(
                f"`{x_name}` and `{y_name}` must have the same length. Received: {len(x)} samples "
                f"and {len(y)} labels. Give one label per sample."
            )
    if len(parts) == 1:
        return RawData(name, parts[0], labels[0])
    train, test = parts
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise InvalidInputError(
            f"`{names[0]}` and `{names[2]}` must have the same dtype and sample shape. Received: "
            f"{train.dtype} {train.shape[1:]} and {test.dtype} {test.shape[1:]}. Convert one."
        )
    y_train, y_test = labels
    text = [holds_text(y) for y in labels]
    if y_train.shape[1:] != y_test.shape[1:] or text[0] != text[1]:
        raise InvalidInputError(
            f"`{names[1]}` and `{names[3]}` must hold labels of the same kind. Received: "
            f"{y_train.dtype} {y_train.shape} and {y_test.dtype} {y_test.shape}. Convert one."
        )
    rows_of = {
        "train": np.arange(len(train)),
        "test": np.arange(len(train), len(train) + len(test)),
    }
    return RawData(name, np.concatenate(parts), np.concatenate([y_train, y_test]), rows_of)


def read_archive(path: Path) -> RawData:
    """Reads an .npz file that holds ``x, y`` or ``x_train, y_train, x_test, y_test``."""
    content = _read(path, _all_arrays)
    for keys in (("x", "y"), ("x_train", "y_train", "x_test", "y_test")):
        if all(key in content for key in keys):
            return combine_arrays([content[key] for key in keys], keys, path.stem)
    raise InvalidInputError(
        "An .npz file must hold x and y, or x_train, y_train, x_test and y_test. Received: "
        f"{', '.join(sorted(content)) or 'nothing'} in {str(path)!r}. Rename its arrays."
    )


def read_array_files(paths: Sequence[Path]) -> RawData:
    """Reads .npy files in the order ``x, y`` or ``x_train, y_train, x_test, y_test``."""
    if len(paths) not in (2, 4):
        raise InvalidInputError(
            "Arrays must be given as x.npy,y.npy or x_train.npy,y_train.npy,x_test.npy,y_test.npy. "
            f"Received: {len(paths)} file{'s' if len(paths) > 1 else ''}. "
            "Give samples and labels."
        )
    arrays = [read_array(path) for path in paths]
    return combine_arrays(arrays, [path.name for path in paths], paths[0].stem)


def read_array(path: Path) -> np.ndarray:
    """Reads one .npy file, or the array ``x`` (or the only one) of an .npz file."""
    if path.suffix.lower() != ".npz":
        return _read(path, lambda file: file)
    content = _read(path, _all_arrays)
    if "x" not in content and len(content) != 1:
        raise InvalidInputError(
            f"An .npz file of samples must hold x. Received: {', '.join(sorted(content))} in "
            f"{str(path)!r}. Rename the array."
        )
    return content.get("x", next(iter(content.values())))


def _all_arrays(archive: Any) -> dict[str, np.ndarray]:
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("not an .npz archive")
    return {key: archive[key] for key in archive.files}


def _read(path: Path, take: Callable[[Any], Any]) -> Any:
    """Lets `take` get at what `numpy.load` finds in a file; nothing is ever unpickled."""
    try:
        loaded = np.load(path, allow_pickle=False)
        try:
            return take(loaded)
        finally:
            if isinstance(loaded, np.lib.npyio.NpzFile):
                loaded.close()
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise MissingFileError(
            f"Cannot read {str(path)!r}. Received: {error.strerror}. "
            "Give an existing, readable file."
        ) from None
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = "Python objects" if "Object arrays" in str(error) else "a damaged or foreign file"
        raise InvalidInputError(
            f"Cannot read arrays from {str(path)!r}. Received: {reason}. "
            "Save plain arrays with numpy.savez or numpy.save."
        ) from None


def resize_samples(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes samples, antialiased, without keeping their aspect ratio.

    The triangle filter is used since it never leaves the range of the values.

    Args:
        x: Shape ``(n, height, width, channels)``, any real dtype.
        size: ``(height, width)`` of the result.

    Returns:
        Shape ``(n, *size, channels)``, of the same dtype (booleans become float32).
    """
    if x.shape[1:3] == tuple(size):
        return x
    exact = x.dtype == np.uint8
    dtype = np.dtype(np.float32) if x.dtype.kind == "b" else x.dtype
    resized = np.empty((len(x), *size, x.shape[3]), dtype)
    for row, sample in enumerate(x):
        for channel in range(x.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(
                sample[..., channel], np.uint8 if exact else np.float32
            ))  # fmt: skip
            plane = plane.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            values = np.asarray(plane)
            resized[row, ..., channel] = np.rint(values) if dtype.kind in "iu" else values
    return resized
