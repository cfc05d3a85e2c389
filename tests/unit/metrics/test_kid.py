import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics import kid as kid_module
from keras_ganaccel.metrics.kid import kid


def naive_kid(x, y):
    """The definition, sample by sample."""

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1.0) ** 3

    def within(samples):
        pairs = [k(a, b) for i, a in enumerate(samples) for j, b in enumerate(samples) if i != j]
        return sum(pairs) / len(pairs)

    between = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2.0 * sum(between) / len(between)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 9), st.integers(3, 9), st.integers(1, 5))
def test_value_is_the_double_loop_and_stderr_the_jackknife(seed, m, n, d):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(m, d)), rng.normal(0.5, 2.0, size=(n, d))
    score = kid(x, y)
    assert score.value == pytest.approx(naive_kid(x, y), rel=1e-9, abs=1e-9)
    without_x = [naive_kid(np.delete(x, i, 0), y) for i in range(m)]
    without_y = [naive_kid(x, np.delete(y, j, 0)) for j in range(n)]
    variance = (m - 1) * np.var(without_x) + (n - 1) * np.var(without_y)
    assert score.stderr == pytest.approx(np.sqrt(variance), rel=1e-7)
    assert (score.real_samples, score.generated_samples) == (m, n)


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(53, 4)), rng.normal(1.0, size=(38, 4))
    whole = kid(x, y)
    monkeypatch.setattr(kid_module, "_BLOCK", 7)
    assert kid(x, y) == pytest.approx(whole, rel=1e-12)


def test_is_unbiased_and_its_stderr_is_honest():
    rng = np.random.default_rng(1)

    def repeat(shift):
        scores = [
            kid(rng.normal(size=(60, 3)), rng.normal(shift, size=(45, 3))) for _ in range(300)
        ]
        return np.array([(s.value, s.stderr) for s in scores])

    same, apart = repeat(0.0), repeat(1.0)
    assert abs(same[:, 0].mean()) < 3 * same[:, 0].std() / np.sqrt(300)
    # Monte Carlo truth: nearly exact where the distributions differ, at most sqrt(2) above else.
    assert 0.85 < apart[:, 1].mean() / apart[:, 0].std() < 1.25
    assert 0.95 < same[:, 1].mean() / same[:, 0].std() < 1.8


def test_is_symmetric_and_ignores_the_order():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(20, 4)), rng.normal(1.0, size=(30, 4))
    assert kid(x, y)[:2] == pytest.approx(kid(y[::-1], x)[:2], rel=1e-10)


def test_computes_in_float64_whatever_comes():
    x = np.full((5, 2), 300, np.uint16) + np.arange(5, dtype=np.uint16)[:, None]
    assert kid(x, x[:4]).value == pytest.approx(naive_kid(x.astype(float), x[:4].astype(float)))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((2, 3)), np.zeros((9, 3)), "`real` must have shape"),
        (np.zeros((9, 3)), np.zeros((9, 4)), "equally many features"),
        (np.zeros((9, 3)), np.full((9, 3), np.nan), "`generated` must be finite"),
        (np.zeros(9), np.zeros((9, 1)), "`real` must have shape"),
    ],
)
def test_refuses_what_does_not_fit(x, y, message):
    with pytest.raises(InvalidInputError, match=message):
        kid(x, y)
