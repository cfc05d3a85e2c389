import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax

from keras_ganaccel.classifier import held_out
from keras_ganaccel.classifier.held_out import plan_for, weights_of


def _rows(count, width=4):
    return np.zeros((count, width), "float32")


@pytest.mark.parametrize(("rows", "folds"), [(100, 5), (4000, 5), (4001, 3)])
def test_every_row_of_a_table_is_judged_once_by_a_fit_that_did_not_see_it(rows, folds):
    y = np.arange(rows) % 3
    plan = plan_for(_rows(rows), y, seed=1)
    assert plan.bagged
    assert len(plan.splits) == folds
    assert sorted(plan.judged) == list(range(rows))
    for learned, held in plan.splits:
        assert not set(learned) & set(held)
        assert len(learned) + len(held) == rows
        np.testing.assert_allclose(np.bincount(y[held]) / len(held), 1 / 3, atol=0.05)


def test_a_group_is_never_on_both_sides():
    groups = np.repeat(np.arange(12), 5)
    y = np.random.default_rng(0).integers(0, 2, 60)
    for learned, held in plan_for(_rows(60), y, seed=0, groups=groups).splits:
        assert not set(groups[learned]) & set(groups[held])


def test_rows_too_few_to_be_held_out_leave_the_members_equal():
    assert plan_for(_rows(2), np.array([0, 1]), seed=0) is None
    assert plan_for(_rows(4), np.array([0, 0, 0, 1]), seed=0) is None
    images = np.zeros((1999, 2, 2, 1), "float32")
    assert plan_for(images, np.arange(1999) % 2, seed=0) is None


def test_of_many_images_one_part_is_held_out():
    images = np.zeros((5000, 1, 1, 1), "float32")
    plan = plan_for(images, np.arange(5000) % 2, seed=0)
    assert not plan.bagged
    ((learned, held),) = plan.splits
    assert (len(learned), len(held)) == (4750, 250)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4), st.integers(30, 200))
def test_the_weights_are_the_likeliest_ones(seed, members, rows):
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, rows)
    noise = random.uniform(0.3, 4.0, (members, 1, 1))
    chances = softmax(2 * np.eye(3)[y] + noise * random.normal(size=(members, rows, 3)), axis=2)
    found = weights_of(chances, y)
    assert found.sum() == pytest.approx(1)
    assert found.min() > 0
    right = chances[:, np.arange(rows), y]

    def cost(weights):
        prior = held_out._PRIOR_ROWS / members * np.log(np.maximum(weights, 1e-12)).sum()
        return -np.log(np.maximum(weights @ right, 1e-12)).sum() - prior

    reference = minimize(
        cost, np.full(members, 1 / members), method="SLSQP", bounds=[(1e-6, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )  # fmt: skip
    assert cost(found) <= reference.fun + 1e-2


def test_few_rows_hardly_move_the_weights_and_many_silence_a_bad_member():
    y = np.zeros(1000, int)
    good, bad = np.tile([0.9, 0.1], (1000, 1)), np.tile([0.3, 0.7], (1000, 1))
    chances = np.stack([good, bad])
    assert weights_of(chances[:, :5], y[:5])[0] < 0.65
    assert weights_of(chances, y)[0] > 0.97
