"""Files that are never half-written: each is made beside its place and renamed into it."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from keras_ganaccel.errors import DamagedFileError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind.
    fcntl = None  # type: ignore[assignment]

_SEAL = "sha256"
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
# HDF5, TensorFlow and NumPy tell of a full disk in words of their own.
_FULL_WORDS = re.compile(
    r"no space left on device|quota exceeded|errno = (?:28|122)\b|requested and \d+ written", re.I
)


@contextmanager
def atomic_open(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a file for writing that appears under its name only when it is complete.

    Args:
        path: Where the file shall be. Its folder must exist.
        mode: ``"wb"`` or ``"w"`` (UTF-8).

    Yields:
        The open temporary file, in the same folder. After an error it is removed.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_save(path: str | os.PathLike[str], save: Callable[[Path], Any]) -> None:
    """Lets `save` write a file beside its place, with the same ending, and renames it into place.

    Args:
        path: Where the file shall be. Its folder must exist.
        save: Called with the temporary path, such as ``model.save``.
    """
    path = Path(path)
    temporary = path.with_name(f".tmp{os.getpid()}.{path.name}")
    try:
        save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_keras(path: str | os.PathLike[str], model: Any) -> None:
    """Saves a Keras model, atomically, in a file whose bytes depend on the model alone.

    Keras writes the time of day and addresses of objects into it.

    Args:
        path: The ``.keras`` file. Its folder must exist.
        model: The Keras 3 model.
    """
    path = Path(path)
    original = path.with_name(f".tmp{os.getpid()}.{path.name}")
    try:
        model.save(original)
        with (
            atomic_open(path) as file,
            zipfile.ZipFile(original) as old,
            zipfile.ZipFile(file, "w") as new,
        ):
            for name in old.namelist():
                # A ZipInfo of its own has the fixed date of 1980.
                new.writestr(zipfile.ZipInfo(name), _timeless(name, old.read(name)))
    finally:
        original.unlink(missing_ok=True)


def _timeless(name: str, content: bytes) -> bytes:
    if name not in ("metadata.json", "config.json"):
        return content
    values = json.loads(content)
    values.pop("date_saved", None)
    numbers: dict[int, int] = {}

    def numbered(key: str, value: Any) -> Any:
        if key == "shared_object_id":
            return numbers.setdefault(value, len(numbers))
        if isinstance(value, list):
            return [numbered("", item) for item in value]
        if isinstance(value, dict):
            return {inner: numbered(inner, item) for inner, item in value.items()}
        return value

    return json.dumps(numbered("", values)).encode()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, atomically; NaN and infinities are refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with atomic_open(path, "w") as file:
        file.write(text)


def shown(path: str | os.PathLike[str]) -> str:
    """Returns a path for a message: from the working directory where it lies below that.

    Example:
        >>> shown(os.path.join(os.getcwd(), "runs", "first"))
        'runs/first'
    """
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        # The working directory is gone, or the path is on another drive.
        return os.fspath(path)
    return os.fspath(path) if relative.startswith(os.pardir) else relative


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


def out_of_space(error: BaseException) -> bool:
    """Whether an error, or one that led to it, tells that the disk or a quota is full.

    Example:
        >>> out_of_space(OSError(28, "No space left on device")), out_of_space(OSError(2, "none"))
        (True, False)
    """
    return any(
        (isinstance(each, OSError) and each.errno in _FULL) or _FULL_WORDS.search(str(each))
        for each in chain_of(error)
    )


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and those that led to it, the newest first."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def free_space(path: str | os.PathLike[str]) -> str:
    """Says how much can still be written at a place that need not exist yet."""
    place = Path(os.path.abspath(path))
    while not place.exists():
        place = place.parent
    return f"{shutil.disk_usage(place).free / 1000:.0f} kB free"


@contextmanager
def lock(path: str | os.PathLike[str]) -> Iterator[bool]:
    """Holds a file as long as the block runs; a process that dies lets go of it.

    Args:
        path: The file; made if need be, and left there.

    Yields:
        False if another process, or another place of this one, holds it. Where the system or the
        disk knows no locks, nobody is kept out.
    """
    with open(path, "ab") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        except BlockingIOError:
            mine = False
        except OSError:
            mine = True
        yield mine


MOST_JSON_BYTES = 64 * 2**20


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


def sha256(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
