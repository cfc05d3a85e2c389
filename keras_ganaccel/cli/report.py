"""`ganaccel report`: the report of a finished run, made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.errors import MissingFileError
from keras_ganaccel.files import shown
from keras_ganaccel.invocation import command_line
from keras_ganaccel.rundir import RunFolder

EXAMPLE = "Example: ganaccel report runs/first"


def command(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    json_output: options.Json = False,
) -> None:
    """Write report.html and report.md of a run anew from its ledger."""
    folder = RunFolder(run)
    if not (folder.path / "ledger.json").is_file():
        raise MissingFileError(
            f"The run is not finished. Received: {str(run)!r}. "
            f"Go on with: {command_line('run', '--resume', run)}"
        )
    from keras_ganaccel.report.html import write_report

    paths = write_report(folder.path)
    if json_output:
        show_json([str(path) for path in paths])
    else:
        for path in paths:
            print(shown(path))
