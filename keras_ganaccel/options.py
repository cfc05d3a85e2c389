"""Fields of a configuration: their ranges and choices, and the check of values against them."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from keras_ganaccel.errors import InvalidInputError, nearest

AUGMENTATIONS = ("translation", "cutout", "colour", "flip")
OBJECTIVES = (
    "relativistic", "non_saturating", "hinge", "least_squares", "wasserstein", "minimax",
)  # fmt: skip
FILTERS = (
    "teacher_agreement", "confidence_band", "near_duplicates", "discriminator", "density_ratio",
)  # fmt: skip
IMAGE_ARMS = (
    "gan", "gan_first", "gan_disagreement", "pca_gaussian", "pca_disagreement", "unlabelled",
)  # fmt: skip
TABLE_ARMS = ("spunge", "donors", "noise", "munge", "class_gaussian", "smote_nc", "unlabelled")
ARMS = tuple(dict.fromkeys((*IMAGE_ARMS, *TABLE_ARMS)))


def option(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
    choices: tuple[str, ...] | None = None,
    ascending: bool = False,
) -> Any:
    """A dataclass field with the range, the choices or the order of its values."""
    open_high = open_high or high is None
    interval = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"
    metadata = {
        "low": low,
        "high": high,
        "open_low": open_low,
        "open_high": open_high,
        "choices": choices,
        "ascending": ascending,
        "interval": interval.replace("None", "∞"),
    }
    return field(default=default, metadata=metadata)


class Checked:
    """A frozen dataclass whose values are checked, and given their fields' types, when it is made.

    So a value is refused in the same words wherever it comes from: Python, YAML or a command line.
    Numbers of NumPy, paths and lists become what the fields hold.

    Args:
        section: What stands before the fields' names in messages.
    """

    _prefix = ""

    def __init_subclass__(cls, *, section: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._prefix = f"{section}." if section else ""

    def __post_init__(self) -> None:
        kinds = hints(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            name = f"{self._prefix}{item.name}"
            value = _checked(name, getattr(self, item.name), kinds[item.name], item.metadata)
            object.__setattr__(self, item.name, value)


def hints(cls: Any) -> dict[str, Any]:
    """Returns the types of a dataclass' fields."""
    return typing.get_type_hints(cls)


def replaced(config: Any, name: str, value: Any) -> Any:
    """Returns a copy of a configuration with one value replaced.

    Args:
        config: A `Checked` dataclass, whose fields may be such dataclasses themselves.
        name: The field's dotted name.
        value: Its new value.

    Raises:
        InvalidInputError: The name is unknown, or the value has the wrong type or range.
    """
    return _replaced(config, name.split("."), value, name, type(config))


def _replaced(config: Any, path: list[str], value: Any, full_name: str, root: type) -> Any:
    names = sorted(item.name for item in dataclasses.fields(config))
    if path[0] not in names:
        raise InvalidInputError(
            f"Unknown configuration key. Received: {full_name!r}. "
            f"{_nearest_key(full_name, names, root)}"
        )
    hint = hints(type(config))[path[0]]
    if dataclasses.is_dataclass(hint):
        if len(path) == 1:
            raise InvalidInputError(
                f"`{full_name}` is a group of values. Received: {value!r}. "
                f"Set one of them, such as {full_name}.{dataclasses.fields(hint)[0].name}."
            )
        inner = _replaced(getattr(config, path[0]), path[1:], value, full_name, root)
        return dataclasses.replace(config, **{path[0]: inner})
    if len(path) > 1:
        raise InvalidInputError(
            f"Unknown configuration key. Received: {full_name!r}. "
            f"`{full_name.rpartition('.')[0]}` is a single value."
        )
    return dataclasses.replace(config, **{path[0]: value})


def _nearest_key(name: str, siblings: list[str], root: type) -> str:
    """Suggests a key from anywhere in the configuration, else lists those of the same group."""
    close = difflib.get_close_matches(name, _all_keys(root), n=1)
    return nearest(name, close or siblings)


def _all_keys(cls: Any) -> list[str]:
    keys = []
    for name, hint in hints(cls).items():
        inner = _all_keys(hint) if dataclasses.is_dataclass(hint) else []
        keys += [f"{name}.{key}" for key in inner] or [name]
    return keys


def _checked(name: str, value: Any, hint: Any, limits: Mapping[str, Any]) -> Any:
    """Converts a value to the type of its field and checks its range."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(item for item in arguments if item is not type(None))
        return _checked(name, value, hint, limits)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise _wrong_type(name, "a list", value)
        if arguments[-1] is not Ellipsis and len(arguments) != len(value):
            raise _wrong_type(name, f"a list of {len(arguments)}", value)
        items = tuple(_checked(name, item, arguments[0], limits) for item in value)
        if limits.get("ascending") and not items[0] < items[-1]:
            raise _wrong_type(name, "two numbers, the lower first", value)
        return items
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, typing.cast(type, hint)):
            raise _wrong_type(name, f"a {getattr(hint, '__name__', hint)}", value)
        return value
    value = _converted(name, value, hint)
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _wrong_type(name, kinds[hint], value)
    _check_range(name, value, limits)
    return value


def _converted(name: str, value: Any, hint: type) -> Any:
    """Brings what means the same to Python's own types."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if hint is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    if hint is not float or isinstance(value, bool):
        return value
    # YAML reads 1e-4 (no dot) as a string.
    if isinstance(value, (int, str)):
        try:
            return float(value)
        except (ValueError, OverflowError):
            raise _wrong_type(name, "a number", value) from None
    return value


def _check_range(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    choices = limits.get("choices")
    if choices and value not in choices:
        raise InvalidInputError(
            f"Unknown value of `{name}`. Received: {value!r}. {nearest(str(value), choices)}"
        )
    low, high = limits.get("low"), limits.get("high")
    endless = isinstance(value, float) and not math.isfinite(value)
    if low is high is None:
        if endless:
            raise _wrong_type(name, "a finite number", value)
        return
    below = low is not None and (value < low or (limits["open_low"] and value == low))
    above = high is not None and (value > high or (limits["open_high"] and value == high))
    if below or above or endless:
        raise InvalidInputError(
            f"`{name}` must be in {limits['interval']}. Received: {value!r}. Choose a value inside."
        )


def _wrong_type(name: str, expected: str, value: Any) -> InvalidInputError:
    return InvalidInputError(f"`{name}` must be {expected}. Received: {value!r}. Change its value.")
