"""Encoded rows: against scikit-learn, and back again."""

import json
import time

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from scipy.stats import norm
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.table.columns import OTHER
from keras_ganaccel.modality.table.curve import LIMIT
from keras_ganaccel.modality.table.table_spec import TableSpec


def test_standardised_numbers_are_those_of_scikit_learn(fitted):
    x = np.random.default_rng(0).uniform(-5, 30, (200, 3))
    spec, _ = fitted(pd.DataFrame(x, columns=list("abc")), numbers="standardise")
    expected = StandardScaler().fit(x).transform(x)
    np.testing.assert_allclose(
        spec.encode(pd.DataFrame(x, columns=list("abc"))), expected, atol=1e-4
    )


def test_ranks_are_those_of_scikit_learn_at_the_knots(fitted):
    x = np.random.default_rng(0).lognormal(size=(999, 1))
    spec, _ = fitted(pd.DataFrame(x, columns=["a"]), numbers="rank")
    knots = np.array(spec.columns[0].curve.knots)[1:-1, np.newaxis]
    quantiles = QuantileTransformer(n_quantiles=999, output_distribution="normal").fit(x)
    encoded = spec.encode(pd.DataFrame(knots, columns=["a"]))
    # Half a rank of 999 apart, and three standard deviations for the two ends.
    share = norm.cdf(quantiles.transform(knots))
    np.testing.assert_allclose(norm.cdf(encoded), share, atol=3e-3)
    # Between eight knots the line is straight where the ranks are not.
    between = norm.cdf(spec.encode(pd.DataFrame(x, columns=["a"]))[:, 0])
    np.testing.assert_allclose(between, norm.cdf(quantiles.transform(x)[:, 0]), atol=0.06)


def test_equal_values_stand_at_the_middle_of_their_ranks(fitted):
    x = np.array([0.0] * 60 + list(range(1, 41)))
    spec, _ = fitted(pd.DataFrame({"a": x}), numbers="rank")
    zero = spec.encode(pd.DataFrame({"a": [0.0]}))[0, 0]
    assert zero == pytest.approx(norm.ppf(0.3), abs=0.01)


def test_only_skewed_numbers_go_by_rank(fitted):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"even": rng.normal(size=300), "skewed": rng.exponential(size=300) ** 3})
    spec, _ = fitted(frame)
    assert [len(column.curve.knots) > 2 for column in spec.columns] == [False, True]


def test_categories_are_those_of_scikit_learn(fitted):
    words = np.random.default_rng(0).choice([*"aaaabbbccd", "é", "rare"], 300)
    words[:2] = "seen twice"
    frame = pd.DataFrame({"a": words})
    spec, _ = fitted(frame)
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=3, sparse_output=False
    ).fit(frame)
    new = pd.DataFrame({"a": ["a", "é", "seen twice", "never seen", "rare"]})
    ours, theirs = spec.encode(new), encoder.transform(new)
    names = [name.removeprefix("a = ") for name in spec.encoded_names]
    order = [name.removeprefix("a_") for name in encoder.get_feature_names_out()]
    order = [OTHER if name == "infrequent_sklearn" else name for name in order]
    np.testing.assert_array_equal(ours[:, [names.index(name) for name in order]], theirs)


def test_an_unknown_category_without_rare_ones_is_none_of_the_known(fitted):
    frame = pd.DataFrame({"a": ["x", "y"] * 8 + ["x", "z"] * 8})
    spec, _ = fitted(frame)
    np.testing.assert_array_equal(spec.encode(pd.DataFrame({"a": ["w", None]})), np.zeros((2, 3)))


def test_what_is_missing_is_the_mean_with_a_flag_or_without(fitted):
    frame = pd.DataFrame({"a": [1.0, 2, 3, 10, None] * 4, "b": [1.0, 2, 3, 10, 4] * 4})
    spec, _ = fitted(frame, numbers="standardise")
    encoded = spec.encode(frame)
    assert spec.encoded_names == ("a", "b", "a is missing")
    empty = spec.encode(pd.DataFrame({"a": [None], "b": [np.nan]}))
    np.testing.assert_allclose(empty, [[encoded[:, 0].mean(), encoded[:, 1].mean(), 1]], atol=1e-3)


def test_infinite_values_stand_at_the_ends_and_do_not_move_the_others(fitted):
    x = np.linspace(0, 10, 40)
    for numbers in ("rank", "standardise"):
        plain, _ = fitted(pd.DataFrame({"a": x}), numbers=numbers)
        with_ends = pd.DataFrame({"a": [*x, np.inf, -np.inf]})
        spec, _ = fitted(with_ends, numbers=numbers)
        assert spec.columns[0].curve == plain.columns[0].curve
        encoded = spec.encode(with_ends)[:, 0]
        assert encoded[-2] == encoded.max() == encoded[39]
        assert encoded[-1] == encoded.min() == encoded[0]


def test_numbers_far_from_zero_keep_their_differences(fitted):
    far = 1.7e9 + np.random.default_rng(0).permutation(50)
    spec, _ = fitted(pd.DataFrame({"a": far, "b": far + 0.25}), columns={"a": "integer"})
    decoded = spec.decode(spec.encode(pd.DataFrame({"a": far, "b": far + 0.25})))
    assert decoded["a"].tolist() == far.tolist()
    np.testing.assert_allclose(decoded["b"], far + 0.25, atol=1e-3)


def test_dates_become_the_time_that_goes_by_and_turns(fitted):
    days = pd.to_datetime(["2020-01-01", "2020-07-01", "2020-12-31", "2021-07-02"] * 5)
    spec, _ = fitted(pd.DataFrame({"a": days}))
    encoded = spec.encode(pd.DataFrame({"a": days}))
    names = list(spec.encoded_names)
    assert names == [
        "a", "a: sine of the year", "a: cosine of the year", "a: sine of the week",
        "a: cosine of the week",
    ]  # fmt: skip
    assert (np.diff(encoded[[0, 1, 2, 3], 0]) > 0).all()
    np.testing.assert_allclose(encoded[0, 1:3], [0, 1], atol=1e-6)
    np.testing.assert_allclose(encoded[1, 1:3], encoded[3, 1:3], atol=0.02)
    week = 2 * np.pi * days[0].day_of_week / 7
    np.testing.assert_allclose(encoded[0, 3:], [np.sin(week), np.cos(week)], atol=1e-6)
    pd.testing.assert_series_equal(
        spec.decode(encoded)["a"], pd.Series(days, name="a"), check_dtype=False
    )


def test_rows_of_all_kinds_come_back(fitted, of_all_kinds):
    frame = of_all_kinds()
    spec, _ = fitted(frame, numbers="rank")
    encoded = spec.encode(frame)
    back = spec.decode(encoded)
    for name in frame:
        expected, found = frame[name], back[name]
        assert (expected.isna() == found.isna()).all(), name
        present = expected.notna()
        if found.dtype.kind == "f" and "count" not in name and "far" not in name:
            relative = found[present].astype(float) / expected[present].astype(float)
            np.testing.assert_allclose(relative, 1, atol=1e-3, err_msg=name)
        elif found.dtype.kind == "M":
            apart = (found[present] - pd.to_datetime(expected[present])).dt.total_seconds()
            assert apart.abs().max() < (60 if "moment" in name else 1), name
        else:
            as_text = [str(v).removesuffix(".0") for v in found[present]]
            assert as_text == [str(v).removesuffix(".0") for v in expected[present]], name
    np.testing.assert_allclose(spec.harden(encoded), encoded, atol=1e-3)


def test_a_relaxed_row_becomes_a_valid_one(fitted, of_all_kinds):
    frame = of_all_kinds()
    spec, _ = fitted(frame)
    rng = np.random.default_rng(1)
    hard = spec.harden(spec.encode(frame) + rng.normal(0, 0.4, (len(frame), *spec.sample_shape)))
    assert np.isin(hard[:, spec.flags], (0, 1)).all()
    for span in spec.spans:
        assert (hard[:, span].sum(axis=1) == 1).all()
    assert (np.abs(hard[:, spec.numbers]) <= LIMIT).all()
    waves = hard[:, spec.cycles].reshape(len(hard), -1, 2)
    length = (waves**2).sum(axis=2)
    assert np.isclose(length, 1, atol=1e-5)[:, 0].all()
    assert (np.isclose(length, 1, atol=1e-5) | (length == 0)).all()
    back = spec.decode(hard)
    assert (back["count"] == back["count"].round()).all()
    assert back["count"].between(frame["count"].min(), frame["count"].max()).all()
    np.testing.assert_allclose(spec.harden(hard), hard, atol=1e-4)


def test_every_place_belongs_to_one_column(fitted, of_all_kinds):
    spec, _ = fitted(of_all_kinds())
    places = np.concatenate(spec.places)
    assert sorted(places) == list(range(*spec.sample_shape))
    for column, own in zip(spec.columns, spec.places, strict=True):
        assert all(spec.encoded_names[place].startswith(column.name) for place in own)
    ends = [spec.numbers, spec.cycles, spec.flags, *spec.spans]
    assert [part.start for part in ends] == [0, *(part.stop for part in ends[:-1])]
    assert ends[-1].stop == spec.sample_shape[0]


def test_the_short_form_for_trees(fitted):
    frame = pd.DataFrame({"a": [1.0, None, 3, 4] * 5, "b": list("xyxz") * 5, "c": [1, 2, 3, 4] * 5})
    spec, _ = fitted(frame)
    short, categorical = spec.ordinal(spec.encode(frame))
    assert short.shape == (20, 3)
    assert categorical.tolist() == [False, False, True]
    assert np.isnan(short[1, 0])
    assert short[:4, 2].tolist() == [0, 1, 0, 2]


def test_a_specification_survives_json(fitted, of_all_kinds):
    spec, _ = fitted(of_all_kinds())
    again = TableSpec.from_dict(json.loads(json.dumps(spec.to_dict(), allow_nan=False)))
    assert again == spec
    assert again.to_dict()["modality"] == spec.modality == "table"
    np.testing.assert_array_equal(again.encode(of_all_kinds()), spec.encode(of_all_kinds()))


@pytest.mark.parametrize(
    "values", [{}, {"columns": [{}], "class_names": ["a"], "target": "b"}, {"columns": 3}]
)
def test_a_damaged_specification_is_refused(values):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        TableSpec.from_dict(values)


def test_rows_of_another_table_are_refused_in_one_line(fitted):
    spec, _ = fitted(pd.DataFrame({"age": [1.5, 2, 3, 4], "yes": ["t", "f"] * 2}))
    for frame, word in [
        (pd.DataFrame({"ages": [1], "yes": ["t"]}), "'age'"),
        (pd.DataFrame({"age": ["old"], "yes": ["t"]}), "'old' (row 0)"),
        (pd.DataFrame({"age": [1], "yes": ["maybe"]}), "'f' or 't'"),
        (np.zeros((1, 2)), "ndarray"),
    ]:
        with pytest.raises(InvalidInputError) as caught:
            spec.encode(frame)
        assert word in str(caught.value)
    assert spec.encode(pd.DataFrame({"more": [0], "yes": ["T"], "age": ["2"]})).shape == (1, 2)


def test_the_dtype_that_a_value_comes_in_does_not_matter(fitted):
    frame = pd.DataFrame({"a": [1, 2, 3, 1] * 4, "b": [0, 1, 1, 0] * 4, "c": list("1212") * 4})
    spec, _ = fitted(frame, columns={"a": "category", "c": "category"})
    expected = spec.encode(frame)
    for dtype in (float, object, str, "category"):
        np.testing.assert_array_equal(spec.encode(frame.astype(dtype)), expected)
    np.testing.assert_array_equal(spec.encode(frame.iloc[::-1])[::-1], expected)
    assert spec.encode(frame.iloc[:0]).shape == (0, *spec.sample_shape)


def test_adult_is_encoded_in_well_under_two_seconds(real_table):
    frame, spec, _ = real_table("adult", rows=20_000)
    start = time.process_time()
    encoded = spec.encode(frame)
    assert time.process_time() - start < 2
    assert encoded.shape[0] == 32_561
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(spec.harden(encoded[:500]), encoded[:500])


def test_a_row_depends_on_itself_alone(fitted, of_all_kinds):
    frame = of_all_kinds()
    spec, _ = fitted(frame)
    alone = np.concatenate([spec.encode(frame.iloc[[row]]) for row in range(5)])
    np.testing.assert_array_equal(alone, spec.encode(frame)[:5])


def _cells(kind):
    missing = st.none()
    if kind == "numbers":
        return st.one_of(missing, st.floats(allow_nan=True, allow_infinity=True))
    if kind == "whole":
        return st.one_of(missing, st.integers(-(2**40), 2**40))
    if kind == "words":
        return st.one_of(missing, st.text(max_size=3), st.sampled_from(["?", "NA", " a", "a "]))
    if kind == "booleans":
        return st.one_of(missing, st.booleans())
    days = st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01"))
    return st.one_of(missing, days)


@st.composite
def frames(draw):
    rows = draw(st.integers(4, 30))
    kinds = draw(st.lists(st.sampled_from(["numbers", "whole", "words", "booleans", "dates"]),
                          min_size=1, max_size=4))  # fmt: skip
    columns = {
        f"{kind} {number}": draw(st.lists(_cells(kind), min_size=rows, max_size=rows))
        for number, kind in enumerate(kinds)
    }
    return pd.DataFrame(columns)


@given(frames(), st.sampled_from(["auto", "rank", "standardise"]))
@settings(max_examples=80, deadline=None, phases=[Phase.generate, Phase.target])
def test_any_frame_is_encoded_to_finite_numbers_and_back(fitted, frame, numbers):
    try:
        spec, _ = fitted(frame, numbers=numbers)
    except InvalidInputError:
        # All missing, of mixed types, or alike in all rows: tested elsewhere.
        return
    encoded = spec.encode(frame)
    assert encoded.dtype == np.float32
    assert encoded.shape == (len(frame), *spec.sample_shape)
    assert (np.abs(encoded) <= LIMIT).all()
    assert (np.isin(encoded[:, spec.flags], (0, 1))).all()
    hard = spec.harden(encoded)
    # Over a century float32 holds the time to some minutes, which shows in the turn of the day.
    tolerance = np.full(spec.sample_shape, 1e-3)
    tolerance[spec.cycles] = 0.05
    assert (np.abs(spec.harden(hard) - hard) <= tolerance).all()
    np.testing.assert_array_equal(hard[:, spec.flags], encoded[:, spec.flags])
    for span in spec.spans:
        np.testing.assert_array_equal(hard[:, span], encoded[:, span])
    assert TableSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.decode(encoded).shape == (len(frame), len(spec.columns))
