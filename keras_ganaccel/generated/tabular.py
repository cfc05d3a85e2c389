"""Cheap sources of table rows: what a generator of rows has to beat to have earned its time.

All of them take rows in encoded form, float32 ``(n, width)``, and start from a real row: what they
make is valid column by column, and the teacher names its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.neighbors import NearestNeighbors

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.generated.row_source import RowLayout, RowSource, check_share, fitted_rows
from keras_ganaccel.generated.statistical import data_digest
from keras_ganaccel.seeds import derive_seed

# Rows that neighbours and donors are looked for among: their search costs rows times samples.
_MOST_CANDIDATES = 2000
# Numbers that a search for donors holds at a time.
_BLOCK_NUMBERS = 2**22


@dataclass(frozen=True, eq=False)
class NoisyRows(RowSource):
    """Real rows with normal noise on their numbers; some other columns are drawn anew.

    Args:
        scale: Standard deviation of the noise, in standard deviations of the column.
        swap: Share of the columns without numbers that take another row's value.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
        >>> ga.NoisyRows.fit(x, y).sample(np.array([0, 1, -1]), 0).shape
        (3, 4)
    """

    scale: float
    swap: float

    name: ClassVar[str] = "noise"

    @classmethod
    def fit(
        cls,
        x: Any,
        y: Any,
        *,
        layout: RowLayout | None = None,
        scale: float = 0.3,
        swap: float = 0.1,
        seed: int = 0,
    ) -> NoisyRows:
        """Keeps the rows.

        Args:
            x: Training rows, ``(n, width)``.
            y: Their classes ``(n,)``; -1 rows are left out.
            layout: Which places belong together; None: each place is a number.
            scale: Above 0.
            swap: In (0, 1].
            seed: Seed of the samples.
        """
        if not 0.0 < scale < float("inf"):
            raise InvalidInputError(f"`scale` must be above 0. Received: {scale}. Try 0.3.")
        check_share("swap", swap)
        return cls(*fitted_rows(x, y, layout, seed), scale, swap)

    def _changed(self, base: np.ndarray, indices: np.ndarray) -> np.ndarray:
        numbers = self.layout.are_numbers
        numeric = np.array([numbers[list(column)].any() for column in self.layout.columns])
        swap = self._uniforms(indices, len(numeric), "swap") < self.swap
        rows = self._swapped(base, swap & ~numeric, self._any_row(indices, "donors"))
        noise = self._normals(indices, self.layout.width, "noise")
        noisy = rows + noise * (self.scale * self.x.std(axis=0, dtype=np.float64))
        bounded = np.clip(noisy, self.x.min(axis=0), self.x.max(axis=0))
        return np.where(numbers, bounded, rows)

    def _parameters(self) -> dict[str, Any]:
        return {"scale": self.scale, "swap": self.swap}


@dataclass(frozen=True, eq=False)
class Spunge(RowSource):
    """Real rows with some columns drawn anew, each from a row of its own.

    The way in which AutoGluon enlarges what it distils on: columns keep their distributions, and
    lose what ties them together where they are drawn anew (Fakoor et al., 2020, arXiv 2006.14284,
    discuss it beside better ones).

    Args:
        share: Share of the columns that are drawn anew.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
        >>> rows = ga.Spunge.fit(x, y).sample(np.array([0, 1, -1]), 0)
        >>> bool(np.isin(rows[:, 0], np.float32(x[:, 0])).all())
        True
    """

    share: float

    name: ClassVar[str] = "spunge"

    @classmethod
    def fit(
        cls,
        x: Any,
        y: Any,
        *,
        layout: RowLayout | None = None,
        share: float = 0.3,
        seed: int = 0,
    ) -> Spunge:
        """Keeps the rows; see `NoisyRows.fit`.

        Args:
            x: Training rows, ``(n, width)``.
            y: Their classes ``(n,)``; -1 rows are left out.
            layout: Which places belong together; None: each place is a number.
            share: In (0, 1].
            seed: Seed of the samples.
        """
        check_share("share", share)
        return cls(*fitted_rows(x, y, layout, seed), share)

    def _changed(self, base: np.ndarray, indices: np.ndarray) -> np.ndarray:
        swap = self._uniforms(indices, len(self.layout.columns), "swap") < self.share
        return self._swapped(base, swap, self._any_row(indices, "donors"))

    def _parameters(self) -> dict[str, Any]:
        return {"share": self.share}


@dataclass(frozen=True, eq=False)
class Munge(RowSource):
    """Real rows with some columns moved towards their nearest neighbour.

    After Bucila et al., 2006, "Model Compression": a number is drawn around the neighbour's, with
    their distance as the standard deviation; another column is the neighbour's.

    Args:
        neighbours: The nearest other row of each, int64 ``(n,)``.
        share: Share of the columns that are changed.
        variance: The distance is divided by it: the larger, the nearer to the neighbour.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
        >>> ga.Munge.fit(x, y, share=0.5).sample(np.array([0, 1, -1]), 0).shape
        (3, 4)
    """

    neighbours: np.ndarray
    share: float
    variance: float

    name: ClassVar[str] = "munge"

    @classmethod
    def fit(
        cls,
        x: Any,
        y: Any,
        *,
        layout: RowLayout | None = None,
        share: float = 0.5,
        variance: float = 1.0,
        seed: int = 0,
    ) -> Munge:
        """Finds the neighbours.

        Args:
            x: Training rows, ``(n, width)``.
            y: Their classes ``(n,)``; -1 rows are left out.
            layout: Which places belong together; None: each place is a number.
            share: In (0, 1].
            variance: Above 0.
            seed: Seed of the samples.
        """
        check_share("share", share)
        if not variance > 0:
            raise InvalidInputError(f"`variance` must be above 0. Received: {variance}. Try 1.")
        samples, rows, layout, seed = fitted_rows(x, y, layout, seed)
        near = _neighbours(samples, samples, 1)
        return cls(samples, rows, layout, seed, near[:, 0], share, variance)

    def _changed(self, base: np.ndarray, indices: np.ndarray) -> np.ndarray:
        swap = self._uniforms(indices, len(self.layout.columns), "swap") < self.share
        own, other = self.x[base].astype(np.float64), self.x[self.neighbours[base]]
        noise = self._normals(indices, self.layout.width, "noise")
        spread = other + noise * np.abs(own - other) / self.variance
        bounded = np.clip(spread, self.x.min(axis=0), self.x.max(axis=0))
        moved = np.where(self.layout.are_numbers, bounded, other)
        return np.where(swap[:, self.layout.owners], moved, own)

    def _parameters(self) -> dict[str, Any]:
        return {"share": self.share, "variance": self.variance}


@dataclass(frozen=True, eq=False)
class DonorRows(RowSource):
    """Real rows with some columns taken over from a row that is near in all the others.

    So the columns that are taken over fit those that stay, as far as the rows are dense enough:
    hot-deck imputation, as statisticians call it.

    Args:
        neighbours: How many near rows there are to choose from.
        shares: The least and the largest share of the columns that are taken over.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
        >>> ga.DonorRows.fit(x, y).sample(np.array([0, 1, -1]), 0).shape
        (3, 4)
    """

    neighbours: int
    shares: tuple[float, float]

    name: ClassVar[str] = "donors"

    @classmethod
    def fit(
        cls,
        x: Any,
        y: Any,
        *,
        layout: RowLayout | None = None,
        neighbours: int = 8,
        shares: tuple[float, float] = (0.1, 0.8),
        seed: int = 0,
    ) -> DonorRows:
        """Keeps the rows.

        Args:
            x: Training rows, ``(n, width)``.
            y: Their classes ``(n,)``; -1 rows are left out.
            layout: Which places belong together; None: each place is a number.
            neighbours: At least 1.
            shares: In (0, 1], the lower first.
            seed: Seed of the samples.
        """
        for share in shares:
            check_share("shares", share)
        if neighbours < 1 or shares[0] > shares[1]:
            raise InvalidInputError(
                "Donors need at least one neighbour and two rising shares. Received: "
                f"neighbours={neighbours}, shares={shares}. Leave out both for the usual ones."
            )
        return cls(*fitted_rows(x, y, layout, seed), neighbours, shares)

    def _changed(self, base: np.ndarray, indices: np.ndarray) -> np.ndarray:
        columns = len(self.layout.columns)
        low, high = self.shares
        share, kept, choice = self._uniforms(indices, 3, "share").T
        swap = self._uniforms(indices, columns, "swap") < (low + share * (high - low))[:, None]
        # What all of a row was taken over from would be that row itself.
        swap[np.arange(len(swap)), (kept * columns).astype(np.int64)] = False
        near = self._nearest(base, ~swap[:, self.layout.owners])
        donors = near[np.arange(len(near)), (choice * near.shape[1]).astype(np.int64)]
        return self._swapped(base, swap, np.repeat(donors[:, None], columns, axis=1))

    def _nearest(self, base: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """The rows nearest to each in the places that are seen, without itself."""
        candidates = _spread(len(self.x), self.seed)
        among = self.x[candidates]
        wanted = min(self.neighbours, max(len(candidates) - 1, 1))
        near = np.empty((len(base), wanted), np.int64)
        rows = max(_BLOCK_NUMBERS // among.size, 1)
        for first in range(0, len(base), rows):
            block = slice(first, first + rows)
            # Not as a product of matrices: its rounding depends on the number of rows.
            apart = (self.x[base[block], None] - among) ** 2
            distances = np.where(seen[block, None], apart, np.float32(0)).sum(axis=2)
            distances[candidates == base[block, None]] = np.inf
            near[block] = candidates[np.argsort(distances, axis=1, kind="stable")[:, :wanted]]
        return near

    def _parameters(self) -> dict[str, Any]:
        return {"neighbours": self.neighbours, "shares": list(self.shares)}


@dataclass(frozen=True, eq=False)
class SmoteNC(RowSource):
    """Points between a row and a near one of its class; other columns as most of the near rows.

    After Chawla et al., 2002, section 6.1 (SMOTE-NC): two rows that differ in a column without
    numbers are as far apart in it as the median standard deviation of the columns of numbers.

    Args:
        neighbours: Class -> ``(rows of the class, k)`` row numbers in `x`, nearest first.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
        >>> ga.SmoteNC.fit(x, y, k=3).sample(np.array([0, 1, -1]), 0).shape
        (3, 4)
    """

    neighbours: np.ndarray

    name: ClassVar[str] = "smote_nc"

    @classmethod
    def fit(
        cls,
        x: Any,
        y: Any,
        *,
        layout: RowLayout | None = None,
        k: int = 5,
        seed: int = 0,
    ) -> SmoteNC:
        """Finds the neighbours.

        Args:
            x: Training rows, ``(n, width)``.
            y: Their classes ``(n,)``; -1 rows are left out.
            layout: Which places belong together; None: each place is a number.
            k: Neighbours to choose from, at least 1; a lone row of a class is its own.
            seed: Seed of the samples.
        """
        if k < 1:
            raise InvalidInputError(f"`k` must be at least 1. Received: {k}. Try 5.")
        samples, rows, layout, seed = fitted_rows(x, y, layout, seed)
        spread = samples[:, layout.are_numbers].std(axis=0)
        # Two one-hot spans that differ are the root of two apart.
        far = float(np.median(spread)) / np.sqrt(2) if len(spread) else 1.0
        scaled = np.where(layout.are_numbers, samples, samples * far)
        near = np.empty((len(samples), k), np.int64)
        for own in rows.values():
            found = own[_neighbours(scaled[own], scaled[own], min(k, max(len(own) - 1, 1)))]
            near[own] = np.resize(found.T, (k, len(own))).T
        return cls(samples, rows, layout, seed, near)

    def _changed(self, base: np.ndarray, indices: np.ndarray) -> np.ndarray:
        which, part = self._uniforms(indices, 2, "partner").T
        near = self.neighbours[base]
        partner = near[np.arange(len(near)), (which * near.shape[1]).astype(np.int64)]
        own = self.x[base].astype(np.float64)
        between = own + part[:, None] * (self.x[partner] - own)
        return np.where(self.layout.are_numbers, between, self._most_frequent(near))

    def _most_frequent(self, near: np.ndarray) -> np.ndarray:
        """Column by column, what most of the near rows hold; of equally many, the nearest's."""
        votes = self.x[near]
        result = votes[:, 0].copy()
        for column in self.layout.columns:
            places = list(column)
            held = votes[..., places]
            alike = (held[:, :, None] == held[:, None]).all(axis=-1).sum(axis=2)
            result[:, places] = held[np.arange(len(near)), alike.argmax(axis=1)]
        return result

    def _parameters(self) -> dict[str, Any]:
        return {"neighbours": int(self.neighbours.shape[1])}


@dataclass(frozen=True, eq=False)
class ClassGaussian(RowSource):
    """A normal distribution of the numbers for each class; other columns as in a row of the class.

    On numbers that are encoded by rank this is a Gaussian copula for each class.

    Args:
        means: Class -> mean of the numbers.
        factors: Class -> ``(numbers, numbers)``: a sample is mean + factor @ normal.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
        >>> ga.ClassGaussian.fit(x, y).sample(np.array([0, 1, -1]), 0).shape
        (3, 4)
    """

    means: dict[int, np.ndarray]
    factors: dict[int, np.ndarray]

    name: ClassVar[str] = "class_gaussian"

    @classmethod
    def fit(
        cls,
        x: Any,
        y: Any,
        *,
        layout: RowLayout | None = None,
        shrinkage: float = 0.5,
        seed: int = 0,
    ) -> ClassGaussian:
        """Fits means and covariances.

        Args:
            x: Training rows, ``(n, width)``.
            y: Their classes ``(n,)``; -1 rows are left out.
            layout: Which places belong together; None: each place is a number.
            shrinkage: Weight of the covariance that all classes share, in [0, 1].
            seed: Seed of the samples.
        """
        if not 0.0 <= shrinkage <= 1.0:
            raise InvalidInputError(
                f"`shrinkage` must be in [0, 1]. Received: {shrinkage}. Try 0.5."
            )
        samples, rows, layout, seed = fitted_rows(x, y, layout, seed)
        numbers = samples[:, list(layout.numbers)].astype(np.float64)
        means = {label: numbers[own].mean(axis=0) for label, own in rows.items()}
        scatter = {label: _scatter(numbers[own] - means[label]) for label, own in rows.items()}
        freedom = max(len(numbers) - len(rows), 1)
        shared = sum(scatter.values(), np.zeros((numbers.shape[1],) * 2)) / freedom
        factors = {}
        for label, own in rows.items():
            covariance = scatter[label] / max(len(own) - 1, 1)
            values, vectors = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * shared)
            factors[label] = vectors * np.sqrt(np.maximum(values, 0.0))
        return cls(samples, rows, layout, seed, means, factors)

    def _changed(self, base: np.ndarray, indices: np.ndarray) -> np.ndarray:
        places = list(self.layout.numbers)
        noise = self._normals(indices, len(places), "noise")
        classes = np.empty(len(self.x), np.int64)
        for label, own in self.rows.items():
            classes[own] = label
        result = self.x[base].astype(np.float64)
        for row, label in enumerate(classes[base].tolist()):
            # One row at a time: a product's rounding may depend on the number of rows.
            result[row, places] = self.means[label] + self.factors[label] @ noise[row]
        return np.clip(result, self.x.min(axis=0), self.x.max(axis=0))

    def _parameters(self) -> dict[str, Any]:
        return {"factors": data_digest(*self.factors.values())}


def _scatter(centred: np.ndarray) -> np.ndarray:
    return centred.T @ centred


def _spread(rows: int, seed: int) -> np.ndarray:
    """Row numbers, all of them or as many as are searched, in rising order."""
    if rows <= _MOST_CANDIDATES:
        return np.arange(rows)
    generator = np.random.default_rng(derive_seed(seed, "candidates"))
    return np.sort(generator.choice(rows, _MOST_CANDIDATES, replace=False))


def _neighbours(x: np.ndarray, among: np.ndarray, k: int) -> np.ndarray:
    """The rows nearest to each, without itself where there are others, int64 ``(n, k)``."""
    if len(among) == 1:
        return np.zeros((len(x), k), np.int64)
    found = NearestNeighbors(n_neighbors=min(k + 1, len(among))).fit(among)
    near = found.kneighbors(x, return_distance=False)
    # A row and its equals come in any order: take each out of its own list, or else the last.
    own = near == np.arange(len(x))[:, None]
    own[~own.any(axis=1), -1] = True
    return near[~own].reshape(len(x), -1)
