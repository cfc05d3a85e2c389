"""`LabelledData`: one labelled, audited and split data set, whatever its samples are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from keras_ganaccel.data.audit import Audit
from keras_ganaccel.data.rows import take_rows, update_digest
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.data.split import Splits
from keras_ganaccel.data.vocabulary import SPLIT_NAMES
from keras_ganaccel.errors import InvalidInputError, nearest


@dataclass(frozen=True, eq=False)
class LabelledData:
    """A labelled data set with its splits.

    Args:
        name: Name of the data set.
        x: Raw samples as loaded, n rows: an array ``(n, ...)``, such as images ``(n, height, width,
            channels)``, or a pandas frame, such as the columns of a table.
        y: int64 labels 0..k-1, -1 where unlabelled, shape ``(n,)``.
        spec: What leads from raw samples to encoded ones, and the classes.
        splits: Row numbers of training, validation and test.
        audit: What was found in the data.
        unlabelled: Further raw samples, of the type of `x`, to learn from without labels; None if
            there are none.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("digits", labels_per_class=20)
        >>> x, y = data.arrays("train")
        >>> x.shape, str(x.dtype), y.shape
        ((160, 8, 8, 1), 'float32', (160,))
    """

    name: str
    x: Any
    y: np.ndarray
    spec: Spec
    splits: Splits
    audit: Audit
    unlabelled: Any = None

    def arrays(
        self, split: Literal["train", "validation", "test"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns what models learn from: the encoded samples of a split, and their labels.

        Args:
            split: ``"train"``, ``"validation"`` or ``"test"``.

        Returns:
            float32 samples, shape ``(rows, *spec.sample_shape)``, and int64 labels ``(rows,)``.

        Raises:
            InvalidInputError: There is no such split.
        """
        rows = self._rows(split)
        return self.spec.encode(take_rows(self.x, rows)), self.y[rows]

    def raw(self, split: Literal["train", "validation", "test"]) -> tuple[Any, np.ndarray]:
        """Returns the samples of a split as they were loaded, and their int64 labels."""
        rows = self._rows(split)
        return take_rows(self.x, rows), self.y[rows]

    def unlabelled_arrays(self) -> np.ndarray | None:
        """Returns the encoded samples without labels, float32, or None."""
        return None if self.unlabelled is None else self.spec.encode(self.unlabelled)

    def fingerprint(self) -> str:
        """Returns a SHA-256 over samples, labels and splits, in hexadecimal digits."""
        digest = hashlib.sha256()
        splits = self.splits
        for part in (self.x, self.y, splits.train, splits.validation, splits.test, self.unlabelled):
            if part is not None:
                update_digest(digest, part)
        return digest.hexdigest()

    def _rows(self, split: str) -> np.ndarray:
        if split not in SPLIT_NAMES:
            raise InvalidInputError(
                f"Unknown split. Received: {split!r}. {nearest(split, SPLIT_NAMES)}"
            )
        rows: np.ndarray = getattr(self.splits, split)
        return rows
