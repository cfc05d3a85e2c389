"""What a user says of a table: how its file is written, and what its columns are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml

from keras_ganaccel.config_file import UniqueKeys
from keras_ganaccel.errors import InvalidInputError, MissingFileError, nearest, reason_of
from keras_ganaccel.modality.table.curve import NumberForm

KINDS = ("numeric", "integer", "boolean", "category", "date")
_DROP = "drop"
_MOST_FILE_BYTES = 2**24


class _Words(UniqueKeys, yaml.BaseLoader):
    """Takes all that stands in a file as text: a column may be called ``no``, a value ``1e3``."""


@dataclass(frozen=True)
class ColumnOptions:
    """What a user says of one column.

    Args:
        kind: One of `KINDS`; None finds it.
        missing: Words that mean a missing value, in place of the usual ones.
        date_format: How its dates are read, as `datetime.strptime` takes it.
    """

    kind: Any = None
    missing: tuple[str, ...] | None = None
    date_format: str | None = None


@dataclass(frozen=True)
class TableOptions:
    """What a user says of a table.

    Args:
        target: The column that holds the classes.
        drop: Columns to leave out.
        groups: The column whose rows stay on one side of every split, by equal value; it is no
            input.
        columns: What is said of some of the columns, by name.
        missing: Words that mean a missing value, in place of the usual ones; None for those.
        numbers: How numbers get into the model: ``"rank"``, ``"standardise"``, or
            ``"auto"``, by rank where they are skewed.
        delimiter: What separates the cells of a file; None finds it.
        decimal: The decimal mark of a file; None finds it.
        encoding: The encoding of a file; None finds it.

    Example:
        >>> options = read_options({"columns": {"zip": "category", "name": "drop"}})
        >>> options.column("zip").kind, options.drop
        ('category', ('name',))
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    groups: str | None = None
    columns: Mapping[str, ColumnOptions] = field(default_factory=dict)
    missing: tuple[str, ...] | None = None
    numbers: NumberForm = "auto"
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def column(self, name: str) -> ColumnOptions:
        """What is said of a column."""
        return self.columns.get(name, ColumnOptions())

    @property
    def named(self) -> tuple[str, ...]:
        """All columns that something is said of, but the target."""
        groups = () if self.groups is None else (self.groups,)
        return (*self.drop, *groups, *self.columns)


def read_options(
    columns: str | Path | Mapping[str, Any] | None = None,
    *,
    target: str | None = None,
    drop: tuple[str, ...] = (),
    groups: str | None = None,
) -> TableOptions:
    """Reads the file of columns, and adds what the command line or a caller says.

    Args:
        columns: A YAML file, or what stands in one: ``columns`` (by name: a kind, ``drop``, or a
            mapping of ``kind``, ``missing`` and ``format``), ``missing``, ``numbers``,
            ``delimiter``, ``decimal`` and ``encoding``, each of which may be left out.
        target: See `TableOptions`.
        drop: Columns to leave out beside those that the file drops.
        groups: See `TableOptions`.

    Returns:
        The options.

    Raises:
        MissingFileError: If the file cannot be read.
        InvalidInputError: If something in it is not known.
    """
    content = dict(columns) if isinstance(columns, Mapping) else _load(columns)
    known = ("columns", "missing", "numbers", "delimiter", "decimal", "encoding")
    _refuse_unknown(content, known, "The file of columns")
    of_columns = content.get("columns") or {}
    if not isinstance(of_columns, Mapping):
        raise InvalidInputError(
            "`columns` must name what each column is. Received: "
            f"{str(of_columns)[:80]!r}. Write for example zip: category."
        )
    dropped = [str(name) for name, said in of_columns.items() if said == _DROP]
    _choice(content, "numbers", get_args(NumberForm))
    _choice(content, "decimal", (".", ","))
    for key in ("delimiter", "encoding"):
        if not isinstance(content.get(key, ""), str):
            raise InvalidInputError(
                f"`{key}` must be text. Received: {content[key]!r}. Put it in quotation marks."
            )
    return TableOptions(
        target=target,
        drop=(*drop, *dropped),
        groups=groups,
        columns={
            str(name): _column_options(str(name), said)
            for name, said in of_columns.items()
            if said != _DROP
        },
        missing=_words(content.get("missing"), "missing"),
        numbers=content.get("numbers", "auto"),
        delimiter=content.get("delimiter"),
        decimal=content.get("decimal"),
        encoding=content.get("encoding"),
    )


def _load(path: str | Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file.read(_MOST_FILE_BYTES), _Words)
    except OSError as error:
        raise MissingFileError(
            f"The file of columns cannot be read. Received: {str(path)!r} ({error.strerror}). "
            "Name a YAML file."
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInputError(
            f"The file of columns must be YAML. Received: {reason_of(error)}. "
            f"Correct {str(path)!r}."
        ) from None
    if not isinstance(content, Mapping):
        raise InvalidInputError(
            f"The file of columns must hold a mapping. Received: {type(content).__name__} in "
            f"{str(path)!r}. Write for example columns: {{zip: category}}."
        )
    return dict(content)


def _column_options(name: str, said: Any) -> ColumnOptions:
    values = {"kind": said} if isinstance(said, str) else said
    if not isinstance(values, Mapping):
        raise InvalidInputError(
            f"What is said of the column {name!r} must be a kind or a mapping. Received: {said!r}. "
            f"Choose one of {', '.join(KINDS)}, {_DROP}."
        )
    _refuse_unknown(values, ("kind", "missing", "format"), f"The column {name!r}")
    kind = values.get("kind")
    if kind is not None and kind not in KINDS:
        raise InvalidInputError(
            f"The kind of the column {name!r} is not known. Received: {kind!r}. "
            + nearest(str(kind), (*KINDS, _DROP))
        )
    date_format = values.get("format")
    if date_format is not None and not isinstance(date_format, str):
        raise InvalidInputError(
            f"The format of the dates of {name!r} must be text. Received: {date_format!r}. "
            "Write for example '%d.%m.%Y'."
        )
    return ColumnOptions(kind, _words(values.get("missing"), f"missing of {name!r}"), date_format)


def _words(given: Any, what: str) -> tuple[str, ...] | None:
    if given is None:
        return None
    words = given if isinstance(given, (list, tuple)) else [given]
    if any(isinstance(word, (list, dict)) for word in words):
        raise InvalidInputError(
            f"`{what}` must be a list of words. Received: {given!r}. Write for example ['?', -999]."
        )
    return tuple(str(word) for word in words)


def _choice(content: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> None:
    if content.get(key, choices[0]) not in choices:
        raise InvalidInputError(
            f"`{key}` must be one of {', '.join(map(repr, choices))}. Received: {content[key]!r}. "
            "Choose one of them."
        )


def _refuse_unknown(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [str(key) for key in content if key not in known]
    if unknown:
        raise InvalidInputError(
            f"{where} has a key that is not known. Received: {unknown[0]!r}. "
            + nearest(unknown[0], known)
        )
