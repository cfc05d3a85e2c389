"""Training, validation and test rows: drawn before anything learns, and the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.model_selection import train_test_split

from keras_ganaccel.data.labels import named
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.seeds import derive_seed

TEST_SEED = 20261121
TEST_SHARE = 0.3
VALIDATION_SHARE = 0.2
_GROUP_DRAWS = 64


def _no_rows() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Splits:
    """Row numbers of the data as loaded, int64, in random order.

    Args:
        train: Rows to learn from.
        validation: Rows to choose by.
        test: Rows to report on, once.
        removed: Rows that were taken out of training since they equal one of another split.

    Example:
        >>> import keras_ganaccel as ga
        >>> splits = ga.load_data("digits", labels_per_class=20).splits
        >>> len(splits.train), len(splits.validation), len(splits.test)
        (160, 40, 540)
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    removed: np.ndarray = field(default_factory=_no_rows)

    @property
    def used(self) -> np.ndarray:
        """The rows of all three splits."""
        return np.concatenate([self.train, self.validation, self.test])


def make_splits(
    y: np.ndarray,
    *,
    seed: int = 0,
    labels_per_class: int | None = None,
    labels: int | None = None,
    test: np.ndarray | None = None,
    validation: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    keys: np.ndarray | None = None,
    class_names: Sequence[str] = (),
) -> Splits:
    """Splits labelled rows.

    The test rows do not depend on `seed`: they are 30 % of the labelled rows by scikit-learn's
    stratified ``train_test_split(..., random_state=20261121)``, unless supplied. Of the rest,
    `labels_per_class` rows of each class are drawn, or `labels` rows in all, stratified, and a
    stratified 20 % of those is validation.
    Where classes are too small for scikit-learn, each class of two rows or more still gives one.

    Args:
        y: Labels 0..k-1, shape ``(n,)``; rows labelled -1 are in no split.
        seed: Seed of the draw of labelled rows and validation.
        labels_per_class: Rows per class for training and validation together; None takes all.
        labels: Rows in all for training and validation together, each class in its share and with
            two rows at least, where it has them; None takes all.
        test: A supplied test split, used whole.
        validation: A supplied validation split, used whole.
        groups: Shape ``(n,)``; the rows of a group stay on one side. Shares are then met as well
            as the groups allow.
        keys: Shape ``(n,)``, equal for rows with equal samples; such rows are taken out of
            training where another split has them (see `Splits.removed`).
        class_names: For messages.

    Returns:
        The splits.

    Raises:
        InvalidInputError: If a class has fewer than two rows, or a split would be empty.
    """
    y = np.asarray(y)
    whole = isinstance(labels_per_class, (int, np.integer))
    if labels_per_class is not None and not (whole and labels_per_class >= 2):
        raise InvalidInputError(
            f"`labels_per_class` must be a whole number, at least 2. Received: {labels_per_class}. "
            "One row a class is trained on and one is validated on."
        )
    classes = int(y.max(initial=-1)) + 1
    _check_labels(labels, labels_per_class, classes)
    names = tuple(class_names) or tuple(str(label) for label in range(classes))
    _require(y, np.flatnonzero(y >= 0), names, 2, "in all")
    groups = None if groups is None else _group_codes(groups, len(y))
    labelled = np.flatnonzero(y >= 0)
    if validation is not None:
        labelled = labelled[~np.isin(labelled, validation)]
    if test is None:
        test = _test_rows(y, labelled, groups)
    rest = labelled[~np.isin(labelled, test)]
    held_out = test if validation is None else np.concatenate([test, validation])
    _refuse_shared_groups(groups, rest, held_out)

    equal = _members(keys, rest, held_out)
    removed, rest = rest[equal], rest[~equal]
    _require(y, rest, names, 1, _use(removed))
    most: int | np.ndarray | None = labels_per_class
    if labels is not None and labels < len(rest):
        most = _in_proportion(np.bincount(y[rest], minlength=classes), labels)
    rest = _first_of_each_class(y, rest, most, derive_seed(seed, "labels"))
    if validation is None:
        rng = np.random.default_rng(derive_seed(seed, "validation"))
        validation = _draw(y, rest, VALIDATION_SHARE, rng, groups)
    train = rest[~np.isin(rest, validation)]
    equal = _members(keys, train, validation)
    removed, train = np.concatenate([removed, train[equal]]), train[~equal]

    _require(y, train, names, 1, _use(removed))
    for name, rows in (("validation", validation), ("test", test)):
        if not len(rows):
            raise InvalidInputError(
                f"The {name} split must not be empty. Received: {len(labelled)} labelled samples "
                f"of {classes} classes. Give more samples."
            )
    return Splits(*(rows.astype(np.int64) for rows in (train, validation, test, removed)))


def _check_labels(labels: int | None, labels_per_class: int | None, classes: int) -> None:
    if labels is None:
        return
    if labels_per_class is not None:
        raise InvalidInputError(
            f"`labels` and `labels_per_class` are two ways to say one thing. Received: {labels} "
            f"and {labels_per_class}. Leave out one of the two."
        )
    whole = isinstance(labels, (int, np.integer)) and not isinstance(labels, bool)
    if not whole or labels < 2 * classes:
        raise InvalidInputError(
            f"`labels` must be a whole number, at least 2 for each of the {classes} classes. "
            f"Received: {labels!r}. One row a class is trained on and one is validated on."
        )


def _use(removed: np.ndarray) -> str:
    return "for training that equals no held-out one" if len(removed) else "for training"


def _require(y: np.ndarray, rows: np.ndarray, names: Sequence[str], least: int, use: str) -> None:
    counts = np.bincount(y[rows], minlength=len(names))
    few = np.flatnonzero(counts < least).tolist()
    if few:
        label = few[0]
        others = f", and too few of {named([names[other] for other in few[1:]])}"
        raise InvalidInputError(
            f"Every class must have at least {least} sample{'s' if least > 1 else ''} {use}. "
            f"Received: {counts[label]} of class {names[label]!r}{others if few[1:] else ''}. "
            "Add samples or leave the class out."
        )


def _group_codes(groups: np.ndarray, rows: int) -> np.ndarray:
    groups = np.asarray(groups)
    if groups.dtype == object:
        # Missing groups, or groups of several kinds, have no order.
        groups = groups.astype(str)
    if groups.shape != (rows,):
        raise InvalidInputError(
            f"`groups` must hold one group per sample. Received: shape {groups.shape} for {rows} "
            "samples. Give an array of that length."
        )
    return np.unique(groups, return_inverse=True)[1]


def _refuse_shared_groups(
    groups: np.ndarray | None, rest: np.ndarray, held_out: np.ndarray
) -> None:
    if groups is not None and np.isin(groups[rest], groups[held_out]).any():
        shared = len(np.intersect1d(groups[rest], groups[held_out]))
        raise InvalidInputError(
            f"A group must be in one split only. Received: {shared} groups in the supplied "
            "training set and in another split. Leave them out on one side."
        )


def _members(keys: np.ndarray | None, rows: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Tells for each of `rows` whether an equal sample is among the rows `of`."""
    if keys is None:
        return np.zeros(len(rows), bool)
    return np.isin(keys[rows], keys[of])


def _test_rows(y: np.ndarray, rows: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    counts = np.bincount(y[rows])
    test_size = int(np.ceil(TEST_SHARE * len(rows)))
    fits = counts[counts > 0].min() >= 2 and min(test_size, len(rows) - test_size) >= len(counts)
    if groups is None and fits:
        return train_test_split(
            rows, test_size=TEST_SHARE, stratify=y[rows], random_state=TEST_SEED
        )[1]
    return _draw(y, rows, TEST_SHARE, np.random.default_rng(TEST_SEED), groups)


def _first_of_each_class(
    y: np.ndarray, rows: np.ndarray, count: int | np.ndarray | None, seed: int
) -> np.ndarray:
    """Shuffles rows and keeps `count` a class, or a number of its own for each class.

    A smaller count keeps a subset of a larger one's.
    """
    rows = np.random.default_rng(seed).permutation(rows)
    if count is None:
        return rows
    order = np.argsort(y[rows], kind="stable")
    labels = y[rows][order]
    rank = np.arange(len(labels)) - np.searchsorted(labels, labels)
    most = count if isinstance(count, (int, np.integer)) else np.asarray(count)[labels]
    return rows[np.sort(order[rank < most])]


def _in_proportion(counts: np.ndarray, total: int) -> np.ndarray:
    """How many rows of each class make `total`, by the largest remainders, two at least."""
    exact = counts * (total / counts.sum())
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: total - quota.sum()]] += 1
    least = np.minimum(2, counts)
    while (quota < least).any():
        quota[np.argmax(least - quota)] += 1
        quota[np.argmax(quota)] -= 1
    return quota


def _draw(
    y: np.ndarray,
    rows: np.ndarray,
    share: float,
    rng: np.random.Generator,
    groups: np.ndarray | None,
) -> np.ndarray:
    """Draws a stratified share of `rows`, in random order."""
    rows = rng.permutation(rows)
    if groups is not None:
        return _draw_groups(y, rows, share, rng, groups)
    labels = y[rows]
    quota = _quota(np.bincount(labels), share)
    drawn = [rows[labels == label][:count] for label, count in enumerate(quota)]
    return rng.permutation(np.concatenate(drawn))


def _quota(counts: np.ndarray, share: float) -> np.ndarray:
    """Rows to draw per class: ceil(share * n) in all, by the largest remainders.

    A class of two rows or more gives at least one and keeps at least one.
    """
    exact = counts * share
    quota = np.floor(exact).astype(int)
    missing = int(np.ceil(exact.sum() - 1e-9)) - int(quota.sum())
    quota[np.argsort(quota - exact, kind="stable")[:missing]] += 1
    return np.clip(quota, np.minimum(1, counts // 2), np.maximum(counts - 1, 0))


def _draw_groups(
    y: np.ndarray, rows: np.ndarray, share: float, rng: np.random.Generator, groups: np.ndarray
) -> np.ndarray:
    """Draws whole groups: of many draws the one whose classes come closest to `share`."""
    present = np.unique(groups[rows])
    if len(present) < 2:
        raise InvalidInputError(
            f"`groups` must leave at least one group per split. Received: {len(present)} for two "
            "splits. Give finer groups."
        )
    table = np.zeros((int(groups.max()) + 1, int(y[rows].max()) + 1))
    np.add.at(table, (groups[rows], y[rows]), 1)
    target = share * table.sum(axis=0)
    best, best_error = present[:1], np.inf
    for _ in range(_GROUP_DRAWS):
        order = rng.permutation(present)[:-1]
        errors = np.abs(np.cumsum(table[order], axis=0) - target).sum(axis=1)
        length = int(errors.argmin()) + 1
        if errors[length - 1] < best_error:
            best, best_error = order[:length], errors[length - 1]
    return rows[np.isin(groups[rows], best)]
