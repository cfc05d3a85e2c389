"""`load_data`: one labelled, audited and split data set out of whatever holds it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.config import DataConfig
from keras_ganaccel.data.audit import audit
from keras_ganaccel.data.class_names import check_class_names, in_one_line
from keras_ganaccel.data.groups import read_groups
from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.data.labels import UNLABELLED, encode_labels
from keras_ganaccel.data.rows import copy_keys, join_rows, row_keys, take_rows
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.data.split import Splits, make_splits
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.protocol import Modality, ReadOptions
from keras_ganaccel.modality.registry import modality_for, modality_named, modality_of

logger = logging.getLogger(__name__)


def load_data(
    source: Any = "digits",
    *,
    modality: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    labels_per_class: int | None = None,
    labels: int | None = None,
    unlabelled: Any = None,
    value_range: tuple[float, float] | None = None,
    skip_corrupt: bool = False,
    groups: Any = None,
    target: str | None = None,
    drop: Sequence[str] = (),
    columns: Any = None,
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
        modality: What the samples are, such as ``"image"``; None finds it by the source.
        image_size: ``(height, width)``, or one number for both, to resize to, antialiased. None
            keeps the size of arrays and takes the median of image files.
        labels_per_class: Rows per class for training and validation together; None takes all.
        labels: Rows in all for training and validation together, stratified; None takes all.
        unlabelled: Further samples without labels: an array, or a path as in `load_samples`. They
            must have the data's value range, or be integers that fill their dtype.
        value_range: The raw values that mean black and white. None takes 0 and 255 for image
            files, the dtype's ends for integers that fill it, else the ends of the training rows.
        skip_corrupt: Leave out images that cannot be read; `Audit.skipped` lists them.
        target: The column of labels, where the source is a pandas frame of pixels; None takes the
            one called label, target, class or y.
        drop: Columns to leave out, where the source has columns.
        columns: What columns hold, where that is to be said: a YAML file's path, or a mapping.
        groups: One group per row; the name of a column, where the source has columns; or the path
            of an .npy file, or of a text file with a group a line. A group stays on one side of
            every split.
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
    _check_seed(seed)
    options = ReadOptions(
        target=target,
        drop=tuple(drop),
        columns=columns,
        image_size=image_size,
        value_range=value_range,
        skip_corrupt=skip_corrupt,
    )
    kind = modality_for(source, options) if modality is None else modality_named(modality)
    if isinstance(groups, (str, Path)) and "groups" in kind.options:
        options, groups = replace(options, groups=str(groups)), None
    _check_options(kind, options)
    raw = kind.read(source, options)
    encoded = encode_labels(raw.labels, every_text=raw.every_text)
    y = encoded.codes
    names, misfit = _own_names(encoded.names, raw.class_names)
    check_class_names(names)
    keys = copy_keys(raw.x)
    supplied = {part: rows[y[rows] >= 0] for part, rows in raw.supplied.items()}
    raw = replace(raw, supplied={part: rows for part, rows in supplied.items() if len(rows)})
    splits = make_splits(
        y,
        seed=seed,
        labels_per_class=labels_per_class,
        labels=labels,
        test=raw.supplied.get("test"),
        validation=raw.supplied.get("validation"),
        groups=raw.groups if groups is None else read_groups(groups),
        keys=keys,
        class_names=names,
    )
    spec, fitted = kind.fit(raw, names, splits, options)
    parts = [take_rows(raw.x, y == UNLABELLED)]
    skipped = raw.skipped
    notes = raw.notes + encoded.notes + misfit + fitted
    if unlabelled is not None:
        further = kind.read_samples(unlabelled, spec, skip_corrupt=skip_corrupt, name="unlabelled")
        parts.append(further.x)
        skipped += further.skipped
        notes += further.notes
    extra, leaked = _without_held_out(parts, keys, splits)
    report = audit(
        y,
        splits,
        keys,
        class_names=names,
        findings=kind.findings(raw.x, splits.used, spec),
        unlabelled=0 if extra is None else len(extra),
        unlabelled_removed=leaked,
        skipped=skipped,
        notes=notes + _shortage(y, splits, labels_per_class, labels),
    )
    return LabelledData(name or raw.name, raw.x, y, spec, splits, report, extra)


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
        modality=config.modality,
        target=config.target,
        drop=config.drop,
        columns=config.columns,
        groups=config.groups,
        image_size=config.image_size,
        labels_per_class=config.labels_per_class,
        labels=config.labels,
        unlabelled=config.unlabelled,
        value_range=config.value_range,
        skip_corrupt=config.skip_corrupt,
        seed=seed,
    )


def load_samples(path: Any, spec: Spec) -> Any:
    """Loads samples without labels that belong to known data; logs what there is to know of them.

    Args:
        path: What the modality's `read_samples` takes: files, folders, arrays or frames.
        spec: The description of the data that they belong to.

    Returns:
        Raw samples that ``spec.encode`` takes.

    Raises:
        InvalidInputError: If they cannot be used.
    """
    samples = modality_of(spec).read_samples(path, spec)
    for note in samples.notes:
        logger.warning("%s", note)
    return samples.x


def _own_names(
    found: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The source's names of the classes that occur, where its labels are their numbers."""
    if not names:
        return found, ()
    names = tuple(map(in_one_line, names))
    if all(label.isdecimal() and int(label) < len(names) for label in found):
        return tuple(names[int(label)] for label in found), ()
    if set(found) <= set(names):
        return found, ()
    return found, (f"The {len(names)} names of classes do not fit the labels and are not used.",)


def _shortage(
    y: np.ndarray, splits: Splits, labels_per_class: int | None, labels: int | None
) -> tuple[str, ...]:
    """Says so where there are fewer labelled samples than were asked for."""
    kept = np.bincount(y[np.concatenate([splits.train, splits.validation])])
    if kept.sum() < (labels or 0):
        return (f"There are no {labels} labelled samples to train on: all {kept.sum()} are taken.",)
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
    parts: Sequence[Any], keys: np.ndarray, splits: Splits
) -> tuple[Any | None, int]:
    """Unlabelled samples that equal no held-out one, and how many did."""
    extra = join_rows(parts)
    held_out = keys[np.concatenate([splits.validation, splits.test])]
    leaked = np.isin(row_keys(extra), held_out)
    return (take_rows(extra, ~leaked) if not leaked.all() else None), int(leaked.sum())


def _check_options(kind: Modality, options: ReadOptions) -> None:
    """Refuses what means nothing for this kind of samples."""
    for field in fields(options):
        value = getattr(options, field.name)
        if value != field.default and field.name not in kind.options:
            raise InvalidInputError(
                f"`{field.name}` means nothing for data of the modality {kind.name!r}. "
                f"Received: {value!r}. Leave it out."
            )


def _check_seed(seed: Any) -> None:
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise InvalidInputError(
            f"`seed` must be a whole number. Received: {seed!r}. Pass 0 for the default draw."
        )
