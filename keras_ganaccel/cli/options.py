"""Options that several commands share, and how their words become values."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from keras_ganaccel.errors import InvalidInputError, MissingFileError

Data = Annotated[
    str,
    typer.Option(
        help="digits, keras:NAME, tfds:NAME, an .npz file, x.npy,y.npy, or a folder of class "
        "folders.",
    ),
]
ImageSize = Annotated[
    str | None, typer.Option(metavar="N|HxW", help="Resize samples to this size.")
]
LabelsPerClass = Annotated[
    int | None, typer.Option(metavar="N", help="Rows a class to keep for training and validation.")
]
ValueRange = Annotated[
    str | None, typer.Option(metavar="LO,HI", help="Raw values that mean black and white.")
]
InputRange = Annotated[
    str | None, typer.Option(metavar="LO,HI", help="What the given model takes, if not 0,1.")
]
SkipCorrupt = Annotated[
    bool, typer.Option("--skip-corrupt", help="Leave out unreadable images and list them.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of every random choice but the test split.")]
OptionalSeed = Annotated[
    int | None, typer.Option(min=0, help="Of every random choice but the test split.")
]
AllowUnsafe = Annotated[
    bool, typer.Option("--allow-unsafe", help="Load a .keras file that holds code. Trust it first.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
Strategy = Annotated[
    str | None,
    typer.Option(metavar="auto|cpu:N|mirrored|multiworker", help="Which devices to train on."),
]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Reads ``N`` or ``HxW``.

    Example:
        >>> parse_size("32"), parse_size("24x32"), parse_size(None)
        ((32, 32), (24, 32), None)
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if not match:
        raise InvalidInputError(
            f"`--image-size` must be N or HxW. Received: {text!r}. Write for example 32 or 24x32."
        )
    height = int(match[1])
    return height, int(match[2] or height)


def parse_range(text: str | None, option: str) -> tuple[float, float] | None:
    """Reads ``LO,HI``.

    Example:
        >>> parse_range("-1,1", "--input-range")
        (-1.0, 1.0)
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not -math.inf < low < high < math.inf:
        raise InvalidInputError(
            f"`{option}` must be LO,HI with LO below HI. Received: {text!r}. "
            "Write for example 0,255."
        )
    return low, high


def existing(path: Path, what: str) -> Path:
    """Checks that a file or folder that was named exists.

    Raises:
        MissingFileError: It does not.
    """
    if not path.exists():
        raise MissingFileError(f"{what} does not exist. Received: {str(path)!r}. Check the path.")
    return path


def check_new_file(path: Path, *suffixes: str) -> None:
    """Checks that a file can be written there, and that its ending is one that fits.

    Raises:
        InvalidInputError: The ending is another, or the folder does not exist or is not writable.
    """
    if suffixes and path.suffix not in suffixes:
        raise InvalidInputError(
            f"`--out` must end in {' or '.join(suffixes)}. Received: {str(path)!r}. Rename it."
        )
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK) or path.is_dir():
        raise InvalidInputError(
            f"`--out` cannot be written. Received: {str(path)!r}. "
            "Name a file in a folder that exists."
        )
