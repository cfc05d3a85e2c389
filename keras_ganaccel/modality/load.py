"""`load_data`: one labelled, audited and split data set out of whatever holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_ganaccel.config import DataConfig
from keras_ganaccel.data.audit import Audit, audit, sample_keys
from keras_ganaccel.data.labels import UNLABELLED, encode_labels
from keras_ganaccel.data.split import Splits, make_splits
from keras_ganaccel.data.vocabulary import SPLIT_NAMES
from keras_ganaccel.errors import InvalidInputError, MissingFileError, nearest
from keras_ganaccel.modality.image import arrays, folders, frames, libraries
from keras_ganaccel.modality.image.arrays import RawData, resize_samples
from keras_ganaccel.modality.image.images import LARGEST_SIDE, check_sides
from keras_ganaccel.modality.image.memory import read_memory
from keras_ganaccel.modality.image.preprocess import to_unit
from keras_ganaccel.modality.image.samples import load_samples, read_samples
from keras_ganaccel.modality.image.scale import check_width, narrow_note, natural_range, off_scale
from keras_ganaccel.modality.image.spec import DataSpec

__all__ = ["Audit", "LabelledData", "Splits", "load_data", "load_samples"]

_SMALLEST = 4


@dataclass(frozen=True, eq=False)
class LabelledData:
    """A labelled data set with its splits.

    Args:
        name: Name of the data set.
        x: Raw samples, shape ``(n, height, width, channels)``, as loaded.
        y: int64 labels 0..k-1, -1 where unlabelled, shape ``(n,)``.
        spec: Shape, classes and value range.
        splits: Row numbers of training, validation and test.
        audit: What was found in the data.
        unlabelled: Further raw samples to learn from without labels, shape ``(m, height, width,
            channels)``; None if there are none.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("digits", labels_per_class=20)
        >>> x, y = data.arrays("train")
        >>> x.shape, str(x.dtype), y.shape
        ((160, 8, 8, 1), 'float32', (160,))
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    spec: DataSpec
    splits: Splits
    audit: Audit
    unlabelled: np.ndarray | None = None

    def arrays(
        self, split: Literal["train", "validation", "test"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the samples of a split, float32 in [0, 1], 4-D, and their int64 labels."""
        if split not in SPLIT_NAMES:
            raise InvalidInputError(
                f"Unknown split. Received: {split!r}. {nearest(split, SPLIT_NAMES)}"
            )
        rows = getattr(self.splits, split)
        return to_unit(self.x[rows], self.spec), self.y[rows]

    def unlabelled_unit(self) -> np.ndarray | None:
        """Returns the unlabelled samples, float32 in [0, 1], 4-D, or None."""
        return None if self.unlabelled is None else to_unit(self.unlabelled, self.spec)

    def fingerprint(self) -> str:
        """Returns a SHA-256 over samples, labels and splits, in hexadecimal digits."""
        digest = hashlib.sha256()
        splits = self.splits
        for part in (self.x, self.y, splits.train, splits.validation, splits.test, self.unlabelled):
            if part is not None:
                digest.update(f"{part.dtype.str}{part.shape}".encode())
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def load_data(
    source: Any = "digits",
    *,
    image_size: int | tuple[int, int] | None = None,
    labels_per_class: int | None = None,
    unlabelled: Any = None,
    value_range: tuple[float, float] | None = None,
    skip_corrupt: bool = False,
    groups: Any = None,
    target: str | None = None,
    seed: int = 0,
    name: str | None = None,
) -> LabelledData:
    """Loads, audits and splits labelled data.

    Args:
        source: ``"digits"``; ``"keras:NAME"``; ``"tfds:NAME"``; an .npz file with ``x, y`` or
            ``x_train, y_train, x_test, y_test`` (or their usual other names, such as
            ``train_images``); .npy files as ``"x.npy,y.npy"``, four or six of them; a .csv file
            of labelled pixels; a folder of class folders, alone or in folders called after splits;
            two, four or six arrays, or pairs of them; a finite `tf.data.Dataset` of ``(x, y)``,
            batched or not, or two or three of them; a mapping from such names to arrays or from
            splits to pairs; or a pandas frame of pixels. Samples are ``(n, height, width)`` or
            ``(n, height, width, 1 or 3)`` of any real dtype. Labels are integers or strings; -1 and
            missing ones mark unlabelled rows.
        image_size: ``(height, width)``, or one number for both, to resize to, antialiased. None
            keeps the size of arrays and takes the median of image files.
        labels_per_class: Rows per class for training and validation together; None takes all.
        unlabelled: Further samples without labels: an array, or a path as in `load_samples`. They
            must have the data's value range, or be integers that fill their dtype.
        value_range: The raw values that mean black and white. None takes 0 and 255 for image
            files, the dtype's ends for integers that fill it, else the ends of the training rows.
        skip_corrupt: Leave out images that cannot be read; `Audit.skipped` lists them.
        target: The column of labels, where the source is a pandas frame of pixels; None takes the
            one called label, target, class or y.
        groups: One group per row; a group stays on one side of every split.
        seed: Seed of the draw of labelled and validation rows. The test split does not depend
            on it.
        name: Name of the data set; None derives it from the source.

    Returns:
        The data.

    Raises:
        InvalidInputError: If the data cannot be used; the message is one line.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
        >>> y = np.array(["cat", "dog", "eel"] * 20)
        >>> data = ga.load_data((x, y))
        >>> data.spec.class_names, data.arrays("test")[0].shape
        (('cat', 'dog', 'eel'), (18, 8, 8, 1))
    """
    size = _checked_size(image_size)
    _check_seed(seed)
    raw = _read(source, size, skip_corrupt, target)
    if size is None:
        check_sides(raw.x.shape[1:3])
    x = raw.x if size is None else resize_samples(raw.x, size)
    if x.min() == x.max():
        raise InvalidInputError(
            f"Samples must hold different values. Received: {x.flat[0]} everywhere. "
            "Check where they come from."
        )
    if raw.value_range is None and value_range is None:
        check_width((float(x.min()), float(x.max())))
    encoded = encode_labels(raw.labels, every_text=raw.every_text)
    y, names = encoded.codes, encoded.names
    names, misfit = _own_names(names, raw.class_names)
    keys = sample_keys(x)
    supplied = {part: rows[y[rows] >= 0] for part, rows in raw.supplied.items()}
    supplied = {part: rows for part, rows in supplied.items() if len(rows)}
    splits = make_splits(
        y,
        seed=seed,
        labels_per_class=labels_per_class,
        test=supplied.get("test"),
        validation=supplied.get("validation"),
        groups=groups,
        keys=keys,
        class_names=names,
    )
    height, width, channels = x.shape[1:]
    train = x[splits.train]
    ends = raw.value_range if value_range is None else _checked_range(value_range)
    ends = ends or natural_range(train)
    spec = DataSpec(height, width, channels, names, ends)
    check_width(ends)
    parts = [x[y == UNLABELLED]]
    skipped = raw.skipped
    notes = raw.notes + encoded.notes + misfit + _range_note(train, ends)
    for part, rows in supplied.items():
        if part != "train":
            notes += _checked_scale(x[rows], ends, part)
    if unlabelled is not None:
        further = read_samples(unlabelled, spec, skip_corrupt=skip_corrupt, name="unlabelled")
        parts.append(further.x)
        skipped += further.skipped
        notes += further.notes
    extra, leaked = _without_held_out(parts, keys, splits)
    report = audit(
        x,
        y,
        splits,
        class_names=names,
        value_range=spec.value_range,
        keys=keys,
        unlabelled=0 if extra is None else len(extra),
        unlabelled_removed=leaked,
        skipped=skipped,
        notes=notes + _shortage(y, splits, labels_per_class),
    )
    return LabelledData(name or raw.name, x, y, spec, splits, report, extra)


def load_configured(config: DataConfig, seed: int, source: Any = None) -> LabelledData:
    """Loads data as a configuration says.

    Args:
        config: What `load_data` is told.
        seed: See `load_data`.
        source: What lies in memory; None takes what the configuration names.

    Returns:
        The data.
    """
    return load_data(
        config.source if source is None else source,
        image_size=config.image_size,
        labels_per_class=config.labels_per_class,
        unlabelled=config.unlabelled,
        value_range=config.value_range,
        skip_corrupt=config.skip_corrupt,
        seed=seed,
    )


def _own_names(
    found: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The source's names of the classes that occur, where its labels are their numbers."""
    if not names:
        return found, ()
    if all(label.isdecimal() and int(label) < len(names) for label in found):
        return tuple(names[int(label)] for label in found), ()
    if set(found) <= set(names):
        return found, ()
    return found, (f"The {len(names)} names of classes do not fit the labels and are not used.",)


def _checked_scale(x: np.ndarray, ends: tuple[float, float], part: str) -> tuple[str, ...]:
    """Refuses a split at another scale, or asks about it."""
    finding = off_scale(x, ends)
    if finding:
        raise InvalidInputError(
            f"All splits must have one value range. Received: {finding} in the {part} split, for "
            f"[{ends[0]:g}, {ends[1]:g}] in training. Rescale one of them."
        )
    return narrow_note(x, ends, f"{part} split")


def _range_note(train: np.ndarray, ends: tuple[float, float]) -> tuple[str, ...]:
    """Says so where a value range that was given is far from the values."""
    finding = off_scale(train, ends)
    if not finding:
        return ()
    return (
        f"The value range [{ends[0]:g}, {ends[1]:g}] does not fit the training samples: {finding}.",
    )


def _shortage(y: np.ndarray, splits: Splits, labels_per_class: int | None) -> tuple[str, ...]:
    kept = np.bincount(y[np.concatenate([splits.train, splits.validation])])
    if kept.max() < (labels_per_class or 0):
        return (
            f"No class has {labels_per_class} labelled samples to train on: all {kept.sum()} are "
            "taken.",
        )
    short = int((kept < (labels_per_class or 0)).sum())
    if not short:
        return ()
    have = "class has" if short == 1 else "classes have"
    return (f"{short} {have} fewer than {labels_per_class} labelled samples to train on.",)


def _without_held_out(
    parts: Sequence[np.ndarray], keys: np.ndarray, splits: Splits
) -> tuple[np.ndarray | None, int]:
    """Unlabelled samples that equal no held-out one, and how many did."""
    extra = np.concatenate(parts)
    held_out = keys[np.concatenate([splits.validation, splits.test])]
    leaked = np.isin(sample_keys(extra), held_out)
    return (extra[~leaked] if not leaked.all() else None), int(leaked.sum())


def _checked_size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    sides = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size,) * 2
    whole = all(isinstance(side, (int, np.integer)) for side in sides)
    if len(sides) != 2 or not whole or not all(_SMALLEST <= s <= LARGEST_SIDE for s in sides):
        raise InvalidInputError(
            f"`image_size` must be one or two whole numbers in [{_SMALLEST}, {LARGEST_SIDE}]. "
            f"Received: {image_size!r}. Give a height and a width."
        )
    return int(sides[0]), int(sides[1])


def _check_seed(seed: Any) -> None:
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise InvalidInputError(
            f"`seed` must be a whole number. Received: {seed!r}. Pass 0 for the default draw."
        )


def _checked_range(value_range: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in value_range)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"`value_range` must be two numbers. Received: {value_range!r}. "
            "Give the values that mean black and white."
        ) from None
    return low, high


def _read(
    source: Any, size: tuple[int, int] | None, skip_corrupt: bool, target: str | None
) -> RawData:
    if not isinstance(source, (str, Path)):
        return read_memory(source, target)
    text = str(source)
    path = Path(text).expanduser()
    if text == "digits":
        return libraries.load_digits()
    library, colon, dataset = text.partition(":")
    if colon and library == "keras":
        return libraries.load_keras(dataset)
    if colon and library == "tfds":
        return libraries.load_tfds(dataset, size)
    if text and path.is_dir():
        return folders.read_class_folders(path, size=size, skip_corrupt=skip_corrupt)
    if path.is_file() and path.suffix.lower() == ".npz":
        return arrays.read_archive(path)
    if path.is_file() and path.suffix.lower() in frames.SUFFIXES:
        return frames.read_text(path)
    if text.lower().endswith(".npy"):
        parts = [path] if path.is_file() else [Path(part.strip()) for part in text.split(",")]
        return arrays.read_array_files(parts)
    if path.is_file():
        raise InvalidInputError(
            "Data must be an .npz file, .npy files, a .csv file of pixels or a folder of class "
            f"folders. Received: {text!r}. Convert or unpack the file."
        )
    known = {"digits", *(f"keras:{dataset}" for dataset in libraries.KERAS_DATASETS)}
    hint = "Check the path." if path.suffix or "/" in text else nearest(text, known)
    raise MissingFileError(f"There is no such file, folder or data set. Received: {text!r}. {hint}")
