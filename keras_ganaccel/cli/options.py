"""Options that several commands share, and how their words become values."""

from __future__ import annotations

import inspect
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from keras_ganaccel.config import DataConfig, RunConfig, with_values
from keras_ganaccel.errors import InvalidInputError, MissingFileError

if TYPE_CHECKING:
    import keras

    from keras_ganaccel.data.labelled import LabelledData

_DATA = (
    "digits, keras:NAME, tfds:NAME, an .npz file, x.npy,y.npy, a .csv file of pixels, or a folder "
    "of class folders."
)
_SEED = "Seed of every random choice but the test split."
ValueRange = Annotated[
    str | None, typer.Option(metavar="LO,HI", help="Raw values that mean black and white.")
]
InputRange = Annotated[
    str | None, typer.Option(metavar="LO,HI", help="What the given model takes, if not 0,1.")
]
Test = Annotated[
    bool,
    typer.Option(
        "--test",
        help="Measure on the test split too: once, when nothing is left to choose.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help=_SEED)]
OptionalSeed = Annotated[int | None, typer.Option(min=0, help=_SEED)]
AllowUnsafe = Annotated[
    bool, typer.Option("--allow-unsafe", help="Load a .keras file that holds code. Trust it first.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
Strategy = Annotated[
    str | None,
    typer.Option(metavar="auto|cpu:N|mirrored|multiworker", help="Which devices to train on."),
]


@dataclass(frozen=True)
class DataOptions:
    """What every command that takes data is told about them; see `load_data`."""

    data: Annotated[str | None, typer.Option(help=_DATA)] = None
    modality: Annotated[
        str | None,
        typer.Option(metavar="image", help="What the samples are, if the source does not say so."),
    ] = None
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of labels.")] = (
        None
    )
    drop: Annotated[str | None, typer.Option(metavar="A,B,...", help="Columns to leave out.")] = (
        None
    )
    columns: Annotated[
        str | None, typer.Option(metavar="FILE.yaml", help="What columns hold, where you know it.")
    ] = None
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN|FILE",
            help="A group per row that stays in one split: a column, an .npy or a text file.",
        ),
    ] = None
    labels: Annotated[
        int | None,
        typer.Option(metavar="N", help="Rows to keep for training and validation, in all."),
    ] = None
    image_size: Annotated[
        str | None, typer.Option(metavar="N|HxW", help="Resize samples to this size.")
    ] = None
    labels_per_class: Annotated[
        int | None,
        typer.Option(metavar="N", help="Rows a class to keep for training and validation."),
    ] = None
    unlabelled: Annotated[
        str | None, typer.Option(metavar="PATH", help="Further samples, without labels.")
    ] = None
    value_range: ValueRange = None
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Leave out unreadable images and list them.")
    ] = False
    notes: list[str] = field(default_factory=list, init=False)
    """What `load` found, for the end of the command."""

    def settings(self) -> dict[str, Any]:
        """Those that were given, as settings of a run's configuration."""
        given = {
            "data.source": self.data,
            "data.modality": self.modality,
            "data.target": self.target,
            "data.drop": None if self.drop is None else parse_names(self.drop),
            "data.columns": self.columns,
            "data.groups": self.groups,
            "data.labels": self.labels,
            "data.image_size": parse_size(self.image_size),
            "data.labels_per_class": self.labels_per_class,
            "data.unlabelled": self.unlabelled,
            "data.value_range": parse_range(self.value_range, "--value-range"),
            "data.skip_corrupt": self.skip_corrupt or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def config(self) -> DataConfig:
        """Those that were given, as the data's part of a configuration."""
        return with_values(RunConfig(), self.settings()).data

    def load(self, seed: int = 0, image_size: tuple[int, int] | None = None) -> LabelledData:
        """Loads the data, and notes what was found in them.

        Args:
            seed: Seed of the draw of labelled and validation rows.
            image_size: Where none was given.
        """
        from keras_ganaccel.modality.load import load_configured

        config = self.config()
        if config.image_size is None:
            config = replace(config, image_size=image_size)
        loaded = load_configured(config, seed)
        self.notes.extend(loaded.audit.warnings)
        self.notes.extend(f"Left out: {path}" for path in loaded.audit.skipped)
        return loaded

    def assumed_range(
        self, model: keras.Model, loaded: LabelledData, given: tuple[float, float] | None
    ) -> tuple[float, float]:
        """Finds out what a user's model takes, and notes what was assumed of it.

        Args:
            model: It fits the data.
            loaded: What `load` returned.
            given: By the user.
        """
        from keras_ganaccel.classifier.assumptions import assume_on

        found = assume_on(model, loaded, input_range=given)
        self.notes.append(found.sentence)
        return found.input_range


def takes_data(default: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of `DataOptions`, in place of its parameter of that type.

    What `DataOptions.load` noted goes to the error stream once the command has done its work: where
    it fails, the line that says why stands alone.

    Args:
        default: The data where none are named.

    Returns:
        The decorator.
    """
    hints = get_type_hints(DataOptions, include_extras=True)
    ours = [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default if item.name == "data" else item.default,
            annotation=hints[item.name],
        )
        for item in fields(DataOptions)
        if item.init
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        types = get_type_hints(command, include_extras=True)
        (place,) = (name for name, kind in types.items() if kind is DataOptions)
        parameters: list[inspect.Parameter] = []
        for item in inspect.signature(command).parameters.values():
            if item.name == place:
                parameters += ours
            else:
                kind = inspect.Parameter.KEYWORD_ONLY
                parameters.append(item.replace(kind=kind, annotation=types[item.name]))

        def with_data(**values: Any) -> None:
            given = DataOptions(**{item.name: values.pop(item.name) for item in ours})
            command(**values, **{place: given})
            for note in given.notes:
                print(note, file=sys.stderr)

        with_data.__name__, with_data.__doc__ = command.__name__, command.__doc__
        with_data.__annotations__ = {item.name: item.annotation for item in parameters}
        with_data.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return with_data

    return decorate


def parse_names(text: str) -> tuple[str, ...]:
    """Reads ``A,B,...``.

    Example:
        >>> parse_names("age, job")
        ('age', 'job')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


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


def measured_splits(data: LabelledData, test: bool) -> tuple[Literal["validation", "test"], ...]:
    """Names the splits to measure on: validation while one chooses, test when it is asked for.

    Raises:
        InvalidInputError: There is none.
    """
    splits: list[Literal["validation", "test"]] = []
    if len(data.splits.validation):
        splits.append("validation")
    if test:
        splits.append("test")
    if not splits:
        raise InvalidInputError(
            "There are no validation rows to measure on. Received: "
            f"{len(data.splits.train)} training rows. Label more, or pass --test."
        )
    return tuple(splits)
