"""A pool read from disk is the pool held in memory."""

import numpy as np
import pytest

from keras_ganaccel.errors import DamagedFileError
from keras_ganaccel.generated.candidates import Pool, joined
from keras_ganaccel.generated.controls import NoiseSource
from keras_ganaccel.generated.dataset import GeneratedDataset
from keras_ganaccel.generated.pool import write_pool


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """Two pools on disk and the same two in memory."""
    stored, held = [], []
    for seed, size in ((0, 1300), (1, 600)):
        folder = tmp_path_factory.mktemp("pool") / "pool"
        write_pool(folder, NoiseSource((3, 3, 1), seed=seed), size, num_classes=2, shard_size=512)
        x, y = next(iter(GeneratedDataset.pool(folder).batch(size).as_numpy_iterator()))
        stored.append(Pool.stored(folder))
        held.append(Pool(x, y))
    return stored, held


def test_rows_come_in_any_order(pools):
    (stored, _), (held, _) = pools
    rows = np.random.default_rng(0).integers(0, 1300, 400)
    np.testing.assert_array_equal(stored.x[rows], held.x[rows])
    np.testing.assert_array_equal(stored.x[500:530], held.x[500:530])
    np.testing.assert_array_equal(stored.y, held.y)
    assert (len(stored.x), stored.x.shape) == (1300, held.x.shape)
    assert stored.digest() == held.digest()


def test_masks_and_choices_are_those_of_arrays(pools):
    (stored, _), (held, _) = pools

    def judge(x, y):
        return (x.mean(axis=(1, 2, 3)) > 0.5) & (y == 1)

    mask = held.mask_by(judge)
    np.testing.assert_array_equal(stored.mask_by(judge), mask)
    chosen = stored.chosen(mask)
    np.testing.assert_array_equal(chosen.x[:], held.x[mask])
    np.testing.assert_array_equal(chosen.chosen(chosen.y == 1).x[5:9], held.x[mask][5:9])


def test_joined_pools_take_turns(pools):
    stored, held = pools
    both = joined(*stored)
    assert len(both.x) == len(both.y) == 1900
    x = both.x[:]
    everything = np.concatenate([each.x for each in held])
    labels = np.concatenate([each.y for each in held])
    order = [int(np.flatnonzero((everything == one).all(axis=(1, 2, 3)))[0]) for one in x]
    assert sorted(order) == list(range(1900))
    np.testing.assert_array_equal(both.y, labels[order])
    # Any stretch has its share of each.
    shares = [np.mean(np.array(order)[start : start + 95] < 1300) for start in range(0, 1900, 95)]
    assert np.ptp(shares) < 0.03


@pytest.mark.parametrize("cut", [1, 5000])
def test_a_shard_that_was_cut_is_told_in_one_line(tmp_path, cut):
    write_pool(tmp_path, NoiseSource((3, 3, 1)), 600, num_classes=2)
    shard = next(tmp_path.glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-cut])
    with pytest.raises(DamagedFileError, match="shard-00000"):
        Pool.stored(tmp_path)
