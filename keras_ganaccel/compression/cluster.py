"""Weight clustering: few distinct values per kernel, which compress well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import keras
import numpy as np

from keras_ganaccel.compression.bridge import from_tf_keras, to_tf_keras
from keras_ganaccel.compression.finetune import FineTuner, Progress, quick_statistics
from keras_ganaccel.compression.prune import prunable_kernels
from keras_ganaccel.compression.tfmot import load_tfmot, rewrapped
from keras_ganaccel.errors import InvalidInputError


def cluster_plan(
    model: keras.Model, number_of_clusters: int, layers: Sequence[str] = ("*",)
) -> dict[str, int]:
    """Decides how many distinct values each layer's kernel shall have.

    Depthwise kernels stay as they are: they are small, and clustering them costs accuracy.

    Args:
        model: A built Keras 3 model.
        number_of_clusters: Distinct values per kernel, 3 to 256.
        layers: Names of the layers to cluster, wildcards allowed.

    Returns:
        The number of values by layer name; kernels with too few values are left out.

    Raises:
        InvalidInputError: `number_of_clusters` is out of range.
    """
    if not 3 <= number_of_clusters <= 256:
        raise InvalidInputError(
            f"`number_of_clusters` must be in [3, 256]. Received: {number_of_clusters}. "
            "16 halves the bits of an int8 weight."
        )
    return {
        name: number_of_clusters
        for name, kernel in prunable_kernels(model).items()
        if any(fnmatchcase(name, pattern) for pattern in layers)
        and len(np.unique(kernel)) > number_of_clusters
    }


def cluster(
    model: keras.Model,
    tuner: FineTuner,
    plan: Mapping[str, int],
    *,
    preserve_sparsity: bool = False,
    steps: int = 600,
    learning_rate: float = 1e-3,
    samples: np.ndarray | None = None,
    on_progress: Progress | None = None,
) -> keras.Model:
    """Clusters kernels while fine-tuning, with TF-MOT (Han et al., arXiv 1510.00149).

    Args:
        model: A built Keras 3 model in float32. It is not changed.
        tuner: Data and loss.
        plan: The number of values by layer name; see `cluster_plan`.
        preserve_sparsity: Whether weights that are zero stay zero.
        steps: Optimiser steps.
        learning_rate: Adam's first one.
        samples: Real samples for the proof that the bridge carries the model over.
        on_progress: Called with the steps done and their total.

    Returns:
        A Keras 3 model whose planned kernels have at most that many distinct values each.
    """
    clustering = load_tfmot().clustering.keras
    twin = to_tf_keras(model, samples=samples)

    def wrap(layer: Any) -> Any:
        if layer.name not in plan:
            return layer
        return clustering.cluster_weights(
            layer,
            number_of_clusters=plan[layer.name],
            cluster_centroids_init=clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
            preserve_sparsity=preserve_sparsity,
        )

    clustered = rewrapped(twin, wrap)
    with quick_statistics(clustered):
        tuner.run(clustered, steps=steps, learning_rate=learning_rate, on_progress=on_progress)
    return from_tf_keras(clustering.strip_clustering(clustered), model)


def clusters_of(model: keras.Model, plan: Mapping[str, int]) -> int:
    """The largest number of distinct values among the planned kernels of a Keras 3 model."""
    kernels = prunable_kernels(model)
    return max((len(np.unique(kernels[name])) for name in plan), default=0)
