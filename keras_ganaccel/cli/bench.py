"""`ganaccel bench`: the benchmarks, paired, with hardware and versions in their JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.files import write_json
from keras_ganaccel.rundir import environment

app = typer.Typer(
    help="Measure speed in pairs of runs.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("mixing", epilog="Example: ganaccel bench mixing --out mixing.json")
def mixing(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Also write the result here.")
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Fitting on a pool against fitting on real data in memory; memory by size of the pool."""
    if out is not None:
        options.check_new_file(out, ".json")
    from keras_ganaccel.benchmarks.mixing import benchmark_memory, benchmark_mixing

    found = {"fit": benchmark_mixing(), "memory": benchmark_memory()}
    _show({"environment": environment(), **found}, out, json_output)


def _show(result: dict[str, Any], out: Path | None, json_output: bool) -> None:
    if out is not None:
        write_json(out, result)
    if json_output:
        show_json(result)
        return
    for name, value in result.items():
        if name != "environment":
            print(f"{name}: {value}")
