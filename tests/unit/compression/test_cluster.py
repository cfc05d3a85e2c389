"""Clustered kernels have few values, and keep their zeros."""

import numpy as np
import pytest

from keras_ganaccel.compression.cluster import cluster, cluster_plan, distinct_values
from keras_ganaccel.compression.prune import prune, prune_plan
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train


def test_few_values_and_accuracy(trained, tuner, accuracy):
    plan = cluster_plan(trained, 8)
    assert set(plan) == {"stem", "pointwise", "conv", "logits"}
    clustered = cluster(trained, tuner, plan, steps=60, learning_rate=1e-3)
    for name in plan:
        assert len(np.unique(clustered.get_layer(name).kernel)) <= 8
    assert distinct_values(clustered) <= 8
    assert accuracy(clustered) > accuracy(trained) - 0.05


def test_zeros_stay(trained, tuner):
    pruned = prune(trained, tuner, prune_plan(trained, 0.5), steps=20)
    plan = cluster_plan(pruned, 6, layers=["conv", "p*"])
    assert set(plan) == {"conv", "pointwise"}
    clustered = cluster(pruned, tuner, plan, preserve_sparsity=True, steps=20)
    for name in plan:
        zeros = pruned.get_layer(name).kernel.numpy() == 0
        kernel = clustered.get_layer(name).kernel.numpy()
        assert (kernel[zeros] == 0).all()
        assert len(np.unique(kernel)) <= 6


@pytest.mark.parametrize("number", [2, 257])
def test_range(trained, number):
    with pytest.raises(InvalidInputError, match="number_of_clusters"):
        cluster_plan(trained, number)
