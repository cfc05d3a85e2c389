"""Weight clustering: few distinct values per kernel, which compress well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import keras
import numpy as np
from sklearn.cluster import KMeans

from keras_ganaccel.compression.bridge import from_tf_keras, to_tf_keras
from keras_ganaccel.compression.finetune import FineTuner, Progress, quick_statistics
from keras_ganaccel.compression.kernels import (
    kernel_table,
    trained_variables,
    twin_variables,
    workable,
)
from keras_ganaccel.compression.preserve import keep
from keras_ganaccel.errors import InvalidInputError

# k-means looks at no more weights than these: their distribution is what matters.
_SAMPLE = 50_000
_NAMED = 3


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
        InvalidInputError: `number_of_clusters` is out of range, or no kernel may change.
    """
    if not 3 <= number_of_clusters <= 256:
        raise InvalidInputError(
            f"`number_of_clusters` must be in [3, 256]. Received: {number_of_clusters}. "
            "16 halves the bits of an int8 weight."
        )
    table = kernel_table(model)
    if not workable(table):
        why = ", ".join(f"{kernel.layer!r} ({kernel.refusal})" for kernel in table[:_NAMED])
        raise InvalidInputError(
            f"There is no kernel to cluster. Received: {why or 'a model without kernels'}. "
            "Set `trainable=True` on what may change, or choose another technique."
        )
    return {
        name: number_of_clusters
        for name, kernels in workable(table).items()
        if any(fnmatchcase(name, pattern) for pattern in layers)
        and any(len(np.unique(kernel.value)) > number_of_clusters for kernel in kernels)
    }


def cluster(
    model: keras.Model,
    tuner: FineTuner,
    plan: Mapping[str, int],
    *,
    preserve_sparsity: bool = False,
    steps: int = 600,
    learning_rate: float = 1e-3,
    samples: Any = None,
    on_progress: Progress | None = None,
) -> keras.Model:
    """Clusters kernels by k-means and fine-tunes the shared values (Han et al., arXiv 1510.00149).

    The weights of a cluster keep one common value while they are trained. It is done here and not
    by TF-MOT's wrapper, which takes neither attention nor half of the convolutions.

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
    twin = to_tf_keras(model, samples=samples)
    twins = twin_variables(model, twin)
    shared = []
    for name, count in plan.items():
        for kernel in workable(kernel_table(model))[name]:
            if len(np.unique(kernel.value)) > count:
                weight = twins[id(kernel.variable)]
                weight.assign(_clustered(kernel.value, count, preserve_sparsity))
                shared.append(weight)
    with quick_statistics(twin):
        tuner.run(
            twin,
            variables=trained_variables(model, twin),
            steps=steps,
            learning_rate=learning_rate,
            after_step=[keep(weight, zeros=preserve_sparsity, clusters=True) for weight in shared],
            on_progress=on_progress,
        )
    return from_tf_keras(twin, model)


def distinct_values(model: keras.Model, plan: Mapping[str, int] | None = None) -> int:
    """The most distinct values in any kernel of a model that is not depthwise.

    Args:
        model: A clustered Keras 3 model.
        plan: Layers whose kernels are known to keep that many values per output channel, such as
            through a batch norm's factors; they are not counted again.
    """
    found = list((plan or {}).values())
    for kernel in kernel_table(model):
        if not kernel.depthwise and (kernel.refusal or kernel.layer not in (plan or {})):
            found.append(len(np.unique(kernel.value)))
    return max(found, default=0)


def _clustered(value: np.ndarray, count: int, preserve_sparsity: bool) -> np.ndarray:
    """Gives each weight the nearest of few values, which k-means chooses."""
    zero = (value == 0.0) & preserve_sparsity
    weights = value[~zero]
    if zero.any():
        count -= 1
    sample = weights
    if len(weights) > _SAMPLE:
        sample = np.random.default_rng(0).choice(weights, _SAMPLE, replace=False)
    means = KMeans(count, n_init=1, random_state=0).fit(sample[:, None])
    centers = np.sort(means.cluster_centers_[:, 0])
    nearest = np.searchsorted((centers[1:] + centers[:-1]) / 2, weights)
    found = value.copy()
    found[~zero] = centers[nearest]
    return found
