"""Scores of a classifier from its predictions, in NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from keras_ganaccel.errors import InvalidInputError

_Z95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Scores:
    """How well predictions agree with labels.

    Args:
        accuracy: The share of right ones.
        ci95: Wilson's interval of it.
        balanced_accuracy: The mean recall of the classes that occur.
        macro_f1: The mean F1 of the classes that occur or are predicted.
        recall: Recall per class; None where a class does not occur.
        confusion_matrix: Counts, rows by label, columns by prediction.
    """

    accuracy: float
    ci95: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    recall: tuple[float | None, ...]
    confusion_matrix: np.ndarray


def score(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> Scores:
    """Scores predicted classes.

    Args:
        predicted: Integers, shape ``(n,)``.
        labels: Integers 0..k-1, shape ``(n,)``.
        num_classes: k.

    Raises:
        InvalidInputError: If there are no samples or a label is none of 0..k-1.
    """
    labels = np.asarray(labels)
    if not len(labels) or labels.min() < 0 or labels.max() >= num_classes:
        received = f"{labels.min()} to {labels.max()}" if len(labels) else "no labels"
        raise InvalidInputError(
            f"Labels must lie in 0 to {num_classes - 1} to score {num_classes} classes. "
            f"Received: {received}. Leave unlabelled samples out."
        )
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    right, support, guessed = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    present = support > 0
    recall = right[present] / support[present]
    either = (support + guessed) > 0
    f1 = 2 * right[either] / (support + guessed)[either]
    per_class = [float(r / s) if s else None for r, s in zip(right, support, strict=True)]
    return Scores(
        accuracy=float(right.sum() / len(labels)),
        ci95=wilson_interval(int(right.sum()), len(labels)),
        balanced_accuracy=float(recall.mean()),
        macro_f1=float(f1.mean()),
        recall=tuple(per_class),
        confusion_matrix=matrix,
    )


def wilson_interval(successes: int, trials: int, z: float = _Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927).

    Example:
        >>> low, high = wilson_interval(98, 100)
        >>> round(low, 3), round(high, 3)
        (0.93, 0.994)
    """
    share = successes / trials
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    centre, scale = share + z * z / (2 * trials), 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def probabilities(outputs: np.ndarray, kind: str) -> np.ndarray:
    """Turns a classifier's outputs into probabilities.

    Args:
        outputs: ``(n, k)``, or ``(n, 1)`` if binary, dequantized.
        kind: ``"logits"``, ``"softmax"``, ``"binary_logit"`` or ``"binary_probability"``.

    Returns:
        float32 ``(n, k)``, rows that sum to one.

    Raises:
        InvalidInputError: If the outputs are not those of a classifier.
    """
    if kind == "samples" or outputs.ndim != 2:
        raise InvalidInputError(
            f"Only a classifier's output has probabilities. Received: {kind!r} of shape "
            f"{outputs.shape}. Give a classifier's artefact."
        )
    values = np.asarray(outputs, np.float64)
    if kind.startswith("binary"):
        positive = np.clip(values, 0, 1) if kind == "binary_probability" else _sigmoid(values)
        return np.concatenate([1 - positive, positive], axis=1).astype(np.float32)
    if kind == "logits":
        values = np.exp(values - values.max(axis=1, keepdims=True))
    values = np.clip(values, 0, None)
    totals = values.sum(axis=1, keepdims=True)
    uniform = np.full_like(values, 1 / values.shape[1])
    return np.divide(values, totals, out=uniform, where=totals > 0).astype(np.float32)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * values))
