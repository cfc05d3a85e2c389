import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_ganaccel.data import finite
from keras_ganaccel.data.finite import check_finite
from keras_ganaccel.errors import InvalidInputError


@given(
    rows=st.integers(1, 40),
    bad=st.sets(st.integers(0, 39), max_size=12),
    value=st.sampled_from([np.nan, np.inf, -np.inf, 1e39]),
)
def test_the_rows_that_are_named_are_those_that_are_bad(rows, bad, value):
    bad = sorted(row for row in bad if row < rows)
    x = np.zeros((rows, 3, 2))
    x[bad, 1, 1] = value
    if not bad:
        check_finite(x)
        return
    with pytest.raises(InvalidInputError, match=f"in {len(bad)} of {rows} rows") as caught:
        check_finite(x, "samples")
    message = str(caught.value)
    assert message.startswith("`samples` must hold finite numbers.")
    assert ", ".join(map(str, bad[:5])) in message
    assert "\n" not in message


def test_large_arrays_are_read_in_parts_that_count_on(monkeypatch):
    monkeypatch.setattr(finite, "_CHUNK_ELEMENTS", 8)
    x = np.zeros((50, 4), np.float32)
    x[[3, 48]] = np.nan
    with pytest.raises(InvalidInputError, match=r"2 of 50 rows \(rows 3, 48\)"):
        check_finite(x)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 2), np.float16),
        np.float32([[3.4e38, -3.4e38]]),
        np.int64([2**63 - 1]),
        np.zeros((0, 3)),
        np.array(["nan"]),
        np.float64(1.0),
        [[1.0], [2.0]],
    ],
)
def test_what_float32_can_hold_passes(x):
    check_finite(x)


def test_other_libraries_floats_are_looked_at():
    import ml_dtypes

    x = np.zeros((3, 2), ml_dtypes.bfloat16)
    check_finite(x)
    x[2, 0] = np.nan
    with pytest.raises(InvalidInputError, match="row 2"):
        check_finite(x)
