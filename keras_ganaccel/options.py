"""Fields of a configuration: their ranges and choices, and the check of values against them."""

from __future__ import annotations

import dataclasses
import difflib
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
ARMS = (
    "gan", "gan_first", "gan_disagreement", "pca_gaussian", "pca_disagreement", "unlabelled",
)  # fmt: skip


def option(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field with the range or the choices of its values."""
    interval = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"
    metadata = {
        "low": low,
        "high": high,
        "open_low": open_low,
        "open_high": open_high,
        "choices": choices,
        "interval": interval.replace("None", "∞"),
    }
    return field(default=default, metadata=metadata)


def hints(cls: Any) -> dict[str, Any]:
    """Returns the types of a dataclass' fields."""
    return typing.get_type_hints(cls)


def replaced(config: Any, name: str, value: Any) -> Any:
    """Returns a copy of a configuration with one value replaced.

    Args:
        config: A frozen dataclass, whose fields may be such dataclasses themselves.
        name: The field's dotted name.
        value: Its new value, which is converted to the type of the field.

    Raises:
        InvalidInputError: The name is unknown, or the value has the wrong type or range.
    """
    return _replaced(config, name.split("."), value, name, type(config))


def _replaced(config: Any, path: list[str], value: Any, full_name: str, root: type) -> Any:
    fields = {item.name: item for item in dataclasses.fields(config)}
    if path[0] not in fields:
        raise InvalidInputError(
            f"Unknown configuration key. Received: {full_name!r}. "
            f"{_nearest_key(full_name, sorted(fields), root)}"
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
    checked = _checked(full_name, value, hint, fields[path[0]].metadata)
    return dataclasses.replace(config, **{path[0]: checked})


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
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise _wrong_type(name, "a list", value)
        inner = typing.get_args(hint)
        if inner[-1] is not Ellipsis and len(inner) != len(value):
            raise _wrong_type(name, f"a list of {len(inner)}", value)
        return tuple(_checked(name, item, inner[0], limits) for item in value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = float(value)
    # YAML reads 1e-4 (no dot) as a string.
    if hint is float and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise _wrong_type(name, "a number", value) from None
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _wrong_type(name, kinds[hint], value)
    _check_range(name, value, limits)
    return value


def _check_range(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    choices = limits.get("choices")
    if choices and value not in choices:
        raise InvalidInputError(
            f"Unknown value of `{name}`. Received: {value!r}. {nearest(str(value), choices)}"
        )
    low, high = limits.get("low"), limits.get("high")
    below = low is not None and (value < low or (limits["open_low"] and value == low))
    above = high is not None and (value > high or (limits["open_high"] and value == high))
    if below or above or value != value:
        raise InvalidInputError(
            f"`{name}` must be in {limits['interval']}. Received: {value!r}. Choose a value inside."
        )


def _wrong_type(name: str, expected: str, value: Any) -> InvalidInputError:
    return InvalidInputError(f"`{name}` must be {expected}. Received: {value!r}. Change its value.")
