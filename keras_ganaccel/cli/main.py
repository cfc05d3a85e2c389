"""The entry point: `ganaccel` and `python -m keras_ganaccel`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from keras_ganaccel import onednn
from keras_ganaccel.cli import (
    bench,
    classifier,
    compress,
    doctor,
    export,
    gan,
    predict,
    report,
    run,
    verify,
)
from keras_ganaccel.cli.terminal import prepare_terminal, show_error, silence_python_libraries
from keras_ganaccel.disk_space import out_of_space
from keras_ganaccel.errors import GanAccelError
from keras_ganaccel.version import __version__

# Some versions of Typer carry a click of their own; its errors are those that count.
_UsageError: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "UsageError")

app = typer.Typer(
    name="ganaccel",
    help="From labelled data to the most accurate small Keras model, exported and verified.",
    epilog="Example: ganaccel run --preset quick --out runs/first",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", epilog=run.EXAMPLE)(run.command)
app.add_typer(gan.app, name="gan")
app.add_typer(classifier.app, name="classifier")
app.command("compress", epilog=compress.EXAMPLE)(compress.command)
app.command("export", epilog=export.EXAMPLE)(export.command)
app.command("verify", epilog=verify.EXAMPLE)(verify.command)
app.command("predict", epilog=predict.EXAMPLE)(predict.command)
app.command("report", epilog=report.EXAMPLE)(report.command)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.command)
app.add_typer(bench.app, name="bench")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"ganaccel {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """From labelled data to the most accurate small Keras model, exported and verified."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code.

    0 done, 1 a run or a verification failed, 2 bad input, 130 interrupted.

    Args:
        arguments: The words after `ganaccel`; those of the process by default.
    """
    onednn.prefer()
    prepare_terminal()
    silence_python_libraries()
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    try:
        code = _command(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except GanAccelError as error:
        show_error(str(error))
        return error.exit_code
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error)
        else:
            show_error(error.format_message())
        return 2
    except (KeyboardInterrupt, typer.Abort) as interrupt:
        show_error(str(interrupt) or "Interrupted.")
        return 130
    except BrokenPipeError:
        sys.stdout = None  # nothing is left to flush to
        return 1
    except MemoryError as error:
        show_error(f"The memory does not suffice. Received: {error or 'no details'}. Free some.")
        return 1
    except Exception as error:
        if out_of_space(error):
            show_error(f"The disk is full. Received: {error}. Make space, and start again.")
        elif isinstance(error, OSError):
            show_error(f"A file could not be written or read. Received: {error}. Mend that.")
        else:
            raise
        return 1


def _command(arguments: list[str]) -> int:
    """Runs the command; without click's own `main`, which ends broken pipes and interrupts."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("ganaccel", arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0
