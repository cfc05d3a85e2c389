"""Arrays of samples: from memory, .npz and .npy files; checked, and resized."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_ganaccel.data.finite import check_finite
from keras_ganaccel.data.labels import decoded, holds_text, label_array, named
from keras_ganaccel.data.vocabulary import SPLITS_OF, find_keys
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.protocol import RawData

_SMALLEST_SIDE = 8


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
    samples = _as_array(x, name)
    if samples.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"`{name}` must hold real numbers. Received: dtype {samples.dtype}. "
            "Convert it to integers or floats."
        )
    if samples.ndim == 3:
        samples = samples[..., np.newaxis]
    if samples.ndim != 4 or samples.shape[3] not in (1, 3) or 0 in samples.shape:
        raise InvalidInputError(
            f"`{name}` must have the shape (n, height, width) or (n, height, width, channels). "
            f"Received: shape {np.shape(x)}. {_shape_hint(samples.shape)}"
        )
    check_finite(samples, name)
    return samples


def _as_array(x: Any, name: str) -> np.ndarray:
    if np.ma.is_masked(x):
        raise InvalidInputError(
            f"`{name}` must hold a value everywhere. Received: a masked array with "
            f"{int(np.ma.count_masked(x))} masked values. Fill them or leave out their rows."
        )
    # SciPy's sparse matrices.
    x = x.toarray() if hasattr(x, "toarray") and hasattr(x, "nnz") else x
    try:
        samples = np.asarray(x)
        if samples.dtype == object and samples.size:
            # An array of arrays, or columns of different numeric types.
            samples = np.array(samples.tolist())
        return samples
    # Ragged nests, and objects that refuse to become an array, such as a GPU's tensors.
    except (ValueError, TypeError):
        raise InvalidInputError(
            f"`{name}` must be one array. Received: samples of different shapes, or a "
            f"{type(x).__name__} that is none. Resize them to one shape first."
        ) from None


def _shape_hint(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return "Give at least one sample."
    if len(shape) == 4 and shape[1] in (1, 3):
        return "Move the channels last: x.transpose(0, 2, 3, 1)."
    if len(shape) == 4 and shape[3] == 4:
        return "Leave out the alpha channel: x[..., :3]."
    side = _square_side(shape)
    if side:
        return f"If the rows are pictures, reshape it: x.reshape(-1, {side}, {side})."
    if len(shape) == 1:
        return "Are samples and labels in each other's place?"
    return "Reshape it, with 1 or 3 channels last."


def _square_side(shape: tuple[int, ...]) -> int:
    """The side of the square pictures whose pixels are the columns, or 0."""
    side = math.isqrt(shape[1]) if len(shape) == 2 else 0
    return side if side >= _SMALLEST_SIDE and side * side == shape[1] else 0


def unflattened(x: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """Gives rows of pixels their two sides back, where nothing else can be meant.

    Args:
        x: Samples of any shape; a pandas frame and a sparse matrix are made an array.
        name: What the note calls the array.

    Returns:
        Square pictures ``(n, side, side)`` if `x` is ``(n, side * side)`` of whole numbers from 0
        to 255 and the side at least 8, else the samples as they are; and a note that says so.
    """
    samples = _as_array(x, name)
    side = _square_side(samples.shape)
    if not side or samples.dtype.kind not in "iuf":
        return samples, ()
    if not are_bytes(samples):
        return samples, ()
    note = f"The rows of `{name}` were taken as pictures of {side}x{side} pixels."
    return samples.reshape(-1, side, side), (note,)


def are_bytes(values: np.ndarray) -> bool:
    """Whether all numbers of an array are whole and from 0 to 255, whatever its dtype."""
    return bool(((values >= 0) & (values <= 255) & (values == np.floor(values))).all())


def combine_arrays(
    arrays: Sequence[Any],
    names: Sequence[str],
    name: str,
    *,
    splits: Sequence[str] | None = None,
    class_names: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> RawData:
    """Makes one data set out of pairs of samples and labels, a pair per split.

    Args:
        arrays: Samples and labels in turn: ``x, y``; or those of training and test; or those of
            training, validation and test.
        names: What messages call them.
        name: The name of the data set.
        splits: What each pair is; None derives it from their number.
        class_names: The source's own names of the classes 0..k-1, if it has any.
        notes: What the user should know already.

    Returns:
        The raw data; rows are numbered in the order of the pairs.

    Raises:
        InvalidInputError: If samples or labels do not fit, or not together.
    """
    parts, labels = [], []
    for x, y, x_name, y_name in zip(
        arrays[::2], arrays[1::2], names[::2], names[1::2], strict=True
    ):
        pictures, note = unflattened(x, x_name)
        samples, classes = check_samples(pictures, x_name), label_array(y, y_name)
        if len(classes) != len(samples):
            raise InvalidInputError(
                f"`{x_name}` and `{y_name}` must have the same length. Received: {len(samples)} "
                f"samples and {len(classes)} labels. Give one label per sample."
            )
        parts.append(samples)
        labels.append(classes[:, 0] if classes.shape[1:] == (1,) else classes)
        notes += note
    for other in range(1, len(parts)):
        _check_alike(parts[0], parts[other], names[0], names[2 * other])
        _check_labels_alike(labels[0], labels[other], names[1], names[2 * other + 1])
    ends = np.cumsum([0, *map(len, parts)])
    owners = SPLITS_OF[len(parts)] if splits is None else splits
    return RawData(
        name,
        np.concatenate(parts),
        np.concatenate(labels),
        {
            split: np.arange(first, end)
            for split, first, end in zip(owners, ends, ends[1:], strict=False)
            if split
        },
        class_names,
        notes=notes,
    )


def _check_alike(first: np.ndarray, other: np.ndarray, name: str, other_name: str) -> None:
    kinds = ["iu" if x.dtype.kind in "iu" else x.dtype.kind for x in (first, other)]
    if first.shape[1:] != other.shape[1:] or kinds[0] != kinds[1]:
        raise InvalidInputError(
            f"`{name}` and `{other_name}` must have the same dtype and sample shape. Received: "
            f"{first.dtype} {first.shape[1:]} and {other.dtype} {other.shape[1:]}. Convert one."
        )


def _check_labels_alike(first: np.ndarray, other: np.ndarray, name: str, other_name: str) -> None:
    if first.shape[1:] != other.shape[1:] or holds_text(first) != holds_text(other):
        raise InvalidInputError(
            f"`{name}` and `{other_name}` must hold labels of the same kind. Received: "
            f"{first.dtype} {first.shape} and {other.dtype} {other.shape}. Convert one."
        )


def read_archive(path: Path) -> RawData:
    """Reads an .npz file that holds ``x, y`` or those of its splits; see `vocabulary.find_keys`."""
    return _read(path, lambda file: combine_keys(_archive(file), f"The archive {path.name!r}",
                                                 path.stem))  # fmt: skip


def combine_keys(content: Mapping[str, Any], where: str, name: str) -> RawData:
    """Makes one data set out of an archive's or a mapping's arrays.

    Args:
        content: Samples, labels and perhaps names of classes, by keys that `find_keys` knows.
        where: What messages call it.
        name: The name of the data set.

    Returns:
        The raw data.

    Raises:
        InvalidInputError: If the keys are not clear, or the arrays do not fit.
    """
    found = find_keys(content, where)
    keys = [key for pair in found.parts.values() for key in pair]
    class_names: tuple[str, ...] = ()
    if found.class_names is not None:
        class_names = tuple(map(str, decoded(np.ravel(content[found.class_names])).tolist()))
    return combine_arrays(
        [content[key] for key in keys],
        keys,
        name,
        splits=tuple(found.parts),
        class_names=class_names,
        notes=(f"Not used: {named(found.unused)}.",) if found.unused else (),
    )


def read_array_files(paths: Sequence[Path]) -> RawData:
    """Reads .npy files: samples and labels in turn, as `combine_arrays` takes them."""
    if len(paths) not in (2, 4, 6):
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


def _archive(file: Any) -> Mapping[str, np.ndarray]:
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("not an .npz archive")
    return file


def _all_arrays(file: Any) -> dict[str, np.ndarray]:
    return dict(_archive(file))


def _read(path: Path, take: Callable[[Any], Any]) -> Any:
    """Lets `take` get at what `numpy.load` finds in a file; nothing is ever unpickled."""
    try:
        loaded = np.load(path, allow_pickle=False)
        try:
            return take(loaded)
        finally:
            if isinstance(loaded, np.lib.npyio.NpzFile):
                loaded.close()
    except InvalidInputError:
        raise
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
