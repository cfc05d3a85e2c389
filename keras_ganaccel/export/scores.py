"""Scores of a classifier from its answers, by scikit-learn and SciPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax
from sklearn.metrics import confusion_matrix, f1_score, log_loss, roc_auc_score

from keras_ganaccel.errors import InvalidInputError, VerificationError
from keras_ganaccel.metrics.proportions import wilson_interval

_CALIBRATION_BINS = 15


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
        right: Which predictions are right, bool ``(n,)``; for paired comparisons.
        log_loss: The mean negative log-probability of the labels; None without probabilities.
        calibration_error: The expected one, see `calibration_error`; None without probabilities.
        auc: The area under the curve of each class against the rest, averaged, see
            `area_under_curves`; None without probabilities.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/student.keras")
        ...     scores = ga.verify(f"{folder}/student.keras", data, latency_repeats=0).scores
        >>> scores.confusion_matrix.shape, len(scores.right)
        ((10, 10), 540)
    """

    accuracy: float
    ci95: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    recall: tuple[float | None, ...]
    confusion_matrix: np.ndarray
    right: np.ndarray
    log_loss: float | None = None
    calibration_error: float | None = None
    auc: float | None = None


def score(
    predicted: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    chances: np.ndarray | None = None,
) -> Scores:
    """Scores predicted classes.

    Args:
        predicted: Integers, shape ``(n,)``.
        labels: Integers 0..k-1, shape ``(n,)``.
        num_classes: k.
        chances: The probabilities behind the predictions ``(n, k)``, if there are any.

    Raises:
        InvalidInputError: If there are no samples or a label is none of 0..k-1.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if not len(labels) or labels.min() < 0 or labels.max() >= num_classes:
        received = f"{labels.min()} to {labels.max()}" if len(labels) else "no labels"
        raise InvalidInputError(
            f"Labels must lie in 0 to {num_classes - 1} to score {num_classes} classes. "
            f"Received: {received}. Leave unlabelled samples out."
        )
    classes = np.arange(num_classes)
    matrix = confusion_matrix(labels, predicted, labels=classes)
    support = matrix.sum(axis=1)
    recall = [
        float(right / rows) if rows else None
        for right, rows in zip(matrix.diagonal(), support, strict=True)
    ]
    right = predicted == labels
    return Scores(
        accuracy=float(right.mean()),
        ci95=wilson_interval(int(right.sum()), len(labels)),
        balanced_accuracy=float(np.mean([share for share in recall if share is not None])),
        macro_f1=float(f1_score(labels, predicted, average="macro", zero_division=0)),
        recall=tuple(recall),
        confusion_matrix=matrix,
        right=right,
        log_loss=None if chances is None else float(log_loss(labels, chances, labels=classes)),
        calibration_error=None if chances is None else calibration_error(chances, labels),
        auc=None if chances is None else area_under_curves(chances, labels),
    )


def area_under_curves(chances: np.ndarray, labels: np.ndarray) -> float | None:
    """How well the probabilities rank the samples of a class before all others.

    The area under the receiver's curve of each class against the rest, averaged over the classes
    that occur: with two classes that is the one area, as both have the same.

    Args:
        chances: Probabilities ``(n, k)``.
        labels: Integers ``(n,)``.

    Returns:
        In [0, 1]; 0.5 is chance. None where one class is all there is.

    Example:
        >>> chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
        >>> area_under_curves(chances, np.array([0, 0, 1, 1]))
        0.75
    """
    present = np.unique(labels)
    if len(present) < 2:
        return None
    return float(np.mean([roc_auc_score(labels == each, chances[:, each]) for each in present]))


def calibration_error(chances: np.ndarray, labels: np.ndarray) -> float:
    """How far a classifier's confidence is from its accuracy, on average.

    The expected calibration error (Guo et al. 2017): rows are put into 15 equal bins by the
    probability of the predicted class; the gaps between mean probability and accuracy are
    averaged with the bins' rows as weights.

    Args:
        chances: Probabilities ``(n, k)``.
        labels: Integers ``(n,)``.

    Returns:
        In [0, 1]; 0 is perfect.

    Example:
        >>> sure = np.tile([0.8, 0.2], (10, 1))
        >>> round(calibration_error(sure, np.array([0] * 8 + [1] * 2)), 6)
        0.0
    """
    confidence = chances.max(axis=1).astype(np.float64)
    surplus = confidence - (chances.argmax(axis=1) == labels)
    bins = np.minimum((confidence * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=surplus)).sum() / len(labels))


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
        positive = np.clip(values, 0, 1) if kind == "binary_probability" else expit(values)
        return np.concatenate([1 - positive, positive], axis=1).astype(np.float32)
    values = softmax(values, axis=1) if kind == "logits" else np.clip(values, 0, None)
    totals = values.sum(axis=1, keepdims=True)
    uniform = np.full_like(values, 1 / values.shape[1])
    return np.divide(values, totals, out=uniform, where=totals > 0).astype(np.float32)


def kind_of_values(outputs: np.ndarray, kind: str, *, stated: bool, tolerance: float = 0.01) -> str:
    """Holds outputs against what they are said to mean.

    Args:
        outputs: ``(n, k)``, dequantized.
        kind: What they are said or were recognised to mean, see `probabilities`.
        stated: Whether the artefact says so; what was only recognised is corrected.
        tolerance: What rounding may add to or take from a probability, or from the sum of a row.

    Returns:
        `kind`, or ``"softmax"`` where logits were recognised and the rows are probabilities.

    Raises:
        VerificationError: If they are not what they are said to be, or no numbers.
    """
    finite = np.isfinite(outputs)
    if not finite.all():
        wrong = int((~finite.reshape(len(outputs), -1).all(axis=1)).sum())
        raise VerificationError(
            f"Outputs must be numbers. Received: NaN or infinities for {wrong} of {len(outputs)} "
            "samples. Look for them in the weights and in the samples."
        )
    if kind == "samples" or outputs.ndim != 2:
        return kind
    shares = bool(((outputs >= -tolerance) & (outputs <= 1 + tolerance)).all())
    if kind in ("softmax", "binary_probability") and not shares:
        raise VerificationError(
            f"Outputs said to be {kind!r} must lie in [0, 1]. Received: {outputs.min():.4g} to "
            f"{outputs.max():.4g}. Say by `output` what they are, or export the model again."
        )
    sums_to_one = shares and bool(np.allclose(outputs.sum(axis=1), 1.0, rtol=0, atol=tolerance))
    if kind == "logits" and sums_to_one:
        if stated:
            raise VerificationError(
                "Outputs said to be 'logits' must not be probabilities already. Received: rows "
                "that lie in [0, 1] and sum to 1. Say output='softmax', or export the model again."
            )
        return "softmax"
    return kind
