import json

import numpy as np
import pytest
from matplotlib import pyplot

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.memorization import memorization_figure, memorization_report


def images(rng, n):
    return rng.uniform(size=(n, 4, 4, 1)).astype(np.float32)


def halved(x):
    return x.reshape(len(x), -1)[:, :8]


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return images(rng, 300), images(rng, 400), images(rng, 200)


def test_new_samples_are_no_nearer_than_held_out_ones(sets):
    report = memorization_report(*sets, halved)
    for space in ("pixel", "feature"):
        found = report[space]
        assert abs(found["share"] - found["expected_share"]) < 3 * found["share_stderr"] + 0.01
        assert found["expected_share"] == pytest.approx(0.05)
        assert found["generated_median"] == pytest.approx(found["held_out_median"], rel=0.05)
    assert (report["generated"], report["train"], report["held_out"]) == (300, 400, 200)
    json.dumps(report, allow_nan=False)


def test_copies_are_found_and_named(sets):
    generated, train, held_out = sets
    generated[[7, 100, 31]] = train[[5, 6, 7]] + np.float32(1e-4)
    found = memorization_report(generated, train, held_out, pictures=3)["pixel"]
    pairs = set(zip(found["generated_rows"], found["train_rows"], strict=True))
    assert pairs == {(7, 5), (100, 6), (31, 7)}
    assert max(found["distances"]) < 1e-3 < found["threshold"]


def test_a_copying_generator_stands_out(sets):
    _, train, held_out = sets
    for copied in (train[:150], train):
        found = memorization_report(copied, train, held_out)["pixel"]
        assert found["share"] == 1.0
        assert found["generated_median"] < 1e-3 * found["held_out_median"]
    # Held-out duplicates of training samples put the threshold itself at zero.
    assert memorization_report(train, train, train)["pixel"]["share"] > 0.0


def test_distances_are_the_brute_force_ones(sets):
    generated, train, held_out = sets
    found = memorization_report(generated, train, held_out, pictures=300)["pixel"]
    difference = generated.reshape(300, 1, 16).astype(float) - train.reshape(1, 400, 16)
    every = np.sqrt(np.square(difference).sum(axis=-1))
    assert found["distances"] == pytest.approx(np.sort(every.min(axis=1)), abs=1e-6)
    assert found["train_rows"] == every.argmin(axis=1)[found["generated_rows"]].tolist()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_figure_shows_every_pair_and_leaves_pyplot_alone(channels):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(20, 5, 4, channels)).astype(np.float32)
    report = memorization_report(x, x[::-1], x[:9], pictures=4)
    before = pyplot.get_fignums()
    figure = memorization_figure(report, x, x[::-1])
    assert [len(axis.images) for axis in figure.axes] == [1] * 8
    row = report["pixel"]["generated_rows"][0]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), np.squeeze(x[row]))
    assert pyplot.get_fignums() == before


def test_refuses_what_does_not_fit(sets):
    generated, train, held_out = sets
    with pytest.raises(InvalidInputError, match=r"one shape.*\(4, 4, 1\).*\(3, 4, 1\)"):
        memorization_report(generated, train[:, :3], held_out)
    with pytest.raises(InvalidInputError, match="`held_out` must have shape"):
        memorization_report(generated, train, held_out[:0])
    with pytest.raises(InvalidInputError, match="between 0 and 100"):
        memorization_report(generated, train, held_out, percentile=0.0)
