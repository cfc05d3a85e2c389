"""JSON that is written whole, sealed against changes, and read as others may have written it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ganaccel.errors import DamagedFileError
from keras_ganaccel.files import atomic_open, shown

MOST_JSON_BYTES = 64 * 2**20
_SEAL = "sha256"


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, atomically; NaN and infinities are refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with atomic_open(path, "w") as file:
        file.write(text)


def write_sealed_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Writes an object as JSON, atomically, with a checksum among its keys (``"sha256"``)."""
    write_json(path, {**value, _SEAL: _json_digest(value)})


def read_sealed_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what `write_sealed_json` wrote.

    Args:
        path: The file.

    Returns:
        The object, without its checksum.

    Raises:
        DamagedFileError: It cannot be read, or is not what was written.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        intact = value.pop(_SEAL) == _json_digest(value)
    except OSError as error:
        raise DamagedFileError(_damaged(path, error.strerror or "cannot be read")) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise DamagedFileError(_damaged(path, "not what was written"))
    return value


def _damaged(path: str | os.PathLike[str], why: str) -> str:
    return (
        f"A file is damaged or was changed. Received: {shown(path)!r} ({why}). "
        "Restore it, or delete it to have what it holds computed anew."
    )


def _json_digest(value: Any) -> str:
    # As it will be read back: keys of numbers become text, which sorts otherwise.
    text = json.dumps(json.loads(json.dumps(value)), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(content: str | bytes, *, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """Reads JSON that others may have written, so that nothing in it surprises the caller.

    Args:
        content: The text, or its UTF-8 bytes.
        most_bytes: More than this is not looked at.

    Returns:
        Dicts, lists, strings, finite numbers, bools and None.

    Raises:
        ValueError: It is no JSON, too large, too deep, names a key of an object twice, or holds a
            number that is not finite. The message is short, and one line.

    Example:
        >>> read_json(b'{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
        >>> read_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
            ...
        ValueError: the key 'a' occurs twice
    """
    if len(content) > most_bytes:
        raise ValueError(f"{len(content)} bytes, more than {most_bytes}")
    try:
        return json.loads(
            content,
            object_pairs_hook=_unique_keys,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"not valid JSON ({error.msg}, {where})") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key[:80]!r} occurs twice")
        values[key] = value
    return values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:80]} is no finite number")
    return value
