"""Uneven classes: weights to learn by, and where to draw the line between the classes.

A classifier that is right on as many samples as it can be neglects rare classes. Class weights
make it learn them; a threshold, chosen on held-out samples, makes it say them. The threshold is
kept as a shift of the logits' biases, so that whoever takes the largest output decides by it, in
every file that the model is exported to.
"""

from __future__ import annotations

import keras
import numpy as np

from keras_ganaccel.classifier.outputs import LOGITS, output_kind
from keras_ganaccel.errors import InvalidInputError, nearest

OBJECTIVES = ("accuracy", "balanced_accuracy", "macro_f1")
_ROUNDS = 3
_PLACES = 101


def class_weights(y: np.ndarray, num_classes: int) -> np.ndarray:
    """Weights of samples under which all classes weigh the same, scikit-learn's "balanced".

    Args:
        y: Integer labels ``(n,)``; -1 for none.
        num_classes: The number of classes.

    Returns:
        float32 ``(n,)``, 1 on average over the labelled; 1 where there is no label.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> ga.class_weights(np.array([0, 0, 0, 1]), 2).round(2)
        array([0.67, 0.67, 0.67, 2.  ], dtype=float32)
    """
    y = np.asarray(y)
    counts = np.bincount(y[y >= 0], minlength=num_classes)
    present = np.count_nonzero(counts)
    shares = counts.sum() / (max(present, 1) * np.maximum(counts, 1))
    return np.where(y >= 0, shares[np.maximum(y, 0)], 1.0).astype(np.float32)


def logit_shifts(logits: np.ndarray, y: np.ndarray, objective: str) -> np.ndarray:
    """Finds what to add to the logits so that the largest one serves an objective best.

    Of two classes it is one threshold: every place between two samples is tried. Of more, one
    class after the other is moved, until nothing is gained. A shift must gain something to be
    taken, and of equally good ones the middle is: it stands farthest from the samples.

    Args:
        logits: Of held-out samples, ``(n, classes)``.
        y: Their integer labels ``(n,)``.
        objective: ``"accuracy"``, ``"balanced_accuracy"`` or ``"macro_f1"``.

    Returns:
        float64 ``(classes,)``, 0 on average; zeros for ``"accuracy"``, which needs no shift.

    Raises:
        InvalidInputError: An unknown objective.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> rare = np.array([[0.0, -2.0], [0.0, -3.0], [0.0, -3.5], [0.0, -1.0]])
        >>> shifts = ga.logit_shifts(rare, np.array([0, 0, 0, 1]), "balanced_accuracy")
        >>> (rare + shifts).argmax(axis=1)
        array([0, 0, 0, 1])
    """
    if objective not in OBJECTIVES:
        raise InvalidInputError(
            f"Unknown objective. Received: {objective!r}. {nearest(str(objective), OBJECTIVES)}"
        )
    logits, y = np.asarray(logits, np.float64), np.asarray(y)
    shifts = np.zeros(logits.shape[1])
    if objective == "accuracy" or not len(y):
        return shifts
    best = _worth(logits, y, objective)
    for _ in range(_ROUNDS):
        before = best
        for label in range(1 if logits.shape[1] == 2 else 0, logits.shape[1]):
            shift, found = _best_shift(logits + shifts, y, label, objective)
            if found > best:
                shifts[label] += shift
                best = found
        if best == before:
            break
    return shifts - shifts.mean()


def with_shifted_logits(model: keras.Model, shifts: np.ndarray) -> keras.Model:
    """Adds shifts to the biases of a classifier's last layer, in place.

    Args:
        model: A classifier that ends in a `Dense` layer of logits with a bias.
        shifts: ``(classes,)``, see `logit_shifts`.

    Returns:
        The same model.

    Raises:
        InvalidInputError: The model ends otherwise.

    Example:
        >>> import keras
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> model = ga.with_shifted_logits(model, np.array([-0.5, 0.5]))
        >>> model(np.zeros((1, 4))).numpy()
        array([[-0.5,  0.5]], dtype=float32)
    """
    last = model.layers[-1]
    fits = isinstance(last, keras.layers.Dense) and last.use_bias and output_kind(model) == LOGITS
    if not fits or last.bias.shape != np.shape(shifts):
        raise InvalidInputError(
            "A threshold is kept in the biases of a last Dense layer of logits. Received: "
            f"{type(last).__name__} {last.name!r}. End the model in keras.layers.Dense(classes)."
        )
    last.bias.assign(last.bias + np.asarray(shifts, np.float32))
    return model


def _worth(logits: np.ndarray, y: np.ndarray, objective: str) -> float:
    """As scikit-learn's scores, at a hundredth of their cost: this is asked some thousand times."""
    classes = logits.shape[1]
    chosen = logits.argmax(axis=1)
    right = np.bincount(y[chosen == y], minlength=classes)
    there, said = np.bincount(y, minlength=classes), np.bincount(chosen, minlength=classes)
    if objective == "macro_f1":
        either = there + said > 0
        return float(np.mean(2 * right[either] / (there + said)[either]))
    return float(np.mean(right[there > 0] / there[there > 0]))


def _best_shift(
    logits: np.ndarray, y: np.ndarray, label: int, objective: str
) -> tuple[float, float]:
    """The shift of one class's logits that is worth most, and its worth."""
    others = np.delete(logits, label, axis=1).max(axis=1)
    edges = np.unique(others - logits[:, label])
    if len(edges) > _PLACES:
        edges = np.unique(np.quantile(edges, np.linspace(0, 1, _PLACES)))
    places = np.concatenate([[edges[0] - 1.0], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1.0]])
    moved = logits.copy()
    worth = []
    for place in places:
        moved[:, label] = logits[:, label] + place
        worth.append(_worth(moved, y, objective))
    equal = np.flatnonzero(np.array(worth) == max(worth))
    return float(places[equal[len(equal) // 2]]), max(worth)
