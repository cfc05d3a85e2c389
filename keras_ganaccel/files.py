"""Files that are never half-written: each is made beside its place and renamed into it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind.
    fcntl = None  # type: ignore[assignment]


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


def read_bytes(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """Reads a plain file of a size that it may have.

    Raises:
        OSError: It cannot be read, is no plain file (of a pipe, nobody knows when it ends), or is
            larger.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "no file")
    if path.stat().st_size > most_bytes:
        raise OSError(errno.EFBIG, f"{path.stat().st_size} bytes")
    return path.read_bytes()


def sha256(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
