import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.data.stream import ordered_stream
from keras_ganaccel.errors import InvalidInputError

ROWS = np.arange(37)


def rows_of(stream, count=None):
    stream = stream if count is None else stream.take(count)
    return np.concatenate([batch[0] for batch in stream.as_numpy_iterator()])


def test_every_epoch_is_another_permutation():
    rows = rows_of(ordered_stream((ROWS,), batch_size=10, seed=5, num_samples=37 * 4))
    epochs = rows.reshape(4, 37)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), ROWS)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_arrays_stay_together_and_the_index_counts_samples():
    x = np.random.default_rng(0).random((37, 2, 2, 1), np.float32)
    stream = ordered_stream((x, ROWS), batch_size=8, seed=1, start_index=30, with_index=True)
    seen = []
    for batch_x, batch_y, index in stream.take(10).as_numpy_iterator():
        np.testing.assert_array_equal(batch_x, x[batch_y])
        seen.extend(index)
    assert index.dtype == np.int64
    assert seen == list(range(30, 110))


@pytest.mark.parametrize("start", [0, 1, 36, 37, 38, 100, 37 * 50 + 5])
def test_a_restart_anywhere_goes_on_alike(start):
    whole = rows_of(ordered_stream((ROWS,), batch_size=50, seed=2, num_samples=start + 90))
    rest = rows_of(ordered_stream((ROWS,), batch_size=9, seed=2, start_index=start), 10)
    np.testing.assert_array_equal(rest, whole[start:])


def test_the_order_depends_on_the_seed_alone():
    first, same, other = (
        rows_of(ordered_stream((ROWS,), batch_size=37, seed=seed, num_samples=37))
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.train
def test_rows_are_spread_evenly_over_positions_by_epoch_and_by_seed():
    """Chi-square of the rows at some positions: 99 degrees of freedom, 99.99 % below 161."""
    rows = np.arange(100)

    def statistic(drawn):
        expected = drawn.size / 100
        return ((np.bincount(drawn.ravel(), minlength=100) - expected) ** 2 / expected).sum()

    by_epoch = rows_of(ordered_stream((rows,), batch_size=100, seed=0), 1000).reshape(-1, 100)
    for position in (0, 1, 50):
        assert statistic(by_epoch[:, position]) < 161
    by_seed = [rows_of(ordered_stream((rows,), batch_size=20, seed=seed), 1) for seed in range(20)]
    assert statistic(np.array(by_seed)) < 161


def test_workers_slices_partition_each_global_batch():
    options = {"batch_size": 12, "seed": 3, "start_index": 20, "with_index": True}
    whole = list(ordered_stream((ROWS,), **options).take(9).as_numpy_iterator())
    parts = [
        list(
            ordered_stream(
                (ROWS,), **options, input_context=tf.distribute.InputContext(3, worker, 3)
            )
            .take(9)
            .as_numpy_iterator()
        )
        for worker in range(3)
    ]
    for step, batch in enumerate(whole):
        for column in (0, 1):
            slices = [parts[worker][step][column] for worker in range(3)]
            assert [len(part) for part in slices] == [4, 4, 4]
            np.testing.assert_array_equal(np.concatenate(slices), batch[column])


def test_cardinality_and_shapes_are_known():
    x = np.zeros((37, 2, 2, 1), np.float32)
    endless = ordered_stream((x,), batch_size=8, seed=0)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert endless.element_spec[0].shape == (8, 2, 2, 1)
    ended = ordered_stream((x,), batch_size=8, seed=0, num_samples=20)
    assert ended.cardinality() == 3
    assert [len(batch[0]) for batch in ended] == [8, 8, 4]


def test_fewer_rows_than_a_batch():
    rows = rows_of(ordered_stream((np.arange(3),), batch_size=16, seed=0), 3)
    for epoch in rows.reshape(16, 3):
        assert sorted(epoch) == [0, 1, 2]


@pytest.mark.parametrize(
    ("arrays", "options"),
    [
        ((ROWS, ROWS[:5]), {}),
        ((ROWS[:0],), {}),
        ((), {}),
        ((ROWS,), {"batch_size": 0}),
        ((ROWS,), {"start_index": -1}),
        ((ROWS,), {"num_samples": -1}),
        ((ROWS,), {"batch_size": 7, "input_context": tf.distribute.InputContext(2, 0, 2)}),
        ((ROWS,), {"num_samples": 9, "input_context": tf.distribute.InputContext(2, 0, 2)}),
    ],
)
def test_what_cannot_be_streamed_is_refused_in_one_line(arrays, options):
    with pytest.raises(InvalidInputError) as caught:
        ordered_stream(arrays, **{"batch_size": 4, "seed": 0, **options})
    assert "\n" not in str(caught.value)
