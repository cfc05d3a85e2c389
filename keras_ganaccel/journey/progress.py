"""Tells a person how far a run is: a live display on a terminal or notebook, plain lines else."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """What a stage reports to. All of it is for people; no result depends on it.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> class Names:
        ...     def start(self, stage, index, count):
        ...         print(f"{index}. {stage}")
        ...     def advance(self, done, total):
        ...         pass
        ...     def finish(self, stage, summary):
        ...         pass
        ...     def note(self, text):
        ...         pass
        ...     def close(self):
        ...         pass
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     options = {"out": f"{folder}/run", "only": ["data"], "progress": Names()}
        ...     result = ga.accelerate(data="digits", config=ga.preset("quick"), **options)
        1. data
    """

    def start(self, stage: str, index: int, count: int) -> None:
        """Stage number `index` (from 1) of `count` begins."""

    def advance(self, done: int, total: int) -> None:
        """So much of the running stage's work is done."""

    def finish(self, stage: str, summary: str) -> None:
        """The stage is done; `summary` is its outcome in a few words."""

    def note(self, text: str) -> None:
        """Something that a person should know."""

    def close(self) -> None:
        """Nothing more will come."""


class Silent:
    """Reports nothing."""

    def start(self, stage: str, index: int, count: int) -> None:
        """Ignores it."""

    def advance(self, done: int, total: int) -> None:
        """Ignores it."""

    def finish(self, stage: str, summary: str) -> None:
        """Ignores it."""

    def note(self, text: str) -> None:
        """Ignores it."""

    def close(self) -> None:
        """Does nothing."""


class Lines:
    """Writes one plain line per stage, for pipes and log files.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = 0.0
        self._position = ""

    def start(self, stage: str, index: int, count: int) -> None:
        """Remembers when the stage began."""
        self._began = time.monotonic()
        self._position = f"[{index}/{count}]"

    def advance(self, done: int, total: int) -> None:
        """Writes nothing: a log wants no bars."""

    def finish(self, stage: str, summary: str) -> None:
        """Writes the stage, its seconds and its outcome."""
        seconds = time.monotonic() - self._began
        self._write(f"{self._position} {stage:<12} {seconds:6.1f} s  {summary}")

    def note(self, text: str) -> None:
        """Writes the text as a line."""
        self._write(text)

    def close(self) -> None:
        """Does nothing: every line is complete."""

    def _write(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Live:
    """Shows a bar with the time left for the running stage, above it the finished ones.

    Args:
        console: A terminal or a notebook.
    """

    def __init__(self, console: Console) -> None:
        self._lines = Lines(console)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: Any = None

    def start(self, stage: str, index: int, count: int) -> None:
        """Shows a new bar."""
        self._lines.start(stage, index, count)
        self._bar.start()
        self._task = self._bar.add_task(
            f"[{index}/{count}] {stage}".replace("[", r"\["), total=None
        )

    def advance(self, done: int, total: int) -> None:
        """Moves the bar."""
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def finish(self, stage: str, summary: str) -> None:
        """Replaces the bar by the stage's line."""
        self.close()
        self._lines.finish(stage, summary)

    def note(self, text: str) -> None:
        """Writes the text above the bar."""
        self._lines.note(text)

    def close(self) -> None:
        """Takes the bar away."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._bar.stop()


def make_progress(console: Console | None = None) -> Progress:
    """Chooses the display that fits where the output goes.

    Args:
        console: Where to; standard output by default.
    """
    console = console or Console()
    if console.is_jupyter and find_spec("ipywidgets") is None:
        # A bar in a notebook needs widgets; plain text also stays readable in the saved file.
        return Lines(Console(force_jupyter=False))
    live = console.is_terminal or console.is_jupyter
    return Live(console) if live else Lines(console)
