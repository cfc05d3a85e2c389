"""Data in memory: arrays, mappings, frames and `tf.data` datasets, whole or split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_ganaccel.data.rows import is_frame
from keras_ganaccel.data.vocabulary import SPLIT_NAMES, SPLITS_OF, find_keys, split_of
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.arrays import combine_arrays, combine_keys
from keras_ganaccel.modality.image.frames import read_frame
from keras_ganaccel.modality.image.tensors import is_dataset, read_dataset
from keras_ganaccel.modality.protocol import RawData

_NAME = "arrays"
_SUFFIX = {"": "", "train": "_train", "validation": "_val", "test": "_test"}


def read_memory(source: Any, target: str | None = None) -> RawData:
    """Makes one data set out of whatever holds samples and labels in memory.

    Args:
        source: ``(x, y)``; ``(x_train, y_train, x_test, y_test)``, or six arrays with the
            validation ones in the middle; two or three pairs ``(x, y)`` or `tf.data` datasets; one
            such dataset; a mapping from the names of splits to these, or from keys such as
            ``"x_train"`` or ``"data"`` and ``"target"`` to arrays; a pandas frame of pixels.
        target: The column of labels of a frame.

    Returns:
        The raw data.

    Raises:
        InvalidInputError: If it is none of these, or its parts do not fit together.
    """
    if is_frame(source):
        return read_frame(source, target, _NAME)
    if isinstance(source, Mapping):
        return _from_mapping(source)
    if is_dataset(source):
        return _from_parts({"": source})
    if isinstance(source, (tuple, list)):
        if len(source) in SPLITS_OF and all(map(_is_part, source)):
            return _from_parts(dict(zip(SPLITS_OF[len(source)], source, strict=True)))
        if len(source) in (2, 4, 6):
            return _from_arrays(list(source))
    raise InvalidInputError(
        "Arrays must be given as (x, y) or (x_train, y_train, x_test, y_test). Received: "
        f"{type(source).__name__}"
        f"{f' of {len(source)}' if isinstance(source, (tuple, list)) else ''}. "
        "Give samples and labels, or a tf.data.Dataset of them."
    )


def _is_part(value: Any) -> bool:
    """Whether something holds samples with their labels."""
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    return pair or is_dataset(value) or isinstance(value, Mapping)


def _from_mapping(source: Mapping[Any, Any]) -> RawData:
    splits = {key: split_of(str(key)) for key in source}
    if source and all(splits.values()) and all(map(_is_part, source.values())):
        parts = {split: source[key] for key, split in splits.items() if split}
        if len(parts) == len(source) and "train" in parts:
            return _from_parts({name: parts[name] for name in SPLIT_NAMES if name in parts})
    return combine_keys({str(key): value for key, value in source.items()}, "A mapping", _NAME)


def _from_parts(parts: Mapping[str, Any]) -> RawData:
    arrays: list[Any] = []
    names: list[str] = []
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    for split, part in parts.items():
        if is_dataset(part):
            # Keras' `image_dataset_from_directory` notes them there.
            class_names = class_names or tuple(getattr(part, "class_names", None) or ())
            x, y, found = read_dataset(part, split or "the dataset")
            notes += found
        elif isinstance(part, Mapping):
            x_key, y_key = next(iter(find_keys(map(str, part), f"The {split} data").parts.values()))
            x, y = part[x_key], part[y_key]
        else:
            x, y = part
        arrays += [x, y]
        names += [f"x{_SUFFIX[split]}", f"y{_SUFFIX[split]}"]
    return combine_arrays(
        arrays, names, _NAME, splits=tuple(parts), class_names=class_names, notes=notes
    )


def _from_arrays(arrays: list[Any]) -> RawData:
    splits = SPLITS_OF[len(arrays) // 2]
    names = [f"{kind}{_SUFFIX[split]}" for split in splits for kind in ("x", "y")]
    notes: tuple[str, ...] = ()
    if len(arrays) == 4 and _axes(arrays[1]) >= 3 and _axes(arrays[2]) <= 2:
        arrays = [arrays[0], arrays[2], arrays[1], arrays[3]]
        notes = (
            "The four arrays were taken in the order of scikit-learn's train_test_split: x_train, "
            "x_test, y_train, y_test.",
        )
    return combine_arrays(arrays, names, _NAME, splits=splits, notes=notes)


def _axes(value: Any) -> int:
    return len(getattr(value, "shape", ()))
