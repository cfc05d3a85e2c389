"""Filters against their definitions, and what the chain counts."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.generated.coverage import Disagreement, disagreement
from keras_ganaccel.generated.filters import (
    Chain,
    ConfidenceBand,
    NearDuplicates,
    TeacherAgreement,
    content_uniforms,
)
from keras_ganaccel.generated.rejection import (
    DensityRatio,
    DiscriminatorRejection,
    discriminator_score,
    rejection_probabilities,
)

pytestmark = pytest.mark.train

RNG = np.random.default_rng(0)


def numbers(count):
    """Samples of one pixel, different from each other."""
    return ((np.arange(count) + 0.5) / count).astype(np.float32).reshape(-1, 1, 1, 1)


def sure_of(x):
    """A teacher of two classes: the pixel is the probability of class 1."""
    p = x.reshape(len(x), -1)[:, 0]
    return np.stack([1 - p, p], axis=1)


def test_teacher_agreement():
    x, y = numbers(10), np.array([0, 1] * 5)
    expected = np.where(y == 1, x.ravel() > 0.5, x.ravel() < 0.5)
    assert (TeacherAgreement(sure_of).mask(x, y) == expected).all()
    strict = TeacherAgreement(sure_of, min_confidence=0.8).mask(x, y)
    assert (strict == np.where(y == 1, x.ravel() >= 0.8, x.ravel() <= 0.2)).all()


def test_teachers_of_every_kind(clouds):
    import keras

    x, y = clouds
    flat = LogisticRegression(C=100).fit(x.reshape(len(x), -1), y)
    expected = flat.predict(x.reshape(len(x), -1)) == y
    layers = [keras.Input((3, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3, name="logits")]
    model = keras.Sequential(layers)
    model.layers[-1].set_weights([flat.coef_.T, flat.intercept_])
    for teacher in (flat, model, lambda x: flat.predict_proba(x.reshape(len(x), -1))):
        assert (TeacherAgreement(teacher).mask(x, y) == expected).all()


def test_a_keras_teacher_is_traced_once_for_all_chunks():
    import keras

    traces = []

    class Sure(keras.layers.Layer):
        def call(self, x):
            traces.append(1)
            pixel = keras.ops.reshape(x, (-1, 1))
            return keras.ops.concatenate([1 - pixel, pixel], axis=1)

    inputs = keras.Input((1, 1, 1))
    model = keras.Model(inputs, Sure()(inputs))
    x, y = numbers(100), np.zeros(100, int)
    filters = (TeacherAgreement(model), ConfidenceBand(model), Disagreement(model, sure_of, x))
    for one in filters:
        one.mask(x, y)
        traces.clear()
        for _ in range(3):
            one.mask(x, y)
        assert not traces


def test_confidence_band():
    x = numbers(100)
    confidence = np.maximum(x.ravel(), 1 - x.ravel())
    kept = ConfidenceBand(sure_of, low=0.6, high=0.9).mask(x, np.zeros(100, int))
    assert (kept == ((confidence >= 0.6) & (confidence <= 0.9))).all()
    with pytest.raises(InvalidInputError, match="exceed"):
        ConfidenceBand(sure_of, low=0.9, high=0.6)
    with pytest.raises(InvalidInputError, match="min_confidence"):
        TeacherAgreement(sure_of, min_confidence=1.5)


def test_near_duplicates(clouds):
    x, _ = clouds
    flat = x.reshape(len(x), -1)
    search = NearestNeighbors(n_neighbors=2).fit(flat)
    threshold = 0.5 * np.median(search.kneighbors(flat)[0][:, 1])
    one = NearDuplicates(x, factor=0.5)
    assert one.threshold == pytest.approx(threshold, rel=1e-6)
    moved = x + RNG.normal(0, 0.02, x.shape).astype(np.float32)
    distance = search.kneighbors(moved.reshape(len(x), -1), n_neighbors=1)[0][:, 0]
    assert (one.mask(moved, np.zeros(len(x), int)) == (distance > threshold)).all()
    assert not one.mask(x, np.zeros(len(x), int)).any()


def test_chain_counts_per_class_and_filter():
    x, y = numbers(40), np.arange(40) % 2
    first = ConfidenceBand(sure_of, low=0.7, high=1.0)
    chain = Chain([first, TeacherAgreement(sure_of), first], 3)
    kept = np.concatenate([chain.mask(x[:15], y[:15]), chain.mask(x[15:], y[15:])])
    one, two = first.mask(x, y), TeacherAgreement(sure_of).mask(x, y)
    assert (kept == (one & two)).all()
    tried = [20, 20, 0]
    after = [np.bincount(y[rows], minlength=3).tolist() for rows in (one, one & two, one & two)]
    assert chain.passed.tolist() == [tried, *after]
    acceptance = chain.acceptance()
    assert list(acceptance) == ["confidence_band", "teacher_agreement", "confidence_band#2"]
    expected = [after[1][label] / after[0][label] for label in (0, 1)]
    assert acceptance["teacher_agreement"][:2] == expected
    assert acceptance["confidence_band"][2] is None


def test_content_uniforms_are_uniform_and_independent_of_their_surroundings():
    x = RNG.random((5000, 2, 2, 1)).astype(np.float32)
    draws = content_uniforms(3, x)
    assert stats.kstest(draws, "uniform").pvalue > 0.001
    assert (content_uniforms(3, x[100:110]) == draws[100:110]).all()
    assert np.abs(np.corrcoef(draws, content_uniforms(4, x))[0, 1]) < 0.06


def test_rejection_probabilities_by_the_paper():
    logits, maximum, gamma = np.array([-3.0, 0.0, 1.5, 1.999]), 2.0, 0.4
    difference = logits - maximum
    expected = 1 / (1 + np.exp(-(difference - np.log(1 - np.exp(difference - 1e-14)) - gamma)))
    found = rejection_probabilities(logits, maximum, gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    # Without gamma this is the ratio of the densities over its maximum.
    np.testing.assert_allclose(
        rejection_probabilities(logits, maximum, 0.0), np.exp(difference), rtol=1e-6
    )
    assert rejection_probabilities(np.array([5.0]), maximum, gamma)[0] > 0.999


def test_discriminator_rejection_turns_one_density_into_another():
    """Uniform samples, the logit is the log ratio to the density 2x: what is kept has it."""
    x = RNG.random((20_000, 1, 1, 1)).astype(np.float32)
    y = np.zeros(len(x), int)

    def score(x, y):
        return np.log(2 * x.ravel().astype(float))

    one = DiscriminatorRejection(score, x[:4000], y[:4000], seed=1)
    one.gamma = {0: 0.0}
    kept = one.mask(x, y)
    assert kept.mean() == pytest.approx(0.5, abs=0.02)
    assert stats.kstest(x[kept].ravel(), lambda v: v**2).pvalue > 0.001


def test_discriminator_rejection_is_calibrated_per_class():
    x = RNG.random((4000, 1, 1, 1)).astype(np.float32)
    y = np.arange(4000) % 2

    def score(x, y):
        return np.log(x.ravel().astype(float)) + 10.0 * y

    one = DiscriminatorRejection(score, x, y, percentile=70)
    shares = [one.mask(x, y)[y == label].mean() for label in (0, 1)]
    assert shares[0] == pytest.approx(shares[1], abs=0.05)
    stricter = DiscriminatorRejection(score, x, y, percentile=95).mask(x, y).mean()
    assert stricter < min(shares)
    with pytest.raises(InvalidInputError, match=r"not calibrated on some classes.*\[5\]"):
        one.mask(x, np.full(4000, 5))


def test_discriminator_score_is_the_discriminators(gan):
    x, y = RNG.random((300, 8, 8, 1)).astype(np.float32), np.arange(300) % 3
    expected = np.asarray(gan.discriminator([2 * x - 1, y.astype(np.int32)], training=False))
    found = discriminator_score(gan.discriminator)(x, y)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_density_ratio_prefers_what_looks_real():
    """Real N(0.6, 0.1), generated N(0.5, 0.1) in one feature: the log ratio is linear."""
    generated = RNG.normal(0.5, 0.1, (6000, 1, 1, 1)).astype(np.float32)
    real = RNG.normal(0.6, 0.1, (6000, 1, 1, 1)).astype(np.float32)
    y = np.arange(6000) % 2

    def features(x):
        return x.reshape(len(x), -1)

    one = DensityRatio(features, real, y, generated, y, regularization=100.0)
    slope = np.diff(one._log_ratios(np.array([[0.5], [0.6]]), np.array([0, 0])))[0]
    assert slope == pytest.approx(0.1 * 0.1 / 0.1**2, rel=0.15)
    kept = one.mask(generated, y)
    # Capped at the 95th percentile, the kept ones lie almost where the real ones do.
    assert generated[kept].mean() == pytest.approx(0.59, abs=0.015)
    with pytest.raises(InvalidInputError, match="quantile"):
        DensityRatio(features, real, y, generated, y, quantile=0)


def test_disagreement_is_the_divergence_and_keeps_its_share():
    p, q = RNG.dirichlet(np.ones(4), 50), RNG.dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(disagreement(p, q), stats.entropy(p, q, axis=1), rtol=1e-3)
    x = numbers(4000)

    def half(x):
        return np.full((len(x), 2), 0.5)

    one = Disagreement(half, sure_of, x, keep=0.3)
    kept, y = one.mask(x, np.zeros(4000, int)), np.zeros(4000, int)
    assert kept.mean() == pytest.approx(0.3, abs=0.03)
    score = disagreement(sure_of(x), half(x))
    probability = np.minimum(1, score / one.scale)
    assert probability.mean() == pytest.approx(0.3, abs=1e-6)
    assert (kept == (content_uniforms(one._seed, x) * one.scale < score)).all()
    assert score[kept].mean() > 1.3 * score.mean()
    with pytest.raises(InvalidInputError, match="keep"):
        Disagreement(half, sure_of, x, keep=0)
    # A student that has learnt it all leaves nothing to prefer.
    same = Disagreement(sure_of, sure_of, x)
    assert same.scale == 0.0
    assert not same.mask(x, y).any()
