"""What a generator is worth: every metric in one call, on a split that it has not seen."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np

from keras_ganaccel.data.labelled import LabelledData
from keras_ganaccel.gan.trained import TrainedGenerator
from keras_ganaccel.metrics.features import FeatureExtractor, train_feature_extractor
from keras_ganaccel.metrics.frechet import frechet_distance
from keras_ganaccel.metrics.kid import kid
from keras_ganaccel.metrics.memorization import memorization_report
from keras_ganaccel.metrics.prdc import prdc
from keras_ganaccel.metrics.synthetic_only import synthetic_only_accuracy
from keras_ganaccel.seeds import derive_seed

_LEAST_FOR_FRECHET = 2048


def balanced_samples(
    generator: TrainedGenerator, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Generates samples of all classes in turn.

    Args:
        generator: The generator.
        count: How many.
        seed: Seed of the noise.

    Returns:
        Encoded samples, float32 ``(count, *sample_shape)``, and their classes.
    """
    labels = np.resize(np.arange(generator.num_classes), count)
    return generator.generate(labels, seed), labels


def measure_generator(
    generator: TrainedGenerator,
    data: LabelledData,
    *,
    split: Literal["validation", "test"] = "validation",
    count: int = 4096,
    steps: int = 1000,
    seed: int = 0,
    extractor: FeatureExtractor | None = None,
    real_classifier: keras.Model | None = None,
) -> dict[str, Any]:
    """Measures generated samples against a real split that the generator has not seen.

    Args:
        generator: The generator.
        data: The data that it was trained on, split.
        split: ``"validation"`` or ``"test"``; the training split where that one is empty.
        count: Samples to generate.
        steps: Optimiser steps of each classifier that is trained for the measurement.
        seed: Seed of noise and training; that of `real_classifier` if one is given.
        extractor: The feature space; one trained on the training split if None.
        real_classifier: See `synthetic_only_accuracy`; the extractor's own if that is trained here.

    Returns:
        JSON-ready: ``split``, the one that was measured on; ``kid`` and ``kid_stderr`` with
        ``feature_space``; ``frechet_distance`` (None below 2,048 samples a side); precision,
        recall, density, coverage; accuracies of a classifier trained on generated and on real
        samples, per class too; ``memorization``; ``samples`` and ``real_samples`` counts.
    """
    train_x, train_y = data.arrays("train")
    x, y = data.arrays(split)
    measured: str = split if len(y) else "train"
    if not len(y):
        x, y = train_x, train_y
    if extractor is None:
        extractor = train_feature_extractor(train_x, train_y, data.spec, seed=seed, steps=steps)
        real_classifier = extractor.classifier
    samples, labels = balanced_samples(generator, count, derive_seed(seed, "measure"))
    real, made = extractor(x), extractor(samples)
    distance = kid(real, made)
    enough = min(len(real), len(made)) >= _LEAST_FOR_FRECHET
    scores = synthetic_only_accuracy(
        samples,
        labels,
        (train_x, train_y),
        (x, y),
        data.spec,
        steps=steps,
        seed=seed,
        real_classifier=real_classifier,
    )
    return {
        "split": measured,
        "kid": float(distance.value),
        "kid_stderr": float(distance.stderr),
        "feature_space": extractor.name,
        "frechet_distance": frechet_distance(real, made) if enough else None,
        **prdc(real, made, k=min(5, len(real) - 1)),
        **scores,
        "memorization": memorization_report(samples, train_x, x, extractor),
        "samples": len(samples),
        "real_samples": len(real),
    }
