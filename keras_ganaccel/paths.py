"""Paths as people write and read them: relative to somewhere."""

from __future__ import annotations

import os

from keras_ganaccel.config import RunConfig, with_values

# What a configuration names where model or data are no files.
MEMORY = "memory"
_WORDS = ("digits", MEMORY)
_SETTINGS = (
    "data.unlabelled",
    "data.columns",
    "data.groups",
    "model.path",
    "reuse.generator",
    "reuse.pool",
    "gan.init_from",
)


def anchored(config: RunConfig, folder: str | os.PathLike[str]) -> RunConfig:
    """Makes the relative paths of a configuration absolute, where they lead to something.

    Args:
        config: The configuration.
        folder: Where its relative paths start.

    Returns:
        A copy that means the same in every working directory.
    """
    found = {"data.source": _anchored_source(config.data.source, folder)}
    for name in _SETTINGS:
        section, field = name.split(".")
        path = getattr(getattr(config, section), field)
        if isinstance(path, str):
            found[name] = _anchored(path, folder)
    return with_values(config, found)


def _anchored_source(source: str, folder: str | os.PathLike[str]) -> str:
    """A source may be a word, a path, or several paths of arrays."""
    whole = _anchored(source, folder)
    if whole != source or not source.lower().endswith(".npy"):
        return whole
    return ",".join(_anchored(part.strip(), folder) for part in source.split(","))


def _anchored(path: str, folder: str | os.PathLike[str]) -> str:
    place = os.path.normpath(os.path.join(folder, os.path.expanduser(path)))
    # A word of ours is meant even where a folder has its name.
    return place if path and path not in _WORDS and os.path.exists(place) else path
