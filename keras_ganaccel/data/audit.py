"""The audit of a data set: what it holds, and what in it may spoil the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_ganaccel.data.labels import named
from keras_ganaccel.data.split import Splits

IMBALANCE = 5.0
TINY_CLASS = 10


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


def audit(
    y: np.ndarray,
    splits: Splits,
    keys: np.ndarray,
    *,
    class_names: Sequence[str] = (),
    findings: Sequence[str] = (),
    unlabelled: int = 0,
    unlabelled_removed: int = 0,
    skipped: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Audit:
    """Examines a data set that is already split.

    Args:
        y: Labels 0..k-1, -1 where unlabelled, shape ``(n,)``.
        splits: Its splits.
        keys: `row_keys` of the samples, shape ``(n,)``.
        class_names: Names of the classes.
        findings: What is odd about the samples themselves; it comes last.
        unlabelled: Samples without a label that training may use.
        unlabelled_removed: Further ones that equal a held-out sample and were taken out.
        skipped: Files that could not be read.
        notes: Warnings from whoever read the data; they come first.

    Returns:
        The audit.
    """
    names = tuple(class_names) or tuple(str(label) for label in range(int(y.max()) + 1))
    counts = {
        name: tuple(np.bincount(y[rows], minlength=len(names)).tolist())
        for name, rows in (
            ("train", splits.train), ("validation", splits.validation), ("test", splits.test),
        )
    }  # fmt: skip
    removed = len(splits.removed) + unlabelled_removed
    shared = int(np.isin(keys[splits.validation], keys[splits.test]).sum())
    warnings = [
        *notes,
        *([f"Files that could not be read: {len(skipped)}. Left out."] if skipped else []),
        *_class_warnings(counts, names),
        *_duplicate_warnings(y, splits, keys, removed, shared),
        *findings,
    ]
    return Audit(
        rows=len(y),
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
    y: np.ndarray, splits: Splits, keys: np.ndarray, removed: int, shared: int
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
    pairs = np.unique(np.stack([keys[splits.used], y[splits.used].astype(np.uint64)]), axis=1)
    conflicts = int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
    if conflicts:
        found.append(f"{conflicts} samples occur with different labels.")
    return found
