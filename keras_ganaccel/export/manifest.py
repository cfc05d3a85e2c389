"""The manifest of a folder: the SHA-256 of every file, so that a changed byte shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keras_ganaccel.errors import InvalidInputError, MissingFileError, VerificationError
from keras_ganaccel.files import sha256, write_json

MANIFEST = "manifest.json"


def write_manifest(folder: str | os.PathLike[str]) -> Path:
    """Writes ``manifest.json``: ``{relative path: sha256}`` of every other file, sorted.

    Args:
        folder: The folder; files in its subfolders count, too.

    Returns:
        The manifest's path.
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
        VerificationError: If a file changed, is missing, or is not in the manifest.
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
            f"The files must be those of the manifest. Received: {'; '.join(problems)}. "
            "Restore them, or write the manifest anew if the change is wanted."
        )
    return expected


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingFileError(
            f"The manifest cannot be read. Received: {path} ({error.strerror}). "
            "Give a folder with a manifest.json."
        ) from error
    except ValueError as error:
        raise InvalidInputError(
            f"The manifest must be JSON. Received: {path} ({error}). Write it anew."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise InvalidInputError(
            f"The manifest must be {{path: sha256}}. Received: {path}. Write it anew."
        )
    return content


def _digests(folder: Path) -> dict[str, str]:
    """Hashes every file but the manifest and what is being written (dot files)."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in paths)
    kept = (name for name in names if name != MANIFEST and not _hidden(name))
    return {name: sha256(folder / name) for name in sorted(kept)}


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
