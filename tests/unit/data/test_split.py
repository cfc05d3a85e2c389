import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_ganaccel.data.split import make_splits
from keras_ganaccel.errors import InvalidInputError


@pytest.fixture(scope="module")
def digits():
    return load_digits().target


def test_the_test_split_is_scikit_learns_whatever_the_seed(digits):
    rows = np.arange(len(digits))
    expected = train_test_split(rows, test_size=0.3, stratify=digits, random_state=20261121)[1]
    for seed in (0, 1, 2):
        for count in (None, 20):
            splits = make_splits(digits, seed=seed, labels_per_class=count)
            np.testing.assert_array_equal(splits.test, expected)


def test_validation_is_a_stratified_fifth_of_the_rest(digits):
    splits = make_splits(digits)
    rest = len(digits) - len(splits.test)
    assert len(splits.validation) == int(np.ceil(0.2 * rest))
    train, validation = (np.bincount(digits[rows]) for rows in (splits.train, splits.validation))
    assert np.abs(validation - 0.2 * (train + validation)).max() <= 1
    everything = np.concatenate([splits.train, splits.validation, splits.test])
    np.testing.assert_array_equal(np.sort(everything), np.arange(len(digits)))


def test_labels_per_class_counts_training_and_validation_and_depends_on_the_seed(digits):
    drawn = [make_splits(digits, seed=seed, labels_per_class=20) for seed in (0, 0, 1)]
    for splits in drawn:
        assert np.bincount(digits[splits.train]).tolist() == [16] * 10
        assert np.bincount(digits[splits.validation]).tolist() == [4] * 10
        assert not np.isin(splits.test, np.concatenate([splits.train, splits.validation])).any()
    np.testing.assert_array_equal(drawn[0].train, drawn[1].train)
    assert set(drawn[0].train) != set(drawn[2].train)


def test_a_smaller_draw_is_part_of_a_larger_one(digits):
    def drawn(count):
        splits = make_splits(digits, seed=3, labels_per_class=count)
        return set(splits.train) | set(splits.validation)

    assert drawn(10) < drawn(20) < drawn(None)


def test_training_rows_are_not_sorted_by_class():
    splits = make_splits(np.repeat([0, 1], 50))
    for rows in (splits.train, splits.validation, splits.test):
        assert (np.diff(rows) < 0).any()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(2, 12), min_size=2, max_size=8).filter(lambda counts: max(counts) >= 4),
    st.sampled_from([None, 2, 5]),
    st.integers(0, 3),
)
def test_small_and_uneven_classes_all_stay_trainable(counts, labels_per_class, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    splits = make_splits(y, seed=seed, labels_per_class=labels_per_class)
    parts = (splits.train, splits.validation, splits.test)
    everything = np.concatenate(parts)
    assert len(np.unique(everything)) == len(everything)
    assert all(len(rows) for rows in parts)
    assert np.bincount(y[splits.train], minlength=len(counts)).min() >= 1


def test_unlabelled_rows_are_in_no_split(digits):
    y = digits.copy()
    y[::3] = -1
    splits = make_splits(y)
    for rows in (splits.train, splits.validation, splits.test):
        assert (y[rows] >= 0).all()
    labelled = np.flatnonzero(y >= 0)
    expected = train_test_split(
        labelled, test_size=0.3, stratify=y[labelled], random_state=20261121
    )
    np.testing.assert_array_equal(splits.test, expected[1])


def test_supplied_splits_are_used_whole(digits):
    test, validation = np.arange(100, 400), np.arange(400, 500)
    splits = make_splits(digits, test=test, validation=validation, labels_per_class=10)
    np.testing.assert_array_equal(splits.test, test)
    np.testing.assert_array_equal(splits.validation, validation)
    assert np.bincount(digits[splits.train]).tolist() == [10] * 10
    assert not np.isin(splits.train, np.arange(100, 500)).any()


def test_a_group_stays_on_one_side_and_classes_stay_balanced():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 20)
    y = rng.integers(0, 4, len(groups))
    for seed in (0, 1):
        splits = make_splits(y, seed=seed, groups=groups, labels_per_class=60)
        sets = [set(groups[rows]) for rows in (splits.train, splits.validation, splits.test)]
        assert sum(map(len, sets)) == 30
        assert set.union(*sets) == set(range(30))
        share = np.bincount(y[splits.test]) / np.bincount(y)
        assert np.abs(share - 0.3).max() < 0.1
        drawn = len(splits.train) + len(splits.validation)
        assert abs(len(splits.validation) / drawn - 0.2) < 0.1


def test_the_grouped_test_split_does_not_depend_on_the_seed():
    groups, y = np.repeat(np.arange(12), 10), np.tile([0, 1], 60)
    first, second = (make_splits(y, seed=seed, groups=groups) for seed in (0, 1))
    np.testing.assert_array_equal(first.test, second.test)


def test_duplicates_leave_training_and_only_training():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 100)
    keys = np.arange(200)
    # A hundred pairs of equal samples.
    keys[100:] = keys[:100]
    plain = make_splits(y)
    splits = make_splits(y, keys=keys)
    np.testing.assert_array_equal(splits.test, plain.test)
    assert not np.isin(keys[splits.train], keys[splits.test]).any()
    assert not np.isin(keys[splits.train], keys[splits.validation]).any()
    assert not np.isin(keys[splits.validation], keys[splits.test]).any()
    parts = (splits.train, splits.validation, splits.test, splits.removed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(200))
    assert len(splits.removed)
    assert len(make_splits(y, keys=rng.permutation(200)).removed) == 0


def test_copies_of_supplied_test_rows_are_all_taken_out():
    y = np.tile([0, 1], 60)
    keys = np.arange(120)
    keys[10:25] = keys[100:115]
    for seed in range(3):
        splits = make_splits(y, seed=seed, keys=keys, test=np.arange(100, 120))
        np.testing.assert_array_equal(np.sort(splits.removed), np.arange(10, 25))


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([0, 0, 0, 1], {}, "1 of class '1'"),
        ([0, 0, 0, 1, 2, 3], {}, "1 of class '1', and too few of '2', '3'"),
        ([0, 0, 1, 1], {"class_names": ("a", "b"), "labels_per_class": 1}, "Received: 1"),
        ([0, 0, 1, 1], {"labels_per_class": 2.5}, r"Received: 2\.5"),
        ([0, 0, 1, 1], {"groups": [0, 1]}, r"shape \(2,\) for 4"),
        ([0, 0, 1, 1], {"groups": [0, 0, 0, 0]}, "at least one group per split"),
        ([0, 0, 1, 1], {}, "validation split must not be empty"),
        ([0, 1] * 5, {"groups": [0] * 10, "test": np.arange(5, 10)}, "1 groups"),
        ([0, 1] * 5, {"keys": [0, 1] * 5, "test": np.arange(5, 10)}, "0 of class '0'"),
        ([0, 0, 0, 1, 1], {"test": np.arange(3, 5)}, "0 of class '1'"),
    ],
)
def test_what_cannot_be_split_is_refused_in_one_line(y, options, message):
    options = {k: np.array(v) if isinstance(v, list) else v for k, v in options.items()}
    with pytest.raises(InvalidInputError, match=message) as caught:
        make_splits(np.array(y), **options)
    assert "\n" not in str(caught.value)


def test_groups_may_be_of_any_kind():
    y = np.arange(40) % 2
    groups = np.array([None, 3, "a", 2.5], object)[np.arange(40) // 10]
    splits = make_splits(y, groups=groups)
    sides = [set(map(str, groups[rows])) for rows in (splits.test, splits.train)]
    assert not sides[0] & sides[1]


@given(st.lists(st.integers(4, 60), min_size=2, max_size=6), st.integers(12, 60), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_labels_keep_that_many_rows_in_the_classes_shares(counts, labels, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    splits, everything = make_splits(y, seed=seed, labels=labels), make_splits(y, seed=seed)
    kept = np.concatenate([splits.train, splits.validation])
    most = len(everything.train) + len(everything.validation)
    assert len(np.unique(kept)) == len(kept) == min(labels, most)
    np.testing.assert_array_equal(splits.test, everything.test)
    rest = np.bincount(np.delete(y, splits.test), minlength=len(counts))
    drawn = np.bincount(y[kept], minlength=len(counts))
    assert (drawn >= np.minimum(2, rest)).all()
    exact = rest * min(1.0, labels / most)
    # Off by less than a row, but for the two rows that each class has, and their price.
    assert np.abs(drawn - exact).max() < 1 + np.maximum(0, np.minimum(2, rest) - exact).sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 19}, "at least 2 for each of the 10 classes. Received: 19"),
        ({"labels": 50, "labels_per_class": 5}, "two ways to say one thing"),
        ({"labels": 50.5}, "must be a whole number"),
    ],
)
def test_labels_that_cannot_be_drawn_are_refused(digits, options, message):
    with pytest.raises(InvalidInputError, match=message):
        make_splits(digits, **options)
