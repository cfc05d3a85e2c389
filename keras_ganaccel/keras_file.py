"""What a `.keras` archive holds, looked at before Keras opens it; TensorFlow is not needed."""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from keras_ganaccel.errors import InvalidInputError, MissingFileError, UnsafeModelError
from keras_ganaccel.json_files import read_json

_CONFIG = "config.json"
_MOST_CONFIG_BYTES = 2**26
# Weights hardly shrink, unless most of them are zero; what unfolds further is made to fill a disk.
_MOST_UNFOLDING = 100
_FREE_BYTES = 2**26
_MOST_MEMBERS = 100_000
_LINK = 0o120000
_CODE = ("Lambda", "__lambda__")
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, KeyError, ValueError, OSError,
    RuntimeError, EOFError,
)  # fmt: skip


def check_model_file(path: str | os.PathLike[str], *, allow_unsafe: bool = False) -> None:
    """Checks a `.keras` file without importing TensorFlow.

    Args:
        path: The file.
        allow_unsafe: Accept a file that holds code.

    Raises:
        MissingFileError: It does not exist or cannot be read.
        InvalidInputError: It is no Keras 3 model file, or unpacks into what no model needs: members
            that lead out of it, occur twice, or are far larger than the file.
        UnsafeModelError: It holds a lambda, which would run when it is loaded.
    """
    path = Path(path)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise MissingFileError(
            f"The model file cannot be read. Received: {str(path)!r}. Name a .keras file."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist())
            with archive.open(_CONFIG) as member:
                # One byte more than it may have: what the archive says of its size may be a lie.
                config = read_json(
                    member.read(_MOST_CONFIG_BYTES + 1), most_bytes=_MOST_CONFIG_BYTES
                )
            if not isinstance(config, dict) or "class_name" not in config:
                raise ValueError("config.json describes no model")
    except _DAMAGED as error:
        raise InvalidInputError(
            f"The model is no Keras 3 file ({str(error)[:120]}). Received: {str(path)!r}. "
            "Save it by model.save('name.keras')."
        ) from None
    if not allow_unsafe and any(
        value.get("class_name") in _CODE for value in _dictionaries(config)
    ):
        raise UnsafeModelError(
            f"The model holds code (a lambda) that would run on loading. Received: {str(path)!r}. "
            "If you trust it, pass --allow-unsafe (allow_unsafe=True)."
        )


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    """Raises ValueError where unpacking would surprise."""
    if len(members) > _MOST_MEMBERS:
        raise ValueError(f"{len(members)} members")
    spellings = Counter(member.filename.casefold() for member in members)
    for member in members:
        name = member.filename
        if not _is_inside(name):
            raise ValueError(f"its member {name[:80]!r} leads out of it")
        if spellings[name.casefold()] > 1:
            raise ValueError(f"its member {name[:80]!r} occurs twice")
        if member.external_attr >> 16 & 0o170000 == _LINK:
            raise ValueError(f"its member {name[:80]!r} is a link")
        if member.flag_bits & 1:
            raise ValueError(f"its member {name[:80]!r} is encrypted")
        allowed = _FREE_BYTES + _MOST_UNFOLDING * member.compress_size
        if member.file_size > allowed or (
            name == _CONFIG and member.file_size > _MOST_CONFIG_BYTES
        ):
            raise ValueError(
                f"its member {name[:80]!r} has {member.file_size} bytes, "
                f"{member.compress_size} in the file"
            )


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not (path.is_absolute() or ".." in path.parts or {"\\", ":"} & set(name) or not name)


def _dictionaries(config: Any) -> Iterator[dict[str, Any]]:
    """Yields every dictionary in nested lists and dictionaries, however deep."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
