"""Rows of tables as sources take them: which places belong together, and what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.noise import noise_rows, uniform_rows
from keras_ganaccel.generated.statistical import (
    check_known,
    data_digest,
    rows_by_class,
    training_arrays,
)
from keras_ganaccel.seeds import derive_seed


@dataclass(frozen=True)
class RowLayout:
    """Which places of an encoded row belong together.

    Args:
        columns: For each column of the table the places that it takes in the row.
        numbers: The places that hold numbers; the others hold 0 or 1 and are only ever taken over
            from a real row, a whole column at a time.

    Raises:
        InvalidInputError: A place belongs to no column, or to two.

    Example:
        >>> import keras_ganaccel as ga
        >>> layout = ga.RowLayout(columns=((0, 2), (1,), (3, 4)), numbers=(0, 1))
        >>> layout.width, layout.owners.tolist()
        (5, [0, 1, 0, 2, 2])
    """

    columns: tuple[tuple[int, ...], ...]
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        places = sorted(place for column in self.columns for place in column)
        if places != list(range(len(places))) or not set(self.numbers) <= set(places):
            raise InvalidInputError(
                "Each place of a row must belong to one column. Received: "
                f"{self.columns!r} with the numbers {self.numbers!r}. Leave none out."
            )

    @classmethod
    def of_numbers(cls, width: int) -> RowLayout:
        """The layout of a row that holds one number for each column and nothing else."""
        return cls(tuple((place,) for place in range(width)), tuple(range(width)))

    @property
    def width(self) -> int:
        """The length of a row."""
        return sum(map(len, self.columns))

    @property
    def owners(self) -> np.ndarray:
        """The column of each place, int64 ``(width,)``."""
        owners = np.empty(self.width, np.int64)
        for number, column in enumerate(self.columns):
            owners[list(column)] = number
        return owners

    @property
    def are_numbers(self) -> np.ndarray:
        """Which places hold numbers, bool ``(width,)``."""
        mask = np.zeros(self.width, bool)
        mask[list(self.numbers)] = True
        return mask


@dataclass(frozen=True, eq=False)
class RowSource:
    """What the sources of rows share: a real row of the asked-for class, and draws for its columns.

    Args:
        x: Training rows, float32 ``(n, width)``.
        rows: Class -> its rows in `x`.
        layout: Which places belong together.
        seed: Seed of the samples.
    """

    x: np.ndarray
    rows: dict[int, np.ndarray]
    layout: RowLayout
    seed: int

    name: ClassVar[str]

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`; a label of -1 takes a row of any class.

        Returns:
            float32 ``(n, width)``.
        """
        labels = np.asarray(labels, np.int64)
        check_known(labels[labels >= 0], self.rows)
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        base = self._chosen(labels, self._uniforms(indices, 1, "base")[:, 0])
        return self._changed(base, indices).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        classes = [rows for _, rows in sorted(self.rows.items())]
        return {
            "source": self.name,
            "seed": self.seed,
            "data": data_digest(self.x, *classes, self.layout.owners, self.layout.are_numbers),
            **self._parameters(),
        }

    def _changed(self, base: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Makes samples out of real rows.

        Args:
            base: Row numbers, int64 ``(n,)``.
            indices: Numbers of the samples, int64 ``(n,)``.

        Returns:
            Shape ``(n, width)``.
        """
        raise NotImplementedError

    def _parameters(self) -> dict[str, Any]:
        """What decides the samples beside data, layout and seed."""
        raise NotImplementedError

    def _chosen(self, labels: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        chosen = (uniforms * len(self.x)).astype(np.int64)
        for label, places in rows_by_class(labels).items():
            if label >= 0:
                own = self.rows[label]
                chosen[places] = own[(uniforms[places] * len(own)).astype(np.int64)]
        return chosen

    def _uniforms(self, indices: np.ndarray, columns: int, purpose: str) -> np.ndarray:
        seed = derive_seed(self.seed, self.name, purpose)
        return uniform_rows(seed, indices, columns).numpy().astype(np.float64)

    def _normals(self, indices: np.ndarray, columns: int, purpose: str) -> np.ndarray:
        seed = derive_seed(self.seed, self.name, purpose)
        return noise_rows(seed, indices, columns).numpy().astype(np.float64)

    def _any_row(self, indices: np.ndarray, purpose: str) -> np.ndarray:
        """Per sample and column some row, int64 ``(n, columns)``."""
        uniforms = self._uniforms(indices, len(self.layout.columns), purpose)
        return (uniforms * len(self.x)).astype(np.int64)

    def _swapped(self, base: np.ndarray, swap: np.ndarray, donors: np.ndarray) -> np.ndarray:
        """Takes some columns of each row over from other rows.

        Args:
            base: Row numbers ``(n,)``.
            swap: Which columns are taken over, bool ``(n, columns)``.
            donors: From which row, ``(n, columns)``.

        Returns:
            Shape ``(n, width)``.
        """
        owners = self.layout.owners
        places = np.arange(self.layout.width)
        other = self.x[donors[:, owners], places]
        return np.where(swap[:, owners], other, self.x[base])


def fitted_rows(
    x: Any, y: Any, layout: RowLayout | None, seed: int
) -> tuple[np.ndarray, dict[int, np.ndarray], RowLayout, int]:
    """Checks what a source of rows is fitted on.

    Args:
        x: Training rows, ``(n, width)``.
        y: Their classes ``(n,)``; -1 rows are left out.
        layout: Which places belong together; None: each place is a number.
        seed: Seed of the samples.

    Returns:
        The fields of `RowSource`.

    Raises:
        InvalidInputError: They are no rows, none is labelled, or the layout is of other rows.
    """
    samples, labels = training_arrays(x, y)
    if samples.ndim != 2:
        raise InvalidInputError(
            "A source of rows needs rows (n, width). Received: samples of shape "
            f"{samples.shape[1:]}. Take a source of such samples, or flatten them."
        )
    layout = RowLayout.of_numbers(samples.shape[1]) if layout is None else layout
    if layout.width != samples.shape[1]:
        raise InvalidInputError(
            f"The layout must fit the rows. Received: {layout.width} places for rows of "
            f"{samples.shape[1]}. Take the layout of the same data."
        )
    return samples, rows_by_class(labels), layout, seed


def check_share(name: str, value: float) -> None:
    """Refuses a share outside (0, 1]."""
    if not 0.0 < value <= 1.0:
        raise InvalidInputError(f"`{name}` must be in (0, 1]. Received: {value}. Try 0.3.")
