"""The range of what an artefact takes, where it does not say so, found out by looking at it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.errors import GanAccelError
from keras_ganaccel.export.agreement import in_words
from keras_ganaccel.export.artifact import Artifact
from keras_ganaccel.metrics.proportions import paired_difference
from keras_ganaccel.modality.registry import modality_of

# Labelled samples that are tried; none of them is the test split's.
_TRIED = 200


def tried(opened: Artifact, data: LabelledData) -> Artifact:
    """Takes the range with which an artefact is surely right most often, if one stands out.

    Args:
        opened: An artefact that does not say what it takes, and for which nobody did.
        data: Whose validation samples (without any, the training samples) it is tried on.

    Returns:
        The same, with that range and the reason for it.
    """
    x, y = data.arrays("validation" if len(data.splits.validation) else "train")
    rows = np.linspace(0, len(y) - 1, min(_TRIED, len(y))).astype(int)
    x, y = x[rows], y[rows]
    usual = modality_of(data.spec).input_ranges(data.spec)
    ranges = (opened.metadata.input_range, *usual)
    right = {ends: _right(opened, ends, x, y) for ends in dict.fromkeys(ranges)}
    best = max(right, key=lambda ends: int(right[ends].sum()))
    assumed = right[opened.metadata.input_range]
    chance = 1 / data.spec.num_classes
    if not paired_difference(right[best], assumed).certain or right[best].mean() < 1.5 * chance:
        return opened
    return replace(
        opened,
        metadata=replace(opened.metadata, input_range=best),
        assumed=f"with it {right[best].mean():.0%} of {len(y)} samples beside the test split are "
        f"right, with {in_words(opened.metadata.input_range)} {assumed.mean():.0%}",
    )


def _right(opened: Artifact, ends: tuple[float, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Tells which samples it is right about; none where it puts out no classes at all."""
    low, high = (np.float32(end) for end in ends)
    try:
        return opened.probabilities((low + (high - low) * x,)).argmax(axis=1) == y
    except GanAccelError:
        return np.zeros(len(y), bool)
