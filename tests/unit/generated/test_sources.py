"""Sources against their definitions, computed independently."""

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.neighbors import NearestNeighbors

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.generated.controls import NoiseSource
from keras_ganaccel.generated.coverage import LabelMixing
from keras_ganaccel.generated.sources import GanSource, MixtureSource, make_source
from keras_ganaccel.generated.statistical import MixupSource, PCAGaussian, Smote
from keras_ganaccel.modality.image.layers import ClassEmbedding

pytestmark = pytest.mark.train


def all_sources(gan, clouds):
    x, y = clouds
    statistical = {
        name: make_source(name, x=x, y=y, seed=5) for name in ("pca_gaussian", "smote", "mixup")
    }
    made = make_source("gan", x=x, y=y, gan=gan, seed=5)
    return {
        **statistical,
        "gan": made,
        "mixture": MixtureSource([made, GanSource(gan, seed=9, truncation=1.5)], [1, 2]),
        "label_mixing": LabelMixing(made, 3),
        "noise": NoiseSource((8, 8, 1)),
    }


def test_samples_are_a_function_of_seed_index_and_label(gan, clouds):
    labels = np.random.default_rng(0).integers(0, 3, 300)
    for name, source in all_sources(gan, clouds).items():
        whole = source.sample(labels, 500)
        assert whole.dtype == np.float32, name
        assert 0 <= whole.min() <= whole.max() <= 1, name
        parts = np.concatenate(
            [source.sample(labels[a:b], 500 + a) for a, b in ((0, 7), (7, 290), (290, 300))]
        )
        np.testing.assert_allclose(parts, whole, atol=1e-5, err_msg=name)
        if name != "collapsed":
            assert np.abs(source.sample(labels, 501) - whole).max() > 1e-3, name
        assert source.describe() == source.describe()


def test_describe_tells_sources_apart(gan, clouds):
    x, y = clouds
    descriptions = [str(source.describe()) for source in all_sources(gan, clouds).values()]
    descriptions += [
        str(make_source("smote", x=x, y=y, seed=6).describe()),
        str(make_source("smote", x=1 - x, y=y, seed=5).describe()),
        str(GanSource(gan, seed=6).describe()),
    ]
    assert len(set(descriptions)) == len(descriptions)


def test_gan_source_is_the_gan(gan):
    labels = np.array([0, 2, 1, 1])
    expected = gan.generate(labels, seed=4, start_index=9, truncation=0.7)
    found = GanSource(gan, seed=4, truncation=0.7).sample(labels, 9)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pca_gaussian_has_the_shrunk_moments(clouds):
    x, y = clouds
    source = PCAGaussian.fit(x, y, variance=1.0, shrinkage=0.3, seed=1)
    labels = np.full(20_000, 1)
    samples = source.sample(labels, 0).reshape(len(labels), -1)
    flat = x.reshape(len(x), -1)
    centred = np.concatenate([flat[y == c] - flat[y == c].mean(axis=0) for c in range(3)])
    expected = 0.7 * np.cov(flat[y == 1].T) + 0.3 * centred.T @ centred / (len(x) - 3)
    np.testing.assert_allclose(samples.mean(axis=0), flat[y == 1].mean(axis=0), atol=0.005)
    np.testing.assert_allclose(np.cov(samples.T), expected, atol=0.03 * np.abs(expected).max())


def test_pca_gaussian_keeps_the_asked_variance(clouds):
    x, y = clouds
    flat = x.reshape(len(x), -1).astype(float)
    centred = np.concatenate([flat[y == c] - flat[y == c].mean(axis=0) for c in range(3)])
    values = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    needed = int(np.argmax(np.cumsum(values) / values.sum() >= 0.9)) + 1
    factor = PCAGaussian.fit(x, y, variance=0.9).factors[0]
    assert factor.shape == (12, needed)


def test_smote_lies_between_a_sample_and_one_of_its_neighbours(clouds):
    x, y = clouds
    samples = Smote.fit(x, y, k=3, seed=2).sample(np.full(50, 2), 0).reshape(50, -1)
    own = x[y == 2].reshape(-1, 12).astype(float)
    near = NearestNeighbors(n_neighbors=4).fit(own).kneighbors(own, return_distance=False)[:, 1:]
    for sample in samples.astype(float):
        distances = []
        for row, neighbours in enumerate(near):
            for other in neighbours:
                line = own[other] - own[row]
                part = np.clip((sample - own[row]) @ line / (line @ line), 0, 1)
                distances.append(np.linalg.norm(sample - own[row] - part * line))
        assert min(distances) < 1e-5


def test_smote_of_a_lone_sample_is_that_sample(clouds):
    x, y = clouds
    one = Smote.fit(x[[0, 50, 51]], y[[0, 50, 51]]).sample(np.zeros(4, int), 0)
    np.testing.assert_allclose(one, np.repeat(x[:1], 4, axis=0), atol=1e-6)


def test_mixup_parts_follow_the_folded_beta():
    x = np.zeros((2, 1, 1, 1), np.float32)
    x[1] = 1.0
    samples = MixupSource.fit(x, np.array([0, 1]), alpha=0.4, seed=3).sample(np.zeros(8000, int), 0)
    # Half of the partners are the sample itself; the others show their part.
    parts = samples[samples > 0].ravel()
    assert len(parts) == pytest.approx(4000, abs=300)
    folded = stats.beta(0.4, 0.4)
    assert stats.kstest(parts, lambda v: 2 * folded.cdf(v)).pvalue > 0.01
    assert parts.max() <= 0.5


def test_mixture_takes_its_shares(gan):
    class Constant:
        def __init__(self, value):
            self.value = value

        def sample(self, labels, start_index):
            return np.full((len(labels), 1, 1, 1), self.value, np.float32)

    x = MixtureSource([Constant(0.0), Constant(1.0)], [1, 3]).sample(np.zeros(4000, int), 0)
    assert x.mean() == pytest.approx(0.75, abs=0.03)
    for weights in ([1], [0, 1]):
        with pytest.raises(InvalidInputError, match="weights"):
            MixtureSource([Constant(0), Constant(1)], weights)


def test_label_mixing_reaches_from_one_class_to_half_way(gan):
    source, labels = GanSource(gan, seed=1), np.array([0, 1, 2, 0])
    tiny = LabelMixing(source, 3, largest_share=1e-9)
    np.testing.assert_allclose(tiny.sample(labels, 3), source.sample(labels, 3), atol=1e-6)
    with pytest.raises(InvalidInputError, match="largest_share"):
        LabelMixing(source, 3, largest_share=0.6)


def test_mixed_labels_give_what_a_class_vector_between_the_two_gives(gan):
    source, labels = GanSource(gan, seed=1), np.array([0, 1, 0, 1])
    mixed = LabelMixing(source, 2, seed=7).sample(labels, 3)
    (embedding,) = (x for x in gan.ema_generator.layers if isinstance(x, ClassEmbedding))
    (table,) = embedding.get_weights()
    shares = []
    try:
        for row, label in enumerate(labels):

            def distance(share, row=row, label=label):
                moved = table.copy()
                moved[label] += share * (table[1 - label] - table[label])
                embedding.set_weights([moved])
                return np.abs(source.sample(labels[row : row + 1], 3 + row) - mixed[row]).max()

            found = optimize.minimize_scalar(distance, bounds=(0.0, 0.5), method="bounded")
            assert found.fun < 1e-3 < distance(0.0) + distance(0.5)
            shares.append(found.x)
    finally:
        embedding.set_weights([table])
    assert np.ptp(shares) > 0.01


def test_noise_is_uniform():
    noise = NoiseSource((2, 2, 1)).sample(np.zeros(3000, int), 0)
    assert stats.kstest(noise.ravel(), "uniform").pvalue > 0.001


def test_what_does_not_fit_is_refused(gan, clouds):
    x, y = clouds
    with pytest.raises(InvalidInputError, match="Did you mean 'smote'"):
        make_source("smot", x=x, y=y)
    with pytest.raises(InvalidInputError, match="trained GAN"):
        make_source("gan", x=x, y=y)
    with pytest.raises(InvalidInputError, match=r"no sample of some classes. Received: \[7\]"):
        Smote.fit(x, y).sample(np.array([0, 7]), 0)
    with pytest.raises(InvalidInputError, match="labelled samples"):
        PCAGaussian.fit(x, np.full(len(x), -1))
    with pytest.raises(InvalidInputError, match="truncation"):
        GanSource(gan, truncation=0)
