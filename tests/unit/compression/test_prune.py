"""Pruning plans, and exact zeros after training."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_ganaccel.compression.kernels import kernel_table, sparsity_of, total_size
from keras_ganaccel.compression.prune import prune, prune_plan
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train


def planned_share(model, plan):
    table = kernel_table(model)
    zeros = sum(plan.get(k.layer, 0.0) * k.value.size for k in table if not k.refusal)
    return zeros / total_size(table)


@pytest.mark.parametrize("policy", ["uniform", "global"])
def test_plan_reaches_the_share_over_all_kernels(trained, policy):
    plan = prune_plan(trained, 0.6, policy)
    assert planned_share(trained, plan) == pytest.approx(0.6, abs=2e-3)
    assert "depthwise" not in plan


def test_global_plan_removes_the_weights_of_least_lamp_score(trained):
    plan = prune_plan(trained, 0.5, "global")
    scores = {}
    for name in plan:
        squares = np.sort(trained.get_layer(name).kernel.numpy().ravel() ** 2.0)
        scores[name] = [s / squares[i:].sum() for i, s in enumerate(squares)]
    cut = {n: round(plan[n] * len(s)) for n, s in scores.items()}
    highest_removed = max(s[cut[n] - 1] for n, s in scores.items() if cut[n])
    lowest_kept = min(s[cut[n]] for n, s in scores.items())
    assert highest_removed <= lowest_kept * (1 + 1e-4)


def test_plan_by_layer_name(trained):
    assert prune_plan(trained, 0.0, {"conv": 0.8, "st*": 0.2}) == {"conv": 0.8, "stem": 0.2}
    with pytest.raises(InvalidInputError, match=r"'cnv'.*Did you mean 'conv'"):
        prune_plan(trained, 0.0, {"cnv": 0.8})


def test_small_kernels_stay_dense():
    model = keras.Sequential(
        [keras.Input((4,)), L.Dense(2, name="tiny"), L.Dense(900, name="large")]
    )
    assert set(prune_plan(model, 0.5, "uniform")) == {"large"}


def test_unreachable_and_unknown(trained):
    with pytest.raises(InvalidInputError, match=r"At most 0\.9"):
        prune_plan(trained, 0.97)
    with pytest.raises(InvalidInputError, match="must be in"):
        prune_plan(trained, 1.0)
    with pytest.raises(InvalidInputError, match="'uniform'"):
        prune_plan(trained, 0.5, "unifrm")
    with pytest.raises(InvalidInputError, match="latency"):
        prune_plan(trained, 0.5, "latency")


def test_latency_policy_prunes_pointwise_convolutions_only():
    image = keras.Input((32, 32, 3), name="image")
    x = L.ZeroPadding2D(((1, 1), (1, 1)))(image)
    x = L.ReLU()(L.Conv2D(8, 3, strides=2, padding="valid", name="stem")(x))
    x = L.Conv2D(16, 1, name="first")(L.DepthwiseConv2D(3, padding="same")(x))
    x = L.Conv2D(16, 1, name="second")(L.ReLU()(x))
    model = keras.Model(image, L.Dense(10, name="head")(L.GlobalAveragePooling2D()(x)))
    assert set(prune_plan(model, 0.2, "latency")) == {"first", "second"}


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
def test_pruned_kernels_hold_exact_zeros(trained, tuner, accuracy, schedule):
    before = [w.copy() for w in trained.get_weights()]
    plan = prune_plan(trained, 0.6)
    pruned = prune(trained, tuner, plan, schedule=schedule, steps=60, learning_rate=3e-3)
    assert sparsity_of(pruned) >= 0.6 - 1e-6
    for name, share in plan.items():
        zeros = (pruned.get_layer(name).kernel.numpy() == 0).mean()
        assert zeros >= share - 1e-6
    assert (pruned.get_layer("depthwise").kernel.numpy() != 0).all()
    assert accuracy(pruned) > accuracy(trained) - 0.06
    for old, new in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_unknown_schedule(trained, tuner):
    with pytest.raises(InvalidInputError, match="polynomial"):
        prune(trained, tuner, {}, schedule="polynomal")
