"""The audit of a data set: what it holds, and what in it may spoil the result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_ganaccel.data.labels import named
from keras_ganaccel.data.split import Splits

IMBALANCE = 5.0
TINY_CLASS = 10
FLAT_SHARE_OF_RANGE = 0.02
_CHUNK = 1024


@dataclass(frozen=True)
class Audit:
    """Facts about a data set.

    Args:
        rows: Samples as loaded.
        class_counts: Samples per class of each split.
        duplicates_across_splits: Samples that equal one of another split.
        duplicates_removed: Those of them that were taken out of training.
        unlabelled: Samples without a label that training may use.
        skipped: Files that could not be read.
        warnings: What the user should look at, a sentence each.

    Example:
        >>> import keras_ganaccel as ga
        >>> audit = ga.load_data("digits").audit
        >>> audit.rows, audit.duplicates_across_splits
        (1797, 0)
    """

    rows: int
    class_counts: Mapping[str, tuple[int, ...]]
    duplicates_across_splits: int = 0
    duplicates_removed: int = 0
    unlabelled: int = 0
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def sample_keys(x: np.ndarray) -> np.ndarray:
    """Hashes samples as models will see them, in float32, so that equal ones have equal keys.

    Args:
        x: Shape ``(n, height, width, channels)``, any real dtype.

    Returns:
        uint64 keys, shape ``(n,)``.
    """
    keys = np.empty(len(x), np.uint64)
    for start in range(0, len(x), _CHUNK):
        # Adding zero turns -0.0 into 0.0.
        chunk = np.ascontiguousarray(x[start : start + _CHUNK], np.float32) + np.float32(0)
        for row, sample in enumerate(chunk, start):
            digest = hashlib.blake2b(sample.data, digest_size=8).digest()
            keys[row] = int.from_bytes(digest, "little")
    return keys


def audit(
    x: np.ndarray,
    y: np.ndarray,
    splits: Splits,
    *,
    class_names: Sequence[str] = (),
    value_range: tuple[float, float] | None = None,
    keys: np.ndarray | None = None,
    unlabelled: int = 0,
    unlabelled_removed: int = 0,
    skipped: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Audit:
    """Examines a data set that is already split.

    Args:
        x: Raw samples, shape ``(n, height, width, channels)``.
        y: Labels 0..k-1, -1 where unlabelled, shape ``(n,)``.
        splits: Its splits.
        class_names: Names of the classes.
        value_range: The raw values that mean black and white; None takes those found.
        keys: `sample_keys` of x, if known already.
        unlabelled: Samples without a label that training may use.
        unlabelled_removed: Further ones that equal a held-out sample and were taken out.
        skipped: Files that could not be read.
        notes: Warnings from whoever read the data; they come first.

    Returns:
        The audit.
    """
    keys = sample_keys(x) if keys is None else keys
    names = tuple(class_names) or tuple(str(label) for label in range(int(y.max()) + 1))
    low, high = value_range or (float(x.min()), float(x.max()))
    counts = {
        name: tuple(np.bincount(y[rows], minlength=len(names)).tolist())
        for name, rows in (
            ("train", splits.train), ("validation", splits.validation), ("test", splits.test),
        )
    }  # fmt: skip
    removed = len(splits.removed) + unlabelled_removed
    shared = int(np.isin(keys[splits.validation], keys[splits.test]).sum())
    used = np.concatenate([splits.train, splits.validation, splits.test])
    warnings = [
        *notes,
        *([f"Files that could not be read: {len(skipped)}. Left out."] if skipped else []),
        *_class_warnings(counts, names),
        *_duplicate_warnings(y, splits, keys, used, removed, shared),
        *_value_warnings(x, used, low, high),
    ]
    return Audit(
        rows=len(x),
        class_counts=counts,
        duplicates_across_splits=removed + shared,
        duplicates_removed=removed,
        unlabelled=unlabelled,
        skipped=tuple(skipped),
        warnings=tuple(warnings),
    )


def _class_warnings(counts: Mapping[str, tuple[int, ...]], names: Sequence[str]) -> list[str]:
    train = np.array(counts["train"])
    found = []
    if train.max() > IMBALANCE * train.min():
        found.append(
            f"Classes are imbalanced: {train.max()} training samples of "
            f"{names[int(train.argmax())]!r}, {train.min()} of {names[int(train.argmin())]!r}."
        )
    tiny = [name for name, count in zip(names, train, strict=True) if count < TINY_CLASS]
    if tiny:
        found.append(f"Fewer than {TINY_CLASS} training samples: {named(tiny)}.")
    for split in ("validation", "test"):
        absent = [name for name, count in zip(names, counts[split], strict=True) if not count]
        if absent:
            found.append(f"No {split} sample: {named(absent)}.")
    return found


def _duplicate_warnings(
    y: np.ndarray, splits: Splits, keys: np.ndarray, used: np.ndarray, removed: int, shared: int
) -> list[str]:
    found = []
    if removed:
        found.append(
            f"{removed} samples equal a validation or test sample and were taken out of training."
        )
    if shared:
        found.append(f"{shared} validation samples equal a test sample.")
    repeated = len(splits.train) - len(np.unique(keys[splits.train]))
    if repeated:
        found.append(f"{repeated} training samples repeat another one.")
    pairs = np.unique(np.stack([keys[used], y[used].astype(np.uint64)]), axis=1)
    conflicts = int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
    if conflicts:
        found.append(f"{conflicts} samples occur with different labels.")
    return found


def _value_warnings(x: np.ndarray, used: np.ndarray, low: float, high: float) -> list[str]:
    axes = (1, 2, 3)
    smallest, largest = (
        np.asarray(ends, np.float64)[used] for ends in (x.min(axis=axes), x.max(axis=axes))
    )
    found = []
    flat = int((largest - smallest <= FLAT_SHARE_OF_RANGE * (high - low)).sum())
    if flat:
        found.append(f"{flat} samples are almost constant.")
    outside = int(((smallest < low) | (largest > high)).sum())
    if outside:
        found.append(
            f"{outside} samples have values outside of [{low:g}, {high:g}]; they are clipped."
        )
    return found
