"""How a file of a table is written: its encoding, its delimiter and its decimal mark."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keras_ganaccel.data.labels import named
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.modality.table.column_file import TableOptions

MOST_COLUMNS = 10_000

_DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 2**20
# A million columns of thirty letters fit; what is longer is no header.
_LONGEST_LINE = 2**25
_PROBED_ROWS = 50
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+")
_POINT_NUMBER = re.compile(r"[-+]?\d+\.\d+")


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Args:
        encoding: As Python names it.
        delimiter: What separates its cells.
        decimal: The decimal mark.
        columns: The names of its columns.
        notes: What was assumed, a sentence each.
    """

    encoding: str
    delimiter: str
    decimal: str
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_dialect(path: Path, options: TableOptions) -> Dialect:
    """Finds out how a file is written, and goes through all of its rows once.

    Args:
        path: The file.
        options: What the user says of it.

    Returns:
        The dialect.

    Raises:
        InvalidInputError: If it is no text, has no rows or too many columns, if the names of its
            columns are missing or stand twice, or a row is longer or shorter than the others or
            wrongly quoted; the message names the line.
    """
    encoding, notes = _find_encoding(path, options.encoding)
    with open(path, encoding=encoding, newline="") as file:
        first = file.readline(_LONGEST_LINE)
        _check_first_line(first, path)
        file.seek(0)
        lines = [line for _, line in zip(range(_PROBED_ROWS), file, strict=False)]
    delimiter = options.delimiter or _find_delimiter(lines, path, options)
    with open(path, encoding=encoding, newline="") as file:
        rows = _rows(file, delimiter, path)
        header = tuple(cell.strip() for cell in next(rows, (1, []))[1])
        check_names(header, f"The file {path.name!r}")
        _check_header(header, path)
        probe = _check_rows(rows, header, path)
    decimal = options.decimal
    if decimal is None:
        decimal = "," if delimiter != "," and _has_decimal_commas(probe) else "."
        if decimal == ",":
            notes += ("Numbers were read with decimal commas.",)
    return Dialect(encoding, delimiter, decimal, header, notes)


def check_names(names: Sequence[str], where: str) -> None:
    """Makes sure that columns can be told apart by their names.

    Raises:
        InvalidInputError: If there are too many, or a name is missing or stands twice.
    """
    if len(names) > MOST_COLUMNS:
        raise InvalidInputError(
            f"{where} must have at most {MOST_COLUMNS} columns. Received: {len(names)}. "
            "Choose those that matter."
        )
    unnamed = [str(place + 1) for place, name in enumerate(names) if not name.strip()]
    if unnamed:
        raise InvalidInputError(
            f"{where} must name every column. Received: no name for column "
            f"{', '.join(unnamed[:5])} of {len(names)}. Name it; row numbers of pandas are left "
            "out by to_csv(index=False)."
        )
    if len(set(names)) < len(names):
        twice = list(dict.fromkeys(name for name in names if names.count(name) > 1))
        raise InvalidInputError(
            f"{where} must name each column differently. Received: {named(twice)} more than once. "
            "Rename or remove one."
        )


def _find_encoding(path: Path, given: str | None) -> tuple[str, tuple[str, ...]]:
    """The encoding of a file, of which every byte fits."""
    if given is not None:
        try:
            codecs.lookup(given)
        except LookupError:
            raise InvalidInputError(
                f"`encoding` is not known. Received: {given!r}. "
                + nearest(given, ("utf-8", "utf-16", "latin-1", "cp1252"))
            ) from None
        if not _decodes(path, given):
            raise InvalidInputError(
                f"{path.name!r} must be in the encoding that was named. Received: {given!r}. "
                "Leave it out to have it found."
            )
        return given, ()
    with open(path, "rb") as file:
        start = file.read(_CHUNK)
    if not start.strip():
        raise InvalidInputError(
            f"A table must have rows. Received: the empty file {path.name!r}. Check the path."
        )
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding, ()
    if b"\0" in start:
        raise InvalidInputError(
            f"A table must be text. Received: bytes that are none in {path.name!r}. "
            "Save it as UTF-8, or name `encoding` in the file of columns."
        )
    if _decodes(path, "utf-8"):
        return "utf-8", ()
    found = "cp1252" if _decodes(path, "cp1252") else "latin-1"
    note = f"{path.name!r} is not UTF-8 and was read as {found}."
    return found, (note,)


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with open(path, encoding=encoding, newline="") as file:
            while file.read(_CHUNK):
                pass
    except (UnicodeError, ValueError):
        return False
    return True


def _check_first_line(line: str, path: Path) -> None:
    most = max(line.count(delimiter) for delimiter in _DELIMITERS) + 1
    if most > MOST_COLUMNS:
        raise InvalidInputError(
            f"The file {path.name!r} must have at most {MOST_COLUMNS} columns. Received: {most}. "
            "Choose those that matter."
        )
    if len(line) >= _LONGEST_LINE:
        raise InvalidInputError(
            f"The first line of {path.name!r} must name the columns. Received: a line of more than "
            f"{_LONGEST_LINE} letters. Check that it is a table."
        )


def _find_delimiter(lines: list[str], path: Path, options: TableOptions) -> str:
    """The delimiter that cuts the most lines into as many cells as the first one has."""

    def fits(delimiter: str) -> tuple[float, int]:
        try:
            rows = [
                row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if row
            ]
        except csv.Error:
            return 0.0, 0
        cells = len(rows[0]) if rows else 0
        alike = sum(len(row) == cells for row in rows) / max(len(rows), 1)
        return (alike, cells) if cells > 1 else (0.0, cells)

    scores = {delimiter: fits(delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: scores[delimiter])
    # The header decides where the rows are too ragged for any.
    if scores[best][0] < 0.5:
        best = max(_DELIMITERS, key=lambda delimiter: lines[0].count(delimiter) if lines else 0)
    if best not in lines[0] and options.target is None:
        # Rows of one column, to be predicted.
        return best
    if best not in lines[0]:
        raise InvalidInputError(
            "A table must have a column for the target and at least one more. Received: one "
            f"column in {path.name!r}. Separate cells by a comma, semicolon or tab, or name "
            "`delimiter` in the file of columns."
        )
    return best


def _rows(file: IO[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line it begins in; wrong quotes are refused."""
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        open_end = reader.line_num > line or "unexpected end" in str(error)
        what = "a quotation mark that is not closed" if open_end else "letters beside the quotation"
        raise InvalidInputError(
            f"The cells of {path.name!r} must be quoted rightly. Received: {what} in the row that "
            f"begins in line {line}. Double the quotation marks inside of a cell."
        ) from None


def _check_header(header: tuple[str, ...], path: Path) -> None:
    if all(re.fullmatch(r"[-+]?[\d.,]+(e[-+]?\d+)?", name) for name in header):
        raise InvalidInputError(
            f"The first line of {path.name!r} must name the columns. Received: numbers, "
            f"{named(header, most=3)}. Put a line of names before it."
        )


def _check_rows(
    rows: Iterator[tuple[int, list[str]]], header: tuple[str, ...], path: Path
) -> list[list[str]]:
    """Makes sure that every row is as long as the header; returns the first few."""
    probe: list[list[str]] = []
    for line, row in rows:
        if len(row) != len(header):
            raise InvalidInputError(
                f"Every row of {path.name!r} must have {len(header)} cells, as the first line has. "
                f"Received: {len(row)} in line {line}. Correct it; cells that hold the delimiter "
                "need quotation marks."
            )
        if len(probe) < _PROBED_ROWS:
            probe.append(row)
    if not probe:
        raise InvalidInputError(
            f"A table must have rows. Received: only the names of columns in {path.name!r}. "
            "Check the path."
        )
    return probe


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    cells = [cell.strip() for row in rows for cell in row]
    commas = any(_COMMA_NUMBER.fullmatch(cell) for cell in cells)
    return commas and not any(_POINT_NUMBER.fullmatch(cell) for cell in cells)
