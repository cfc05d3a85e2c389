"""Sharing out classes, and asking for candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_ganaccel.errors import InvalidInputError, RunFailedError
from keras_ganaccel.mixing.plan import Quota, class_targets, spread_labels


@given(st.integers(0, 1000), st.lists(st.floats(0.01, 100), min_size=1, max_size=8))
def test_targets_are_the_nearest_whole_shares(size, weights):
    targets = class_targets(size, len(weights), weights)
    exact = size * np.array(weights) / np.sum(weights)
    assert targets.sum() == size
    assert np.abs(targets - exact).max() < 1


@pytest.mark.parametrize("weights", [[1.0], [0, 0, 0], [1, -1, 1], [1, 1, float("nan")]])
def test_wrong_weights_are_refused(weights):
    with pytest.raises(InvalidInputError, match="class_weights"):
        class_targets(10, 3, weights)


def test_spread_labels_hold_every_class_evenly():
    targets = np.array([60, 30, 0, 10])
    labels = spread_labels(targets, seed=3)
    assert np.bincount(labels, minlength=4).tolist() == targets.tolist()
    for label, target in enumerate(targets):
        places = np.flatnonzero(labels == label)
        # The j-th lies in the j-th of `target` equal stretches; each other class moves it by one.
        ideal = (np.arange(target) + 0.5) * 100 / max(target, 1)
        assert np.abs(places - ideal).max(initial=0) < 0.5 * 100 / max(target, 1) + 2
    assert (labels == spread_labels(targets, 3)).all()
    assert (labels != spread_labels(targets, 4)).any()


def test_a_quota_is_filled_exactly_at_any_acceptance():
    rng = np.random.default_rng(0)
    rates, wanted = np.array([1.0, 0.5, 0.05]), np.array([40, 70, 30])
    quota, got = Quota(wanted, chunk=200, max_attempts=100), np.zeros(3, int)
    drawn = 0
    while not quota.done:
        labels = quota.next_labels()
        assert len(labels) <= 200 + 3
        drawn += len(labels)
        kept = rng.random(len(labels)) < rates[labels]
        taken = quota.record(labels, kept)
        assert kept[taken].all()
        got += np.bincount(labels[taken], minlength=3)
    assert got.tolist() == wanted.tolist()
    # Not many more than the acceptance makes necessary.
    assert drawn < 2 * (wanted / rates).sum()


def test_a_quota_gives_up_below_its_acceptance():
    quota = Quota(np.array([10, 10]), chunk=100, max_attempts=10)
    with pytest.raises(RunFailedError, match="class 1"):
        for _ in range(100):
            labels = quota.next_labels()
            quota.record(labels, labels == 0)
