import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.proportions import paired_difference, wilson_interval


def answers(both, only_first, only_second, neither=0):
    """Right or wrong of two classifiers, from the four counts of McNemar's table."""
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return np.array(first), np.array(second)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (530, 540), (1, 3)])
def test_wilson_solves_its_quadratic(successes, trials):
    # The ends are the shares p for which |observed - p| is z standard errors under p.
    z, share = 1.959963984540054, successes / trials
    for end in wilson_interval(successes, trials):
        assert (share - end) ** 2 == pytest.approx(z * z * end * (1 - end) / trials, abs=1e-9)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 5), (0, 6), (9, 2), (30, 31), (12, 40)])
def test_mcnemar_is_a_fair_coin_on_the_rows_that_differ(b, c):
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    found = paired_difference(*answers(100, b, c, 7))
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))
    assert (found.rows, found.only_first, found.only_second) == (107 + b + c, b, c)
    assert found.difference == pytest.approx((b - c) / found.rows)
    assert found.certain == (found.p_value < 0.05)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400), st.integers(0, 60))
def test_what_is_certain_has_an_interval_on_one_side_of_zero(b, c, both, neither):
    if b + c + both + neither == 0:
        return
    found = paired_difference(*answers(both, b, c, neither))
    low, high = found.ci95
    assert -1 <= low <= high <= 1
    assert low <= (b - c + 0.0) / (found.rows + 2) <= high
    if found.certain:
        assert low > 0 or high < 0
    mirrored = paired_difference(*answers(both, c, b, neither))
    assert mirrored.ci95 == pytest.approx((-high, -low))
    assert mirrored.p_value == pytest.approx(found.p_value)


@pytest.mark.train
@pytest.mark.parametrize("rows", [30, 300])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(rows):
    random = np.random.default_rng(0)
    held = []
    for _ in range(1500):
        first, second = answers(*random.multinomial(rows, [0.85, 0.08, 0.03, 0.04]))
        low, high = paired_difference(first, second).ci95
        held.append(low <= 0.05 <= high)
    assert 0.93 <= np.mean(held) <= 0.985


def test_a_pair_tells_what_two_overlapping_intervals_hide():
    found = paired_difference(*answers(950, 0, 12, 38))
    first, second = wilson_interval(950, 1000), wilson_interval(962, 1000)
    assert first[1] > second[0]
    assert found.certain
    assert found.ci95[1] < 0


@pytest.mark.parametrize(("first", "second"), [([], []), ([True], [True, False])])
def test_only_the_same_rows_can_be_compared(first, second):
    with pytest.raises(InvalidInputError, match="same rows"):
        paired_difference(np.array(first, bool), np.array(second, bool))
