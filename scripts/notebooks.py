"""Runs the notebooks from their sources: `--check` in a scratch folder, `--write` keeps outputs.

Each notebook runs with a fresh kernel in a folder that holds nothing but the published evidence,
so that none depends on what another one or an earlier run left behind.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SECONDS = 600


def execute(path: Path) -> nbformat.NotebookNode:
    """Runs every cell and returns the notebook with its new outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(FOLDER / "evidence", Path(scratch) / "evidence")
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": scratch}},
        )
        client.execute()
        # Paths as a reader's own would be, below the folder that the notebook runs in.
        text = nbformat.writes(notebook).replace(f"{scratch}/", "")
        notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of them if none is named")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="run and change nothing")
    mode.add_argument("--write", action="store_true", help="run and keep the outputs")
    arguments = parser.parse_args()
    failures = 0
    for path in arguments.notebooks or sorted(FOLDER.glob("*.ipynb")):
        began = time.monotonic()
        try:
            notebook = execute(path)
        except CellExecutionError as error:
            print(f"{path.name}: FAILED\n{error}")
            failures += 1
            continue
        if arguments.write:
            nbformat.write(notebook, path)
        print(f"{path.name}: ok, {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
