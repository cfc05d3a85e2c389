"""Tables, as the protocol asks of every modality. Pandas is imported where a table is read."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ganaccel.data.rows import is_frame, take_rows
from keras_ganaccel.data.split import Splits
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.protocol import FrontEnd, Policy, RawData, ReadOptions, Samples

if TYPE_CHECKING:
    from keras_ganaccel.modality.table.table_spec import TableSpec

_SUFFIXES = (".csv", ".tsv", ".parquet")
_PIXEL = re.compile(r"(pixel|pix|px)?[_ -]?\d+([_x-]\d+)?", re.IGNORECASE)
_FEWEST_PIXELS = 64
_HEADER_LETTERS = 2**20


class TableModality:
    """Tables: frames, files of text, Parquet files, and those that scikit-learn comes with."""

    name = "table"
    options = frozenset({"target", "drop", "columns", "groups"})

    def claims(self, source: Any, options: ReadOptions) -> bool:
        """Takes what has a column of labels that was named, and is not plainly pixels."""
        if is_frame(source):
            return options.target is not None and not _are_pixels(list(map(str, source.columns)))
        if not isinstance(source, (str, Path)):
            return False
        suffix = Path(source).suffix.lower()
        if str(source).startswith("tables:") or suffix == ".parquet":
            return True
        named = options.target is not None
        return named and suffix in _SUFFIXES and not _are_pixels(_header(Path(source)))

    def read(self, source: Any, options: ReadOptions) -> RawData:
        """Reads a table; `RawData.details` are the options and the columns' kinds."""
        from keras_ganaccel.modality.table.column_file import read_options
        from keras_ganaccel.modality.table.kinds import type_columns
        from keras_ganaccel.modality.table.read_table import read_table

        said = read_options(
            options.columns, target=options.target, drop=options.drop, groups=options.groups
        )
        table = read_table(source, said)
        if table.labels is None:
            raise InvalidInputError(
                "A table must have a column of labels. Received: no target. Name it: target='...' "
                "(--target)."
            )
        typed, notes = type_columns(table.frame, said)
        return RawData(
            table.name,
            table.frame,
            table.labels,
            groups=table.groups,
            details=(said, typed, str(table.labels.name)),
            notes=table.notes + notes,
        )

    def fit(
        self, raw: RawData, class_names: tuple[str, ...], splits: Splits, options: ReadOptions
    ) -> tuple[TableSpec, tuple[str, ...]]:
        """Fits the encoding on the training rows."""
        from keras_ganaccel.data.labels import encode_labels
        from keras_ganaccel.modality.table.fit_table import fit_table

        said, typed, target = raw.details
        y = encode_labels(raw.labels).codes[splits.train]
        frame = take_rows(raw.x, splits.train)
        return fit_table(frame, typed, y, class_names, target=target, numbers=said.numbers)

    def findings(self, x: Any, rows: np.ndarray, spec: TableSpec) -> list[str]:
        """Nothing: what is odd about columns is found when they are typed and fitted."""
        return []

    def read_samples(
        self, source: Any, spec: TableSpec, *, skip_corrupt: bool = False, name: str = "samples"
    ) -> Samples:
        """Reads rows without labels: a frame, or a file as `load_data` takes it."""
        from keras_ganaccel.modality.table.read_table import read_rows

        frame, notes = read_rows(source, spec)
        return Samples(frame, tuple(map(str, range(len(frame)))), notes=notes)

    def spec_from_dict(self, values: Mapping[str, Any]) -> TableSpec:
        """Makes a `TableSpec` of its values."""
        from keras_ganaccel.modality.table.table_spec import TableSpec

        return TableSpec.from_dict(values)

    def relax(self, encoded: Any, spec: TableSpec | None = None) -> Any:
        """Maps numbers to [-1, 1]; flags and spans lie in [0, 1] as they are."""
        return encoded * _relaxation(spec)

    def harden(self, relaxed: Any, spec: TableSpec | None = None) -> Any:
        """Maps relaxed rows to the nearest valid encoded ones; see `TableSpec.harden`."""
        factors = _relaxation(spec)
        assert spec is not None
        if isinstance(relaxed, np.ndarray):
            return spec.harden(relaxed / factors)
        import tensorflow as tf

        hard = tf.numpy_function(spec.harden, [relaxed / factors], tf.float32, stateful=False)
        return tf.ensure_shape(hard, relaxed.shape)

    def rows(self, encoded: np.ndarray) -> np.ndarray:
        """Returns encoded rows as they are; `TableSpec.ordinal` has a shorter form for trees."""
        return encoded

    def front_end(self, spec: TableSpec) -> FrontEnd:
        """Returns what leads from typed values to an encoded row on a device."""
        from keras_ganaccel.modality.table.front_end import TableFrontEnd

        return TableFrontEnd(spec)

    @property
    def encoded_range(self) -> None:
        """None: flags and spans lie in [0, 1], numbers in a wider range."""
        return None

    def picture(
        self, encoded: np.ndarray, labels: np.ndarray, class_names: Sequence[str] | None = None
    ) -> None:
        """Returns None: rows are compared by figures."""

    def row_layout(self, spec: TableSpec) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
        """Returns the places of each column, and those of numbers."""
        columns = tuple(tuple(places.tolist()) for places in spec.places)
        return columns, tuple(range(spec.numbers.start, spec.numbers.stop))

    def facts(self, spec: TableSpec) -> dict[str, Any]:
        """The columns that are inputs, and their kinds."""
        columns = spec.to_dict()["columns"]
        return {"columns": {column["name"]: column["kind"] for column in columns}}

    def input_ranges(self, spec: TableSpec) -> tuple[tuple[float, float], ...]:
        """[0, 1] alone, which leaves encoded rows as they are."""
        return ((0.0, 1.0),)

    @property
    def policies(self) -> Mapping[str, Policy]:
        """None: there is no change of a row that is known to keep its class."""
        return {}

    @property
    def game_policies(self) -> Mapping[str, Policy]:
        """None."""
        return {}

    @property
    def generators(self) -> tuple[str, ...]:
        """None yet: rows are made from real ones by the sources."""
        return ()

    @property
    def discriminators(self) -> tuple[str, ...]:
        """None, as of generators."""
        return ()

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The network of dense layers; ``"mlp"`` is another name of it."""
        return ("table_mlp", "mlp")

    def build_generator(
        self, spec: TableSpec, latent_dim: int, architecture: str, **options: Any
    ) -> Any:
        """Refuses: there are none."""
        raise _no_network("generator", architecture)

    def build_discriminator(self, spec: TableSpec, architecture: str, **options: Any) -> Any:
        """Refuses: there are none."""
        raise _no_network("discriminator", architecture)

    def build_classifier(
        self, spec: TableSpec, architecture: str, size: str, **options: Any
    ) -> Any:
        """See `classifiers.build_table_classifier`."""
        from keras_ganaccel.modality.table.classifiers import build_table_classifier

        name = "table_mlp" if architecture == "mlp" else architecture
        return build_table_classifier(spec, name, size, **options)


TABLE = TableModality()


def _no_network(kind: str, architecture: str) -> InvalidInputError:
    return InvalidInputError(
        f"Tables have no {kind} of ours. Received: {architecture!r}. Give a network of your own."
    )


def _relaxation(spec: TableSpec | None) -> np.ndarray:
    from keras_ganaccel.modality.table.curve import LIMIT

    if spec is None:
        raise InvalidInputError(
            "The rows of a table are relaxed and hardened by their specification. Received: none. "
            "Pass spec=data.spec."
        )
    factors = np.ones(spec.sample_shape, np.float32)
    factors[spec.numbers] = 1 / LIMIT
    return factors


def _header(path: Path) -> list[str]:
    """The cells of a file's first line, cut at the delimiter that cuts it most."""
    try:
        with open(path.expanduser(), encoding="utf-8-sig", errors="replace") as file:
            line = file.readline(_HEADER_LETTERS)
        return max((next(csv.reader([line], delimiter=mark), []) for mark in ",;\t"), key=len)
    except (OSError, csv.Error):
        return []


def _are_pixels(columns: Sequence[str]) -> bool:
    """Whether columns are those of square pictures, but for the label's."""
    pixels = sum(_PIXEL.fullmatch(column.strip()) is not None for column in columns)
    others = len(columns) - pixels
    return pixels >= _FEWEST_PIXELS and others <= 1 and round(pixels**0.5) ** 2 == pixels
