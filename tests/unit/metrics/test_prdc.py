import numpy as np
import pytest
import sklearn

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.prdc import prdc


def brute_force(real, generated, k):
    def distance(a, b):
        return np.sqrt(np.square(a - b).sum())

    def radius(samples, i):
        return sorted(distance(samples[i], samples[j]) for j in range(len(samples)) if j != i)[
            k - 1
        ]

    r = [radius(real, i) for i in range(len(real))]
    g = [radius(generated, j) for j in range(len(generated))]
    d = [[distance(a, b) for b in generated] for a in real]
    m, n = len(real), len(generated)
    return {
        "precision": sum(any(d[i][j] < r[i] for i in range(m)) for j in range(n)) / n,
        "recall": sum(any(d[i][j] < g[j] for j in range(n)) for i in range(m)) / m,
        "density": sum(d[i][j] < r[i] for i in range(m) for j in range(n)) / (k * n),
        "coverage": sum(any(d[i][j] < r[i] for j in range(n)) for i in range(m)) / m,
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("d", [2, 40])
def test_is_the_definition(k, d):
    rng = np.random.default_rng(k)
    real, generated = rng.normal(size=(23, d)), rng.normal(0.4, 0.8, size=(31, d))
    assert prdc(real, generated, k) == pytest.approx(brute_force(real, generated, k))


def test_chunks_do_not_change_the_result():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(150, 3)), rng.normal(0.5, size=(2000, 3))
    whole = prdc(real, generated)
    with sklearn.config_context(working_memory=0.05):
        assert prdc(real, generated) == whole


def test_equal_distributions_score_near_one_and_a_lost_mode_shows_in_coverage():
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(400, 2)), rng.normal(size=(400, 2))
    right_half = same[same[:, 0] > 0]
    whole, half = prdc(real, same), prdc(real, right_half)
    assert whole["precision"] > 0.9
    assert whole["coverage"] > 0.9
    assert half["precision"] > 0.9
    assert half["coverage"] < 0.7


def test_refuses_what_does_not_fit():
    with pytest.raises(InvalidInputError, match="n >= 6"):
        prdc(np.zeros((5, 2)), np.zeros((9, 2)))
    with pytest.raises(InvalidInputError, match="at least 1"):
        prdc(np.zeros((5, 2)), np.zeros((9, 2)), k=0)
