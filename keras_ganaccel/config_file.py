"""The configuration as text: YAML files, and the ``key=value`` words of a command line.

This module does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from keras_ganaccel.config import RunConfig, preset, with_values
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.files import atomic_open
from keras_ganaccel.options import hints

# What yaml raises on text that is too deep, or on a number of thousands of digits.
_UNREADABLE = (yaml.YAMLError, RecursionError, ValueError)


class UniqueKeys:
    """Makes a loader of yaml refuse a key that stands twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Makes the mapping of a node."""
        found = set()
        for key, _ in node.value:
            if key.value in found:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands twice", key.start_mark
                )
            if isinstance(key.value, str):
                found.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[misc]


class _SafeLoader(UniqueKeys, yaml.SafeLoader):
    pass


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Reads ``key=value`` words of a command line, the values in YAML's notation.

    Example:
        >>> parse_settings(["gan.steps=10", "gan.augmentation=[cutout]"])
        {'gan.steps': 10, 'gan.augmentation': ['cutout']}
    """
    values = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise InvalidInputError(
                f"`--set` takes key=value. Received: {setting!r}. Write for example gan.steps=500."
            )
        try:
            values[name.strip()] = yaml.load(text, _SafeLoader)
        except _UNREADABLE:
            raise InvalidInputError(
                f"The value of `--set {name}` cannot be read. Received: {text!r}. "
                "Write a number, a word, or a list such as [a, b]."
            ) from None
    return values


def to_dict(config: Any) -> dict[str, Any]:
    """Returns the configuration as nested plain values (lists for tuples), fit for YAML or JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value

    return plain(dataclasses.asdict(config))


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """Builds a configuration from nested values; what is not given is the named preset's.

    Raises:
        InvalidInputError: A key is unknown, or a value has the wrong type or range.
    """
    if not isinstance(values, Mapping):
        raise InvalidInputError(
            f"A configuration must be a mapping. Received: {type(values).__name__}. "
            "Write `key: value` lines."
        )
    flat: dict[str, Any] = {}
    sections = {name for name, kind in hints(RunConfig).items() if dataclasses.is_dataclass(kind)}
    for key, value in values.items():
        if key in sections and isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": item for inner, item in value.items()})
        elif key != "preset":
            flat[str(key)] = value
    return with_values(preset(str(values.get("preset", "default"))), flat)


def config_yaml(config: RunConfig) -> str:
    """Returns the configuration as YAML."""
    return yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)


def save_config(config: RunConfig, path: str | Path) -> None:
    """Writes the configuration as YAML, atomically."""
    with atomic_open(path, "w") as file:
        file.write(config_yaml(config))


def load_config(path: str | Path) -> RunConfig:
    """Reads a configuration that `save_config` or a person wrote (YAML, and so JSON too).

    Raises:
        MissingFileError: The file cannot be read.
        InvalidInputError: It is no configuration.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "mine.yaml")
        ...     written = path.write_text("gan: {steps: 10}")
        ...     ga.load_config(path).gan.steps
        10
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise MissingFileError(
            f"The configuration cannot be read. Received: {str(path)!r}. Name a YAML file."
        ) from None
    try:
        values = yaml.load(text, _SafeLoader)
    except _UNREADABLE as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1}: {getattr(error, 'problem', None)})" if where else ""
        raise InvalidInputError(
            f"The configuration is not valid YAML{line}. Received: {str(path)!r}. Mend the file."
        ) from None
    return from_dict(values if values is not None else {})
