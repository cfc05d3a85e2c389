import hashlib

import numpy as np
import pandas as pd
import pytest

from keras_ganaccel.data.rows import is_frame, join_rows, row_keys, take_rows, update_digest


def frame(rows=6):
    return pd.DataFrame(
        {"age": np.arange(rows) % 3 * 1.5, "job": ["clerk", None, "smith"] * (rows // 3)},
        index=np.arange(rows) * 10,
    )


def test_equal_samples_have_equal_keys_whatever_their_dtype():
    x = np.random.default_rng(0).integers(0, 9, (3000, 2, 2, 1)).astype(np.int16)
    rows, groups = np.unique(x.reshape(3000, 4), axis=0, return_inverse=True)
    keys = row_keys(x)
    assert keys.dtype == np.uint64
    assert len(np.unique(keys)) == len(rows)
    assert len(np.unique(np.stack([keys, groups.astype(np.uint64)]), axis=1).T) == len(rows)
    np.testing.assert_array_equal(keys, row_keys(x.astype(np.float64)))
    assert len(set(row_keys(np.array([0.0, -0.0]).reshape(2, 1, 1, 1)))) == 1


def test_rows_of_a_frame_are_compared_by_value_wherever_they_stand():
    keys = row_keys(frame())
    assert keys.dtype == np.uint64
    np.testing.assert_array_equal(keys[:3], keys[3:])
    assert len(set(keys)) == 3
    np.testing.assert_array_equal(row_keys(frame().reset_index(drop=True)), keys)


@pytest.mark.parametrize("x", [np.arange(12).reshape(6, 2), frame()], ids=["array", "frame"])
def test_rows_taken_apart_and_joined_are_the_same(x):
    assert is_frame(x) == isinstance(x, pd.DataFrame)
    mask = np.array([True, False, True, True, False, False])
    order = np.argsort(np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)]))
    joined = take_rows(join_rows([take_rows(x, mask), take_rows(x, np.flatnonzero(~mask))]), order)
    np.testing.assert_array_equal(row_keys(joined), row_keys(x))


def fingerprint(x):
    digest = hashlib.sha256()
    update_digest(digest, x)
    return digest.hexdigest()


def test_a_digest_tells_values_types_and_columns_apart():
    x = frame()
    changed = x.copy()
    changed.iloc[4, 0] = 9.0
    others = [changed, x.rename(columns={"job": "trade"}), x.astype({"age": np.float32}), x[:3]]
    assert len({fingerprint(each) for each in [x, *others]}) == 5
    assert fingerprint(x.copy()) == fingerprint(x)
