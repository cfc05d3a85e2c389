import numpy as np
import pytest
from scipy import linalg

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.frechet import frechet_distance


def by_sqrtm(x, y):
    mean = np.square(x.mean(0) - y.mean(0)).sum()
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return mean + np.trace(a + b - 2.0 * np.real(linalg.sqrtm(a @ b)))


@pytest.mark.parametrize("seed", range(3))
def test_is_scipys_matrix_root(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12))
    y = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12)
    assert frechet_distance(x, y, allow_biased=True) == pytest.approx(by_sqrtm(x, y), rel=1e-9)


def test_is_the_closed_form_of_independent_gaussians():
    rng = np.random.default_rng(0)
    means, scales = np.array([1.0, -2.0, 0.5]), np.array([0.5, 2.0, 3.0])
    x = rng.normal(size=(60_000, 3))
    y = means + scales * rng.normal(size=(60_000, 3))
    truth = np.square(means).sum() + np.square(1.0 - scales).sum()
    assert frechet_distance(x, y) == pytest.approx(truth, rel=0.02)


def test_one_dimension_is_exact_in_the_samples_moments():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 1)), rng.normal(3.0, 2.0, size=(70, 1))
    exact = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y, allow_biased=True) == pytest.approx(exact, rel=1e-12)


def test_is_real_and_zero_where_covariances_are_singular():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(6, 40))  # fewer samples than features, where the root goes complex
    assert frechet_distance(few, few, allow_biased=True) == pytest.approx(0.0, abs=1e-9)
    constant = np.zeros((6, 40))
    trace = np.cov(few, rowvar=False).trace() + np.square(few.mean(0)).sum()
    assert frechet_distance(few, constant, allow_biased=True) == pytest.approx(trace)


def test_refuses_to_mislead_on_few_samples():
    enough, few = np.random.default_rng(0).normal(size=(2048, 2)), np.zeros((2047, 2))
    assert frechet_distance(enough, enough) == pytest.approx(0.0, abs=1e-9)
    for pair in ((enough, few), (few, enough)):
        with pytest.raises(InvalidInputError, match=r"2048 samples.*2047.*KID"):
            frechet_distance(*pair)
