"""The measured cells of a benchmark: one row each in a CSV, so that none is measured twice."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.files import atomic_open


class CellFile:
    """A CSV whose rows are known by some of their columns.

    Args:
        path: The file; it is made with the first row. Its rows are taken up if it exists.
        keys: The columns that tell rows apart.

    Raises:
        InvalidInputError: The file has not these columns.
    """

    def __init__(self, path: Path, keys: tuple[str, ...]) -> None:
        self.path = path
        self.keys = keys
        #: All rows as text, in the order in which they were measured.
        self.rows = self._read()
        if self.rows and not set(keys) <= set(self.rows[0]):
            raise InvalidInputError(
                f"The measurements cannot be continued. Received: {str(path)!r} without the "
                f"columns {', '.join(keys)}. Name another folder."
            )

    def find(self, **key: Any) -> dict[str, str] | None:
        """Returns the row of a cell, or None if it has not been measured."""
        wanted = {name: str(key[name]) for name in self.keys}
        for row in self.rows:
            if wanted.items() <= row.items():
                return row
        return None

    def _read(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row and writes the file anew, whole or not at all.

        What another process has added in the meantime is kept.
        """
        self.rows = [*self._read(), {name: _text(value) for name, value in row.items()}]
        columns = list(dict.fromkeys(name for each in self.rows for name in each))
        with atomic_open(self.path, "w") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
