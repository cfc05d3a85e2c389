import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import ttest_1samp

from keras_ganaccel.gate.statistics import (
    calibrated_log_loss,
    holm_levels,
    holm_rejected,
    paired_test,
)

DIFFERENCES = [0.02, -0.01, 0.03, 0.015, 0.0]


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.995])
def test_folds_of_one_repetition_give_scipys_paired_t_test(confidence):
    reference = ttest_1samp(DIFFERENCES, 0, alternative="greater")
    interval = ttest_1samp(DIFFERENCES, 0).confidence_interval(confidence)
    for folds in (None, 5, 10):
        test = paired_test(DIFFERENCES, folds=folds, confidence=confidence)
        assert test.mean == pytest.approx(np.mean(DIFFERENCES))
        assert test.p_value == pytest.approx(reference.pvalue)
        assert (test.low, test.high) == pytest.approx(tuple(interval))


def test_the_interval_lies_above_zero_exactly_where_the_one_sided_test_rejects():
    for scale in np.linspace(-0.02, 0.06, 41):
        test = paired_test(np.array(DIFFERENCES) + scale, confidence=0.98)
        assert (test.low > 0) == (test.p_value < 0.01)


def test_repeating_the_same_folds_does_not_make_certain():
    once = paired_test(DIFFERENCES, folds=5)
    often = paired_test(DIFFERENCES * 40, folds=5)
    spread = np.std(DIFFERENCES, ddof=0) / np.sqrt(5)
    assert often.high - often.low > 2 * 1.96 * spread * 0.99
    assert often.high - often.low < once.high - once.low
    assert paired_test(DIFFERENCES * 40).low > 0  # as it would look without the folds


def test_equal_differences_are_a_sign_test():
    assert paired_test([0.1] * 5).p_value == pytest.approx(1 / 32)
    assert paired_test([0.0] * 5).p_value == 1
    assert paired_test([-0.1] * 5).p_value == 1


def test_holm_steps_down_and_stops_at_the_first_failure():
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}  # Wikipedia's worked example
    assert holm_levels(p_values, 4) == {"d": 4, "a": 3, "c": 2, "b": 1}
    assert holm_rejected(p_values, 4, 0.05) == {"a", "d"}
    # A later one is not rejected even where it would pass its own level.
    assert holm_rejected({"a": 0.03, "b": 0.04}, 2, 0.05) == set()
    # Hypotheses that were given up still count.
    assert holm_rejected({"a": 0.01}, 6, 0.05) == set()


def test_the_calibrated_log_loss_is_the_least_over_temperatures():
    random = np.random.default_rng(0)
    y = random.integers(0, 4, 300)
    logits = random.normal(size=(300, 4)) + 2.0 * np.eye(4)[y]
    grid = [
        -log_softmax(scale * logits, axis=1)[np.arange(300), y].mean()
        for scale in np.geomspace(0.05, 20, 2000)
    ]
    for factor in (0.3, 1.0, 5.0):
        assert calibrated_log_loss(factor * logits, y) == pytest.approx(min(grid), abs=1e-5)


def test_it_is_finite_where_every_answer_is_right():
    logits = np.eye(3)[[0, 1, 2]] * 50
    assert 0 <= calibrated_log_loss(logits, np.arange(3)) < 1e-6
