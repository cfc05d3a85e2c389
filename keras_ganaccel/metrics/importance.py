"""What a classifier looks at: permutation importance, of teacher and student side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ganaccel.seeds import derive_seed

Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, eq=False)
class Importance:
    """By how much a classifier's score falls when one column is shuffled.

    Args:
        columns: The columns.
        mean: Mean fall of each, ``(columns,)``; may be below 0 by chance.
        std: Standard deviation over the repetitions.
        baseline: The score with all columns as they are.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"tells": [0, 1] * 50})
        >>> read = lambda rows: np.eye(2)[rows["tells"]]
        >>> found = ga.permutation_importance({"reader": read}, frame, np.array([0, 1] * 50))
        >>> found["reader"].columns, found["reader"].baseline
        (('tells',), 1.0)
    """

    columns: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    baseline: float

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for a ledger."""
        rows = {
            name: {"mean": float(mean), "std": float(std)}
            for name, mean, std in zip(self.columns, self.mean, self.std, strict=True)
        }
        return {"baseline": self.baseline, "columns": rows}


def permutation_importance(
    answers: Mapping[str, Callable[[Any], np.ndarray]],
    frame: Any,
    y: np.ndarray,
    *,
    repeats: int = 5,
    seed: int = 0,
    score: Score | None = None,
) -> dict[str, Importance]:
    """Shuffles one raw column after the other, and measures how much each classifier loses.

    Scikit-learn's definition (Breiman 2001): the score on the rows as they are less the score with
    the values of one column in another order, over some repetitions. All classifiers see the same
    shuffled rows, so that they can be compared. A column that others tell as well seems to matter
    little.

    Args:
        answers: Functions from raw rows to class probabilities ``(n, classes)``, by name, such as
            ``{"teacher": ..., "student": ...}``.
        frame: Raw rows, a pandas frame; it is not changed.
        y: Integer labels ``(n,)``.
        repeats: How often each column is shuffled.
        seed: Seed of the orders; a column's own do not depend on the other columns.
        score: From labels and probabilities to a number; accuracy by default.

    Returns:
        One `Importance` per name, columns in the frame's order.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"tells": [0, 1] * 50, "nothing": range(100)})
        >>> read = lambda rows: np.eye(2)[rows["tells"]]
        >>> found = ga.permutation_importance({"reader": read}, frame, np.array([0, 1] * 50))
        >>> found["reader"].mean.round(1)
        array([0.5, 0. ])
    """
    score = score or _accuracy
    y = np.asarray(y)
    baseline = {name: score(y, answer(frame)) for name, answer in answers.items()}
    falls = {name: np.zeros((frame.shape[1], repeats)) for name in answers}
    for place, column in enumerate(frame.columns):
        random = np.random.default_rng(derive_seed(seed, "importance", str(column)))
        for repeat in range(repeats):
            order = random.permutation(len(frame))
            shuffled = frame.copy(deep=False)
            shuffled[column] = frame[column].iloc[order].set_axis(frame.index)
            for name, answer in answers.items():
                falls[name][place, repeat] = baseline[name] - score(y, answer(shuffled))
    columns = tuple(map(str, frame.columns))
    return {
        name: Importance(columns, found.mean(axis=1), found.std(axis=1), float(baseline[name]))
        for name, found in falls.items()
    }


def _accuracy(y: np.ndarray, answers: np.ndarray) -> float:
    return float(np.mean(np.asarray(answers).argmax(axis=1) == y))
