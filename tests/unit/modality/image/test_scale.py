import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.scale import (
    check_width,
    natural_range,
    off_scale,
    to_scale,
    value_warnings,
)

UNIT = np.random.default_rng(0).random((20, 4, 4, 1))


@pytest.mark.parametrize(
    ("scaled", "value_range"),
    [
        (UNIT * 255, (0.0, 1.0)),
        (UNIT, (0.0, 255.0)),
        (UNIT * 2 - 1, (0.0, 1.0)),
        ((UNIT - 0.5) / 0.28, (0.0, 1.0)),
        (UNIT * 255, (-1.0, 1.0)),
        (UNIT * 16, (0.0, 1.0)),
        ((UNIT > 0.9) * 255.0, (0.0, 1.0)),
    ],
)
def test_other_scales_are_seen_and_refused(scaled, value_range):
    assert off_scale(scaled, value_range)
    with pytest.raises(InvalidInputError, match="must have the data's value range") as caught:
        to_scale(scaled, value_range, "more")
    assert "\n" not in str(caught.value)


@given(
    st.floats(-1e3, 1e3), st.floats(0.1, 1e3), st.floats(0.6, 1.0), st.floats(0.0, 0.2)
)  # fmt: skip
def test_the_same_scale_is_left_alone(low, width, contrast, over):
    """Also with less contrast, and with a few pixels a little beyond the range."""
    x = low + width * UNIT * contrast
    x[0, 0, 0] = low + width * (1 + over)
    same, notes = to_scale(x, (low, low + width), "more")
    assert same is x
    assert not notes


def test_half_of_the_range_is_asked_about():
    _, (note,) = to_scale(UNIT, (-1.0, 1.0), "more")
    assert "`more` go from" in note
    assert note.endswith("Are they at another scale?")
    assert to_scale(UNIT[:5], (-1.0, 1.0), "more")[1] == ()


def test_a_few_dark_samples_are_no_other_scale():
    assert off_scale(UNIT / 16, (0.0, 1.0))
    assert not off_scale(UNIT[:5] / 100, (0.0, 1.0))


def test_integers_that_fill_their_dtype_have_their_own_scale():
    eight = np.rint(UNIT * 255).astype(np.uint8)
    eight[0, 0, 0] = 255
    for value_range in ((0.0, 1.0), (-1.0, 1.0), (0.0, 16.0)):
        low, high = value_range
        scaled, (note,) = to_scale(eight, value_range, "more")
        np.testing.assert_allclose(scaled, low + (high - low) * eight / 255, rtol=1e-6)
        assert "mapped from [0, 255]" in note
    kept, notes = to_scale(eight, (0.0, 255.0), "more")
    assert kept is eight
    assert not notes


def test_the_range_of_integers_is_the_dtypes_where_they_need_it():
    assert natural_range(np.uint8([0, 129])) == (0.0, 255.0)
    assert natural_range(np.uint8([0, 120])) == (0.0, 120.0)
    assert natural_range(np.array([True, True])) == (0.0, 1.0)


@pytest.mark.parametrize("ends", [(1e9, 1e9 + 1), (-1e9 - 1, -1e9), (0.0, 1e-39), (5.0, 5.0)])
def test_ranges_that_float32_cannot_tell_apart_are_refused(ends):
    with pytest.raises(InvalidInputError, match="Subtract their mean"):
        check_width(ends)
    check_width((1000.0, 1100.0))


def test_flat_and_clipped_samples_are_counted_among_the_rows_that_are_used():
    x = np.random.default_rng(0).random((120, 4, 4, 1))
    x[5], x[6] = 0.5, 0.25
    x[7, 0, 0] = 3.0
    rows = np.setdiff1d(np.arange(120), [6])
    assert value_warnings(x, rows, (0.0, 1.0)) == [
        "1 samples are almost constant.",
        "1 samples have values outside of [0, 1]; they are clipped.",
    ]
    assert value_warnings(x, np.arange(20, 120), (0.0, 1.0)) == []
