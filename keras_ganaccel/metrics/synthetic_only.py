"""Classification accuracy score: what a classifier learns from generated samples alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.outputs import predict_logits
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.features import measuring_architecture

Labelled = tuple[np.ndarray, np.ndarray]


def synthetic_only_accuracy(
    generated_x: np.ndarray,
    generated_y: np.ndarray,
    real_train: Labelled,
    real_test: Labelled,
    spec: Spec,
    *,
    steps: int = 1000,
    batch_size: int = 64,
    seed: int = 0,
    architecture: str | None = None,
    size: str = "small",
    augmentation: Sequence[str] = ("shift",),
    real_classifier: keras.Model | None = None,
) -> dict[str, Any]:
    """Trains the same small classifier on generated and on real samples, and tests both on real.

    Ravuri and Vinyals, "Classification Accuracy Score for Conditional Generative Models"
    (arXiv 1905.10887). It sees what distances miss: wrong labels and lost modes within a class.
    Both trainings take the same architecture, initial weights, augmentation, steps, batches and
    seed. Without augmentation the real samples, if they are few, make a poor rival.

    Args:
        generated_x: Generated samples, encoded, shape ``(n, *sample_shape)``.
        generated_y: The classes that were asked for, shape ``(n,)``, integers.
        real_train: ``(x, y)`` of the real training split, as above; label -1 is left out.
        real_test: ``(x, y)`` of held-out real data.
        spec: The description of the data.
        steps: Optimiser steps of each training.
        batch_size: Samples per step.
        seed: Fixes initial weights and order.
        architecture: A structure of `build_classifier`; None takes a convnet for images, else the
            usual one of the modality.
        size: Its size.
        augmentation: Policies of `train_classifier`.
        real_classifier: The classifier on the real samples, if one of that architecture has been
            trained already with that augmentation, those steps, batches and seed
            (`train_feature_extractor` does).

    Returns:
        ``{"synthetic_only_accuracy", "real_only_accuracy", "per_class"}``, in [0, 1];
        ``per_class`` maps ``"synthetic_only"`` and ``"real_only"`` to one recall per class, None
        for a class without test samples.

    Raises:
        InvalidInputError: A set holds no labelled sample.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("digits", labels_per_class=10)
        >>> real, test = data.arrays("train"), data.arrays("test")
        >>> generated = real  # Or what a generator made.
        >>> options = {"steps": 1, "architecture": "mlp", "size": "tiny"}
        >>> score = ga.synthetic_only_accuracy(*generated, real, test, data.spec, **options)
        >>> sorted(score)
        ['per_class', 'real_only_accuracy', 'synthetic_only_accuracy']
    """
    sets = {
        "synthetic_only": _labelled_rows("generated", generated_x, generated_y),
        "real_only": _labelled_rows("real_train", *real_train),
    }
    test_x, test_y = _labelled_rows("real_test", *real_test)
    report: dict[str, Any] = {"per_class": {}}
    for name, data in sets.items():
        if name == "real_only" and real_classifier is not None:
            model = real_classifier
        else:
            structure = architecture or measuring_architecture(spec)
            model = build_classifier(spec, structure, size, seed=seed, name="score_classifier")
            train_classifier(
                model,
                data,
                steps=steps,
                batch_size=batch_size,
                augmentation=augmentation,
                seed=seed,
            )
        correct = predict_logits(model, test_x).argmax(axis=-1) == test_y
        report[f"{name}_accuracy"] = float(correct.mean())
        report["per_class"][name] = [
            float(correct[test_y == label].mean()) if (test_y == label).any() else None
            for label in range(spec.num_classes)
        ]
    return report


def _labelled_rows(name: str, x: np.ndarray, y: np.ndarray) -> Labelled:
    x, y = np.asarray(x, np.float32), np.asarray(y)
    if len(x) != len(y) or not (y >= 0).any():
        raise InvalidInputError(
            f"`{name}` must hold labelled samples, one label each. Received: {len(x)} samples, "
            f"{int((y >= 0).sum())} labels. Give both for every class."
        )
    return x[y >= 0], y[y >= 0]
