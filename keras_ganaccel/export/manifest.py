"""The manifest of a folder: the SHA-256 of every file, so that a changed byte shows."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from keras_ganaccel.errors import InvalidInputError, MissingFileError, VerificationError
from keras_ganaccel.files import read_bytes, sha256
from keras_ganaccel.json_files import read_json, write_json

MANIFEST = "manifest.json"

_MOST_BYTES = 2**24
_MOST_FILE_BYTES = 2**36
_NAMED = 8
_DIGEST = re.compile(r"[0-9a-f]{64}")
# What version control and file managers keep beside a folder's own files.
_FOREIGN = frozenset({".git", ".gitattributes", ".gitignore", ".DS_Store"})


def write_manifest(folder: str | os.PathLike[str]) -> Path:
    """Writes ``manifest.json``: ``{relative path: sha256}`` of every other file, sorted.

    Args:
        folder: The folder; files in its subfolders count, too.

    Returns:
        The manifest's path.

    Raises:
        VerificationError: If the folder holds links, or names that differ only by case.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = pathlib.Path(folder, "student.tflite").write_bytes(b"some bytes")
        ...     ga.write_manifest(folder).name
        'manifest.json'
    """
    folder = Path(folder)
    write_json(folder / MANIFEST, _digests(folder))
    return folder / MANIFEST


def check_manifest(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Compares a folder with its manifest.

    Args:
        folder: A folder with a ``manifest.json``.

    Returns:
        The manifest, ``{relative path: sha256}``.

    Raises:
        MissingFileError: If there is no manifest.
        InvalidInputError: If it is no manifest.
        VerificationError: If a file changed, is missing, or is not in the manifest, or if the
            folder holds what no manifest can answer for: links, devices, names that some file
            systems take for one.

    Example:
        >>> import keras_ganaccel as ga
        >>> import pathlib
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = pathlib.Path(folder, "student.tflite").write_bytes(b"some bytes")
        ...     manifest = ga.write_manifest(folder)
        ...     list(ga.check_manifest(folder))
        ['student.tflite']
    """
    folder = Path(folder)
    expected = _read(folder / MANIFEST)
    found = _digests(folder)
    problems = [
        *(
            f"{name} has changed"
            for name in sorted(expected.keys() & found.keys())
            if expected[name] != found[name]
        ),
        *(f"{name} is missing" for name in sorted(expected.keys() - found.keys())),
        *(f"{name} is not in the manifest" for name in sorted(found.keys() - expected.keys())),
    ]
    if problems:
        raise VerificationError(
            f"The files must be those of the manifest. Received: {_some(problems)}. "
            "Restore them, or write the manifest anew if the change is wanted."
        )
    return expected


def _read(path: Path) -> dict[str, str]:
    try:
        content = read_json(read_bytes(path, _MOST_BYTES))
    except OSError as error:
        raise MissingFileError(
            f"The manifest cannot be read. Received: {path} ({error.strerror}). "
            "Give a folder with a manifest.json."
        ) from error
    except ValueError as error:
        raise InvalidInputError(
            f"The manifest must be JSON. Received: {path} ({error}). Write it anew."
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in content.values()
    ):
        raise InvalidInputError(
            f"The manifest must be {{path: sha256}}. Received: {path}. Write it anew."
        )
    outside = [name for name in content if not _is_plain(name)]
    if outside:
        raise InvalidInputError(
            "The manifest's paths must be relative, inside of its folder, and spelt in one way. "
            f"Received: {_some(map(repr, outside))}. Write it anew."
        )
    return content


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        name.isprintable()
        and not {"\\", ":"} & set(name)
        and not path.is_absolute()
        and ".." not in path.parts
        and path.as_posix() == name != "."
    )


def _digests(folder: Path) -> dict[str, str]:
    """Hashes every file but the manifest, and refuses what no hash can stand for."""
    names = sorted(_names(folder))
    spellings = Counter(map(_spelling, names))
    alike = [name for name in names if spellings[_spelling(name)] > 1]
    if alike:
        raise VerificationError(
            "The names of the files must differ by more than case and accents' form: some file "
            f"systems take them for one. Received: {_some(alike)}. Rename them."
        )
    huge = [name for name in names if (folder / name).stat().st_size > _MOST_FILE_BYTES]
    if huge:
        raise VerificationError(
            f"No file of a manifest may have more than {_MOST_FILE_BYTES >> 30} GB, which takes "
            f"minutes to look through. Received: {_some(huge)}. Keep it elsewhere."
        )
    return {name: sha256(folder / name) for name in names if name != MANIFEST}


def _spelling(name: str) -> str:
    """What a file system that is blind to case, or to how accents are written, takes it for."""
    return unicodedata.normalize("NFC", name).casefold()


def _names(folder: Path) -> Iterable[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_passed_over(name)]
        for name in (*folders, *files):
            path = Path(place, name)
            regular = path.is_file() or path.is_dir()
            if (path.is_symlink() or not regular) and not _is_passed_over(name):
                raise VerificationError(
                    "A manifest is of plain files: what a link or device leads to can change "
                    f"behind its back. Received: {path.relative_to(folder)}. Put a copy there."
                )
        for name in files:
            if not _is_passed_over(name):
                yield Path(place, name).relative_to(folder).as_posix()


def _is_passed_over(name: str) -> bool:
    """Whether this is being written (see `atomic_open`), or belongs to a tool beside the files."""
    being_written = name.startswith(".tmp") or (name.startswith(".") and name.endswith(".tmp"))
    return being_written or name in _FOREIGN


def _some(problems: Iterable[str]) -> str:
    listed = list(problems)
    more = f"; and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return "; ".join(listed[:_NAMED]) + more
