"""Labels: whatever names the classes becomes the integers 0..k-1, or is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ganaccel.data.class_names import in_one_line
from keras_ganaccel.data.finite import listed_rows
from keras_ganaccel.errors import InvalidInputError

UNLABELLED = -1
"""The label of a row whose class is not known, as in scikit-learn."""

# What missing values become when they are turned into text.
_MISSING_TEXT = frozenset({"", "nan", "NaN", "<NA>", "NaT"})
_DOUBTFUL_TEXT = frozenset({"none", "null", "n/a", "na", "?", "unlabelled", "unlabeled"})
_LARGEST_WHOLE = 2.0**53
_LIKELY_REGRESSION = 20


@dataclass(frozen=True, eq=False)
class EncodedLabels:
    """Labels as integers.

    Args:
        codes: int64, 0..k-1, -1 where unlabelled, shape ``(n,)``.
        names: The name of each class, in the order of the codes.
        notes: What was assumed about the labels, a sentence each.
    """

    codes: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def encode_labels(labels: Any, name: str = "y", *, every_text: bool = False) -> EncodedLabels:
    """Maps class labels to 0..k-1 in sorted order.

    One-hot rows (zeros and exactly one 1) are taken as the class of their 1, a pandas frame of them
    with its columns' names; a column ``(n, 1)`` is flattened. Anything else with two axes is
    multi-label and refused, as are fractions. Text is compared without the white space around it,
    with one blank for that within, and in Unicode's composed form.

    Args:
        labels: Shape ``(n,)``, ``(n, 1)`` or one-hot ``(n, k)``: integers, whole floats, booleans
            or strings, also pandas' series and categories. An integer -1 and a missing label
            (None, NaN, ``pandas.NA``, a masked entry, empty text) mark an unlabelled row.
        name: What messages call the labels.
        every_text: Text such as "nan" or "" is the name of a class, not a missing label.

    Returns:
        The codes, the classes' names, and what the user should know.

    Raises:
        InvalidInputError: If these cannot be the labels of at least two classes.

    Example:
        >>> encoded = encode_labels(["dog", "cat", None, "dog"])
        >>> encoded.codes.tolist(), encoded.names
        ([1, 0, -1, 1], ('cat', 'dog'))
    """
    values = _one_axis(label_array(labels, name), name)
    missing = _missing(values, frozenset() if every_text else _MISSING_TEXT)
    present = values[~missing]
    if values.dtype == object:
        present = _of_one_kind(present.tolist(), name) if len(present) else np.zeros(0, np.int64)
    known = ~missing
    if present.dtype.kind in "US":
        present, notes = _clean_text(present)
    else:
        present = _whole_numbers(present, np.flatnonzero(known), name)
        marked = present == UNLABELLED
        known[known] = ~marked
        present, notes = present[~marked], _marked_note(int(marked.sum()), len(values))
    if missing.any():
        rows = np.flatnonzero(missing).tolist()
        notes = (
            f"{len(rows)} of {len(values)} rows have no label ({listed_rows(rows)}); "
            "they count as unlabelled.",
            *notes,
        )
    classes, inverse = np.unique(present, return_inverse=True)
    _check_classes(classes, present, known, name)
    codes = np.full(len(values), UNLABELLED, np.int64)
    codes[known] = inverse
    names = tuple(str(value) for value in classes)
    return EncodedLabels(codes, names, notes + _odd_numbers(classes) + _look_alikes(names))


def label_array(labels: Any, name: str = "y") -> np.ndarray:
    """Makes an array of labels: of numbers, of strings, or of objects where some are missing.

    Args:
        labels: A sequence with one entry per sample.
        name: What messages call the labels.

    Returns:
        An array with at least one axis, missing labels in it being None.

    Raises:
        InvalidInputError: If the entries are neither numbers nor strings, or not alike.
    """
    named = _named_columns(labels)
    if named is not None:
        return named
    if np.ma.isMaskedArray(labels):
        masked = np.ma.getmaskarray(labels)
        labels = np.array(labels.data, object)
        labels[masked] = None
    try:
        values = np.asarray(labels)
        if values.dtype.kind in "US" and isinstance(labels, (list, tuple)):
            # NumPy turns the None, NaN and numbers of a list that holds text into text.
            values = np.asarray(labels, object)
    # Ragged nests, and objects that refuse to become an array, such as a GPU's tensors.
    except (ValueError, TypeError):
        raise InvalidInputError(
            f"`{name}` must hold one label per sample. Received: rows of different lengths or "
            "kinds. Multi-label targets are not supported."
        ) from None
    if values.dtype == object:
        return _of_objects(values, name)
    if values.dtype.kind not in "biufUS" or not values.ndim:
        raise InvalidInputError(
            f"`{name}` must hold integers or strings. Received: dtype {values.dtype}, shape "
            f"{values.shape}. Give one class label per sample."
        )
    return values


def holds_text(values: np.ndarray) -> bool:
    """Tells whether labels of `label_array` are strings."""
    if values.dtype == object:
        return any(isinstance(value, str) for value in values.ravel())
    return values.dtype.kind in "US"


def _named_columns(labels: Any) -> np.ndarray | None:
    """The classes of a pandas frame of one-hot columns, or None where it is no such frame."""
    columns = getattr(labels, "columns", None)
    if columns is None or len(columns) < 2:
        return None
    values = np.asarray(labels)
    if values.dtype.kind not in "biuf" or not _is_one_hot(values):
        return None
    return np.array([str(column) for column in columns])[values.argmax(axis=1)]


def _of_objects(values: np.ndarray, name: str) -> np.ndarray:
    if not values.ndim or values.ndim > 1 + (values.shape[-1] == 1):
        numbers = np.array(values.tolist()) if values.ndim == 2 else values
        if numbers.dtype.kind in "biuf":
            return numbers
        raise InvalidInputError(
            f"`{name}` must hold one class label per sample, shape (n,). Received: shape "
            f"{values.shape} of objects. Multi-label targets are not supported."
        )
    flat = values.reshape(-1)
    rows = {np.shape(value) for value in flat if isinstance(value, (np.ndarray, list, tuple))}
    if rows == {np.shape(flat[0])}:
        return label_array(np.array([np.asarray(value) for value in flat]), name)
    missing = np.fromiter((_is_missing(value) for value in flat), bool, len(flat))
    present = _of_one_kind(flat[~missing].tolist(), name) if not missing.all() else None
    if present is not None and not missing.any():
        return present
    kept = flat.copy()
    kept[missing] = None
    if present is not None:
        kept[~missing] = present.tolist()
    return kept


def _of_one_kind(values: Sequence[Any], name: str) -> np.ndarray:
    """Makes an array of present labels, which must be all numbers or all text."""
    values = [value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
              for value in values]  # fmt: skip
    text = [isinstance(value, str) for value in values]
    if any(text) and not all(text):
        odd = next(value for value, is_text in zip(values, text, strict=True) if not is_text)
        raise InvalidInputError(
            f"`{name}` must hold labels of one kind. Received: text and {odd!r}. "
            "Make all of them strings or all of them numbers."
        )
    found = np.array(values)
    if found.ndim != 1 or found.dtype.kind not in "biufU":
        kinds = sorted({type(value).__name__ for value in values})
        raise InvalidInputError(
            f"`{name}` must hold integers or strings. Received: dtype object of "
            f"{', '.join(kinds[:4])}. Give one class label per sample."
        )
    return found


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, (str, bytes, int)):
        return False
    try:
        # NaN and NaT differ from themselves.
        return bool(value != value)
    # pandas.NA cannot say.
    except TypeError:
        return True
    except ValueError:
        return False


def _missing(values: np.ndarray, missing_text: frozenset[str]) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype == object or values.dtype.kind in "US":
        absent = {None, *missing_text}
        stripped = (v.strip() if isinstance(v, str) else v for v in decoded(values).tolist())
        return np.fromiter((value in absent for value in stripped), bool, len(values))
    return np.zeros(len(values), bool)


def decoded(values: np.ndarray) -> np.ndarray:
    """Returns an array as it is, or its bytes as text."""
    if values.dtype.kind != "S":
        return values
    return np.char.decode(values, "utf-8", "backslashreplace")


def _clean_text(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Text in one line without white space around it, composed, and printable in UTF-8."""
    raw, inverse = np.unique(decoded(values), return_inverse=True)
    clean = [
        unicodedata.normalize("NFC", in_one_line(str(text)))
        .encode("utf-8", "surrogateescape")
        .decode("utf-8", "backslashreplace")
        for text in raw
    ]
    merged = len(raw) - len(set(clean))
    notes: tuple[str, ...] = ()
    if merged:
        twice = sorted({text for text in clean if clean.count(text) > 1})
        notes = (
            "Labels that differ only in white space or in their Unicode form were taken as one "
            f"class: {named(twice)}.",
        )
    return np.array(clean)[inverse] if len(raw) else raw, notes


def _look_alikes(names: Sequence[str]) -> tuple[str, ...]:
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    alike = [name for group in folded.values() if len(group) > 1 for name in group]
    notes = []
    if alike:
        notes.append(f"Classes differ in upper and lower case alone: {named(alike)}. Same class?")
    doubtful = [name for name in names if name.casefold() in _DOUBTFUL_TEXT]
    if doubtful:
        notes.append(
            f"Classes whose names look like missing labels: {named(doubtful)}. "
            "Mark unlabelled rows with None or -1, or give such samples as `unlabelled`."
        )
    return tuple(notes)


def _marked_note(marked: int, rows: int) -> tuple[str, ...]:
    if not marked:
        return ()
    return (
        f"{marked} of {rows} rows are labelled -1, which marks unlabelled rows. "
        "If -1 is a class of yours, give the labels as strings.",
    )


def _odd_numbers(classes: np.ndarray) -> tuple[str, ...]:
    """Asks about class numbers that programs mark unlabelled rows with."""
    if classes.dtype.kind not in "iu":
        return ()
    ends = [np.iinfo(kind).max for kind in (np.uint8, np.uint16, np.uint32, classes.dtype)]
    odd = classes[classes < 0] if classes[-1] >= 0 else classes[:0]
    if classes[-1] in ends and classes[-2] < classes[-1] // 2:
        odd = np.append(odd, classes[-1])
    if not len(odd):
        return ()
    return (
        f"Classes with unusual numbers: {named([str(value) for value in odd])}. "
        "Mark unlabelled rows with -1, if that is what these are.",
    )


def _is_one_hot(values: np.ndarray) -> bool:
    binary = bool(np.isin(values, (0, 1)).all())
    return binary and len(values) > 0 and bool((values.sum(axis=1) == 1).all())


def _one_axis(values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim == 1:
        return values
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    kind = "several values per sample"
    if values.ndim == 2 and values.dtype.kind in "biuf":
        if _is_one_hot(values):
            return values.argmax(axis=1)
        if np.isin(values, (0, 1)).all():
            kind = "rows that mark none or several classes (multi-label)"
        elif values.min(initial=0) >= 0 and np.allclose(values.sum(axis=1), 1, atol=1e-3):
            kind = "soft labels (probabilities); take their argmax(axis=1)"
    raise InvalidInputError(
        f"`{name}` must hold one class label per sample, shape (n,). Received: shape "
        f"{values.shape}, {kind}. Multi-label and regression targets are not supported."
    )


def _whole_numbers(values: np.ndarray, rows: np.ndarray, name: str) -> np.ndarray:
    """Booleans stay, so that their classes are called False and True."""
    if values.dtype.kind != "f":
        return values
    wrong = (values != np.round(values)) | (np.abs(values) > _LARGEST_WHOLE)
    if wrong.any():
        first = int(wrong.argmax())
        raise InvalidInputError(
            f"`{name}` must hold class labels. Received: {float(values[first])!r} in row "
            f"{int(rows[first])}. "
            "Regression targets are not supported; give one whole number or string per class."
        )
    return values.astype(np.int64)


def _check_classes(classes: np.ndarray, present: np.ndarray, known: np.ndarray, name: str) -> None:
    if len(classes) < 2:
        received = f"only {named([str(value) for value in classes])}" if len(classes) else "none"
        rest = "" if known.all() else f" and {int((~known).sum())} unlabelled rows (-1 or missing)"
        raise InvalidInputError(
            f"`{name}` must hold at least 2 classes. Received: {received}{rest}. "
            "Give samples of every class to tell apart; if -1 is a class, give strings."
        )
    numbers = classes.dtype.kind in "iu"
    if numbers and len(classes) > max(_LIKELY_REGRESSION, len(present) / 2):
        raise InvalidInputError(
            f"`{name}` must hold class labels. Received: {len(classes)} different numbers in "
            f"{len(present)} rows, as in regression. "
            "Regression targets are not supported; give each class two rows or more."
        )


def named(names: Sequence[str], most: int = 5) -> str:
    """Lists names for a sentence, the first few of many.

    Example:
        >>> named(["a", "b"]), named(list("abcdefg"), most=2)
        ("'a', 'b'", "'a', 'b' and 5 more")
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
