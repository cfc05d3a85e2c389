"""What an artefact is compared with: a Keras model, probabilities, or labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.scores import probabilities
from keras_ganaccel.metrics.proportions import PairedDifference, paired_difference


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference's answers.

    Args:
        labels: What it predicts, ``(n,)``.
        probabilities: Its probabilities ``(n, k)``, if known.
        outputs: Its own outputs, if it is a model.
        kind: What these mean.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None
    outputs: np.ndarray | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Comparison:
    """How an artefact compares with a reference; all None without one."""

    agreement: float | None = None
    max_difference: float | None = None
    accuracy: float | None = None
    paired: PairedDifference | None = None


def reference_of(reference: Any, x: Any, length: int) -> Reference | None:
    """Brings the accepted forms of a reference into one.

    Args:
        reference: None, a Keras model, probabilities ``(n, k)`` or labels ``(n,)``.
        x: The samples that a model is asked about: an array, or a tuple with one for each input.
        length: n.

    Raises:
        InvalidInputError: If it has other shapes.
    """
    if reference is None:
        return None
    if not hasattr(reference, "shape") and callable(reference):
        return _model_answers(reference, x)
    values = np.asarray(reference)
    if values.shape == (length,) and np.issubdtype(values.dtype, np.integer):
        return Reference(labels=values)
    if values.ndim == 2 and len(values) == length:
        return Reference(labels=values.argmax(axis=1), probabilities=values)
    raise InvalidInputError(
        f"`reference` must be a Keras model, probabilities ({length}, classes) or {length} "
        f"integer labels. Received: {values.dtype} {values.shape}. Give one of them."
    )


def compare(
    reference: Reference | None,
    outputs: np.ndarray,
    chances: np.ndarray,
    kind: str,
    labels: np.ndarray,
) -> Comparison:
    """Compares an artefact's answers with a reference's.

    Args:
        reference: The reference.
        outputs: The artefact's outputs, dequantized.
        chances: Its probabilities ``(n, k)``.
        kind: What its outputs mean.
        labels: The true labels.

    Returns:
        Agreement, the largest difference (of the outputs where both have the same kind, else of
        the probabilities), the reference's accuracy, and how the two differ row by row.
    """
    if reference is None:
        return Comparison()
    difference = None
    if reference.outputs is not None and reference.kind == kind:
        difference = float(np.abs(reference.outputs - outputs).max())
    elif reference.probabilities is not None:
        difference = float(np.abs(reference.probabilities - chances).max())
    predicted, right = chances.argmax(axis=1), reference.labels == labels
    return Comparison(
        agreement=float(np.mean(predicted == reference.labels)),
        max_difference=difference,
        accuracy=float(np.mean(right)),
        paired=paired_difference(predicted == labels, right),
    )


def _model_answers(model: Any, x: Any) -> Reference:
    from keras_ganaccel.export.keras_runner import keras_runner

    runner = keras_runner(model)
    outputs = runner.run(*ModelInputs.of(model).arrays(x))
    assert runner.metadata is not None
    kind = runner.metadata.output
    chances = probabilities(outputs, kind)
    return Reference(chances.argmax(axis=1), chances, outputs, kind)
