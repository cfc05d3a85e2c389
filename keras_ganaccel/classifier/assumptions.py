"""What a stranger's classifier takes and puts out, found out by looking at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.outputs import (
    BINARY_LOGIT,
    BINARY_PROBABILITY,
    LOGITS,
    SOFTMAX,
    output_kind,
    predict_logits,
)
from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.modality.registry import modality_of

Range = tuple[float, float]

UNIT: Range = (0.0, 1.0)
# Ends that the values of images have after a model has scaled them, by habit of the field.
_HABITS = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 255.0), (-128.0, 127.0), (-2.1, 2.6))
# Layers at a model's beginning that only scale, move or cut: by name, some are operations.
_FRONT = frozenset(
    (
        "Rescaling",
        "Normalization",
        "Resizing",
        "CenterCrop",
        "ZeroPadding2D",
        "Identity",
        "Reshape",
        "Cast",
        "Multiply",
        "Add",
        "Subtract",
        "Divide",
        "TrueDivide",
        "GaussianNoise",
        "Dropout",
        "Lambda",
        "Concatenate",
        "Repeat",
        "AutoContrast",
        "RandAugment",
        "MixUp",
        "CutMix",
    )
)
# Labelled samples that a range is tried on, and by how much it must be better to be believed.
_TRIED_ON = 256
_BETTER = 0.1
_IN_WORDS = {
    LOGITS: "logits",
    SOFTMAX: "probabilities",
    BINARY_LOGIT: "one logit",
    BINARY_PROBABILITY: "one probability",
}


@dataclass(frozen=True)
class Assumptions:
    """What is taken for true of a classifier.

    Args:
        input_range: What it takes for black and white.
        kind: What it puts out; see `output_kind`.
        sentence: Both in one line, and why.
    """

    input_range: Range
    kind: str
    sentence: str


def assume(
    model: keras.Model,
    spec: Spec,
    samples: tuple[np.ndarray, np.ndarray],
    *,
    input_range: Range | None = None,
    from_logits: bool | None = None,
) -> Assumptions:
    """Finds out what a classifier takes and puts out, where that was not said.

    Its input is told by the layers that it begins with, such as a `Rescaling`, and by the range
    with which it is clearly right most often, if it was trained. Where neither tells, it is taken
    to be [0, 1]. Its output is told by `output_kind`.

    Args:
        model: A functional or sequential classifier that fits the data.
        spec: The description of the data.
        samples: Encoded, float32 ``(n, *sample_shape)``, and labels ``(n,)``.
        input_range: What it takes, if that is known.
        from_logits: Whether it puts out logits, if that is known.

    Returns:
        What is assumed.
    """
    kind = output_kind(model, from_logits)
    found, why = (input_range, "as given") if input_range else _found_range(model, spec, samples)
    low, high = found
    told = "as given" if from_logits is not None else "seen in what it puts out"
    sentence = (
        f"Assumed of the model: it takes [{low:g}, {high:g}] ({why}) and puts out "
        f"{_IN_WORDS[kind]} ({told}); input_range and from_logits override that."
    )
    return Assumptions(found, kind, sentence)


def assume_on(
    model: keras.Model,
    data: LabelledData,
    *,
    input_range: Range | None = None,
    from_logits: bool | None = None,
) -> Assumptions:
    """Does what `assume` does, on samples that are not the test split's."""
    samples = data.arrays("validation" if len(data.splits.validation) else "train")
    return assume(model, data.spec, samples, input_range=input_range, from_logits=from_logits)


def _found_range(
    model: keras.Model, spec: Spec, samples: tuple[np.ndarray, np.ndarray]
) -> tuple[Range, str]:
    ranges = list(modality_of(spec).input_ranges(spec))
    if len(ranges) == 1:
        return ranges[0], "samples of this kind have one form"
    seen = range_of_front(model, spec.sample_shape, ranges)
    assumed = seen or UNIT
    hits = _hits(model, ranges, samples)
    if hits:
        best = max(ranges, key=lambda each: hits[each])
        if hits[best] > max(hits[assumed], 1 / spec.num_classes) + _BETTER:
            return best, f"with it {hits[best]:.0%} of the samples tried are right"
    return assumed, "it begins by scaling that" if seen else "nothing tells otherwise"


def _hits(
    model: keras.Model, ranges: list[Range], samples: tuple[np.ndarray, np.ndarray]
) -> Mapping[Range, float]:
    """The share of labelled samples that a model is right about, for each range."""
    x, y = samples
    rows = np.flatnonzero(np.asarray(y) >= 0)
    if not len(rows):
        return {}
    rows = rows[np.linspace(0, len(rows) - 1, min(_TRIED_ON, len(rows))).astype(int)]
    x, y = x[rows], np.asarray(y)[rows]
    return {
        (low, high): float(
            np.mean(
                predict_logits(model, (low + (high - low) * x).astype(np.float32)).argmax(1) == y
            )
        )
        for low, high in ranges
    }


def range_of_front(
    model: keras.Model, sample_shape: tuple[int, ...], ranges: list[Range]
) -> Range | None:
    """Finds the range that a model's first layers bring to a habitual one.

    Args:
        model: A functional or sequential model of images.
        sample_shape: The shape of a sample that it takes.
        ranges: Which ranges may be.

    Returns:
        The one of them that fits best; None if the first layers scale nothing.
    """
    strangeness = {}
    for low, high in ranges:
        ends = np.stack([np.full(sample_shape, end, np.float32) for end in (low, high)])
        try:
            scaled = _behind_front(model, ends)
        except Exception:  # whatever a stranger's layers raise when they are called by themselves
            return None
        if scaled.ndim != ends.ndim:
            return None
        # Borders may be padded.
        middle = scaled[:, scaled.shape[1] // 2, scaled.shape[2] // 2].astype(np.float64)
        if middle.shape == ends[:, 0, 0].shape and np.allclose(middle, ends[:, 0, 0]):
            return None
        first, last = sorted(middle.mean(axis=1))
        strangeness[low, high] = min(
            abs(np.log(max(last - first, 1e-9) / (theirs[1] - theirs[0])))
            + abs(first + last - sum(theirs)) / (2 * (theirs[1] - theirs[0]))
            for theirs in _HABITS
        )
    return min(strangeness, key=lambda each: strangeness[each])


def _behind_front(model: keras.Model, samples: np.ndarray) -> np.ndarray:
    """What samples are behind the layers at a model's beginning that only scale, move or cut."""
    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                return _behind_front(layer, samples)
            if not _only_scales(layer):
                break
            samples = np.asarray(layer(tf.constant(samples), training=False))
        return samples
    tensor = model.inputs[0]
    reached = {id(tensor)}
    inner = None
    for operation in getattr(model, "operations", model.layers):
        if type(operation).__name__ == "InputLayer":
            continue
        inner = operation if isinstance(operation, keras.Model) else None
        if inner is not None or not _only_scales(operation):
            break
        if all(id(each) in reached for each in tf.nest.flatten(operation.input)):
            tensor = operation.output
            reached.add(id(tensor))
    front = keras.Model(model.inputs, tensor)
    scaled = np.asarray(front(tf.constant(samples), training=False))
    return scaled if inner is None else _behind_front(inner, scaled)


def _only_scales(layer: Any) -> bool:
    name = type(layer).__name__
    is_linear = name == "Activation" and layer.activation is keras.activations.linear
    return name in _FRONT or name.startswith("Random") or is_linear
