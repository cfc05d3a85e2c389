"""Whether a file's word on itself, the data, and the user's word agree; and what is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.inspect import TensorFacts
from keras_ganaccel.export.metadata import ArtifactMetadata
from keras_ganaccel.modality.image.spec import DataSpec

# Ends found as the extremes of other rows of the same data differ by little.
_SAME_RANGE = 0.05
_RANGES = ("value_range", "input_range")
# What models take for black and white, by habit of the field.
HABITS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
# By how much a quantized input's ends may miss these: calibration sees samples, not ends.
_MISS = 0.03


def says_of_data(metadata: ArtifactMetadata) -> bool:
    """Whether metadata tell of the data; a model exported without them has empty defaults."""
    return bool(metadata.class_names) or metadata.value_range != ArtifactMetadata().value_range


def overridden(
    name: str, own: ArtifactMetadata, stated: bool, given: Mapping[str, Any]
) -> tuple[ArtifactMetadata, tuple[str, ...]]:
    """Lets the user's word go before the file's, and says where they differ.

    Args:
        name: The name of the file, for the message.
        own: What the file says, or what was recognised.
        stated: Whether it is the file's own word.
        given: Fields of `ArtifactMetadata` that the user gave.

    Returns:
        What holds, and a line for each difference.

    Raises:
        InvalidInputError: If a file with the preprocessing inside shall take another range.
    """
    notes = []
    for key, value in given.items():
        said = getattr(own, key)
        silent = not stated or (key == "class_names" and not said)
        silent |= key == "value_range" and not says_of_data(own)
        if silent or _same(said, value):
            continue
        if own.raw_input and key in _RANGES:
            raise InvalidInputError(
                f"`{key}` is part of {name}, which takes raw values in {own.value_range}. "
                f"Received: {value}. Leave it out."
            )
        notes.append(f"{key} {in_words(value)} is used as given; {name} says {in_words(said)}")
    return replace(own, **given), tuple(notes)


def range_of_input(facts: TensorFacts) -> tuple[tuple[float, float], str] | None:
    """Tells by an input's type and quantization what it takes for black and white.

    Args:
        facts: The input.

    Returns:
        The range, and why; None where neither tells.

    Example:
        >>> range_of_input(TensorFacts("image", (1, 8, 8, 1), "uint8"))
        ((0.0, 255.0), 'its input is uint8')
        >>> range_of_input(TensorFacts("image", (1, 8, 8, 1), "int8", (2 / 255,), (0,)))[0]
        (-1.0, 1.0)
    """
    if facts.dtype not in ("int8", "uint8"):
        return None
    limits = np.iinfo(facts.dtype)
    if not facts.scales:
        return (float(limits.min), float(limits.max)), f"its input is {facts.dtype}"
    ends = (np.array([limits.min, limits.max]) - facts.zero_points[0]) * facts.scales[0]
    for low, high in HABITS:
        if np.abs(ends - (low, high)).max() <= _MISS * (high - low):
            return (low, high), "its input is quantized for that"
    return None


def check_width(name: str, metadata: ArtifactMetadata, width: int | None) -> None:
    """Checks that a file has a class name per number that it puts out.

    Args:
        name: The name of the file, for the message.
        metadata: What holds of it.
        width: The last axis of its output; None if that is dynamic.

    Raises:
        InvalidInputError: If it has more or fewer, or its kind of output needs another width.
    """
    if metadata.output == "samples" or width is None:
        return
    binary = metadata.output.startswith("binary")
    if binary != (width == 1):
        raise InvalidInputError(
            f"{name} must put out what it says. Received: {metadata.output!r} with {width} numbers "
            f"a sample. A single number is 'binary_logit' or 'binary_probability', several are "
            "'logits' or 'softmax'."
        )
    classes = 2 if binary else width
    if metadata.class_names and len(metadata.class_names) != classes:
        raise InvalidInputError(
            f"There must be a name for each of {classes} classes. Received: "
            f"{len(metadata.class_names)} names in {name}. Export it with the names of its data."
        )


def check_names(name: str, metadata: ArtifactMetadata, spec: Spec | None) -> None:
    """Compares a file's class names with those of the data.

    Args:
        name: The name of the file, for the message.
        metadata: What holds of it.
        spec: The description of the data. Without one, labels are numbers: names that are the same
            numbers in another order contradict them.

    Raises:
        InvalidInputError: If they differ.
    """
    names = metadata.class_names
    if not names:
        return
    known = spec.class_names if spec else tuple(map(str, range(len(names))))
    if names == known or (spec is None and set(names) != set(known)):
        return
    row = next((i for i, pair in enumerate(zip(names, known, strict=False)) if len(set(pair)) > 1),
               min(len(names), len(known)))  # fmt: skip
    theirs, ours = (
        f"{list_[row][:40]!r}" if row < len(list_) else "nothing" for list_ in (names, known)
    )
    raise InvalidInputError(
        f"The classes of {name} must be the data's, in their order. Received: class {row} is "
        f"{theirs} in the file and {ours} in the data. Measure on its own data, or export it with "
        "these names."
    )


def encoding_of(metadata: ArtifactMetadata, spec: Spec) -> Spec:
    """Tells how raw data are encoded for a file: as the file says, else as the data do.

    Args:
        metadata: What holds of the file.
        spec: The description of the data.

    Returns:
        The specification to encode with.
    """
    if metadata.spec is not None:
        return metadata.spec
    if isinstance(spec, DataSpec) and says_of_data(metadata):
        return replace(spec, value_range=metadata.value_range)
    return spec


def check_value_range(name: str, metadata: ArtifactMetadata, spec: DataSpec) -> tuple[str, ...]:
    """Compares the raw values that a file takes for black and white with those of the data.

    Args:
        name: The name of the file, for the message.
        metadata: What the file says.
        spec: The description of the data.

    Returns:
        A line if they differ by little, as the extremes of other rows do.

    Raises:
        InvalidInputError: If they differ.
    """
    theirs, ours = metadata.value_range, spec.value_range
    if not says_of_data(metadata) or _same(theirs, ours):
        return ()
    slack = _SAME_RANGE * (theirs[1] - theirs[0])
    if np.allclose(theirs, ours, rtol=0, atol=slack):
        return (f"the values of the data end at {in_words(ours)}; those of {name}, "
                f"{in_words(theirs)}, are used",)  # fmt: skip
    raise InvalidInputError(
        f"The value range of {name} must be the data's. Received: {in_words(theirs)} in the file "
        f"and {in_words(ours)} in the data. Give the right one by --value-range (value_range=)."
    )


def check_classes(
    name: str, num_inputs: int, classes: int, named: bool, labels: np.ndarray, spec: Spec | None
) -> tuple[str, ...]:
    """Checks that a file's outputs are classes of these data at all.

    Args:
        name: The name of the file, for the message.
        num_inputs: How many numbers a sample has.
        classes: How many classes it puts out.
        named: Whether the file names them.
        labels: The true labels.
        spec: The description of the data, if known.

    Returns:
        A line if the labels use fewer classes than it tells apart, and nothing names them.

    Raises:
        InvalidInputError: If it is no classifier of these data.
    """
    found = spec.num_classes if spec else int(labels.max(initial=-1)) + 1
    if classes == found or (spec is None and named):
        return ()
    rebuilds = classes == num_inputs > 2
    if spec is not None or classes < found or rebuilds:
        kind = " (as many numbers as a sample has: it may rebuild its input)" if rebuilds else ""
        kind = " (a single number: two classes, or a regression)" if classes == 2 else kind
        raise InvalidInputError(
            f"{name} is no classifier of these data. Received: outputs for {classes} classes{kind},"
            f" data of {found}. Give a classifier of these classes, or the data that it is for."
        )
    return (f"{name} tells {classes} classes apart, of which the labels use {found} at most",)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and one and not isinstance(one[0], str):
        return len(one) == len(other) and bool(np.allclose(one, other, rtol=1e-6, atol=1e-9))
    return one == (tuple(other) if isinstance(one, tuple) else other)


def in_words(value: Any) -> str:
    """Writes a range as ``0,255``, anything else as Python does."""
    if isinstance(value, (tuple, list)) and value and not isinstance(value[0], str):
        return ",".join(f"{end:g}" for end in value)
    return repr(value)[:80]
