import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_ganaccel.data.labels import encode_labels
from keras_ganaccel.errors import InvalidInputError


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40).filter(lambda y: len(set(y)) > 1))
def test_integers_are_ranked_and_the_names_lead_back(values):
    encoded = encode_labels(np.array(values))
    codes, names = encoded.codes, encoded.names
    assert not encoded.notes
    assert codes.dtype == np.int64
    assert [int(names[code]) for code in codes] == values
    assert sorted(set(codes.tolist())) == list(range(len(names)))
    assert list(map(int, names)) == sorted(set(values))


@pytest.mark.parametrize(
    ("labels", "codes", "names"),
    [
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
        (np.array([b"b", b"a"]), [1, 0], ("a", "b")),
        (np.array(["x", "y"], object), [0, 1], ("x", "y")),
        (np.array([3, 9], object), [0, 1], ("3", "9")),
        (np.array([30, -7, -1, 30]), [1, 0, -1, 1], ("-7", "30")),
        (np.array([1.0, 2.0, -1.0]), [0, 1, -1], ("1", "2")),
        (np.array([True, False]), [1, 0], ("False", "True")),
        (np.array([[4], [2]], np.uint8), [1, 0], ("2", "4")),
        (np.eye(3)[[2, 0, 1]], [2, 0, 1], ("0", "1", "2")),
        (np.array([255, 0], np.uint8), [1, 0], ("0", "255")),
    ],
)
def test_every_accepted_form(labels, codes, names):
    encoded = encode_labels(labels)
    assert encoded.codes.tolist() == codes
    assert encoded.names == names


MISSING = [
    ["a", "b", None],
    ["a", "b", float("nan")],
    np.array(["a", "b", np.nan]),
    np.array(["a", "b", np.nan], object),
    np.array(["a", "b", ""]),
    ["a", "b", "  "],
    np.ma.masked_array(["a", "b", "c"], [0, 0, 1]),
    np.array([b"a", b"b", b""]),
]
MISSING_NUMBERS = [
    [3, 4, None],
    np.array([3, 4, np.nan]),
    np.array([[3], [4], [np.nan]]),
    np.ma.masked_array([3, 4, 5], [0, 0, 1]),
    np.array([3.0, 4.0, None], object),
]


@pytest.mark.parametrize("labels", MISSING + MISSING_NUMBERS, ids=repr)
def test_missing_labels_are_unlabelled_rows_and_said(labels):
    encoded = encode_labels(labels)
    assert encoded.codes.tolist() == [0, 1, -1]
    assert encoded.names in (("a", "b"), ("3", "4"))
    assert encoded.notes == (
        "1 of 3 rows have no label (row 2); they count as unlabelled.",
    )  # fmt: skip


def test_pandas_labels():
    pd = pytest.importorskip("pandas")
    missing = (
        pd.Series(["a", "b", None]),
        pd.Series(["a", "b", None], dtype="category"),
        pd.Series(["a", "b", None], dtype="string"),
        pd.Series([3, 4, pd.NA], dtype="Int64"),
        pd.Series([3, 4, None]),
        pd.DataFrame({"label": ["a", "b", None]}),
    )
    for labels in missing:
        encoded = encode_labels(labels)
        assert encoded.codes.tolist() == [0, 1, -1]
        assert len(encoded.notes) == 1
    one_hot = encode_labels(pd.get_dummies(pd.Series(["dog", "cat", "dog"])))
    assert (one_hot.codes.tolist(), one_hot.names) == ([1, 0, 1], ("cat", "dog"))
    dates = pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"]))
    with pytest.raises(InvalidInputError, match="datetime64"):
        encode_labels(dates)


def test_folders_may_be_called_like_a_missing_value():
    assert encode_labels(["nan", "naan"], every_text=True).names == ("naan", "nan")


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        ([-1, 0, 1], "1 of 3 rows are labelled -1.*give the labels as strings"),
        ([-1.0, 0.0, 1.0], "1 of 3 rows are labelled -1"),
        (["cat ", "cat", "dog"], "only in white space .*'cat'"),
        (["caf\u00e9", "cafe\u0301", "dog"], "Unicode form"),
        (["Cat", "cat", "dog"], "case alone: 'Cat', 'cat'"),
        (["None", "a", "b"], "look like missing labels: 'None'"),
    ],
)
def test_what_was_assumed_is_said_in_one_line(labels, note):
    (found,) = encode_labels(labels).notes
    assert re.search(note, found)
    assert "\n" not in found


def test_names_are_one_line():
    encoded = encode_labels(["stop\r\nsign", " stop  sign\t", "go"])
    assert encoded.names == ("go", "stop sign")
    assert encoded.codes.tolist() == [1, 1, 0]


def test_text_that_is_no_utf8_names_a_class_that_can_be_written():
    encoded = encode_labels(np.array([b"\xff", b"\xfe", "é".encode()]))
    assert len({name.encode() for name in encoded.names}) == 3
    assert encode_labels(["a\udcff", "b"]).names[0].encode()


LABELS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 5), st.integers(), st.floats(), st.text(max_size=3),
    st.binary(max_size=2), st.complex_numbers(), st.lists(st.integers(0, 1), max_size=3),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
)  # fmt: skip


def encoded_or_refused(labels):
    """The labels, or None where they were refused in one line."""
    try:
        return encode_labels(labels)
    except InvalidInputError as error:
        message = str(error)
    assert "\n" not in message
    return None


@given(st.lists(LABELS, max_size=8) | st.lists(st.sampled_from(["a", "b ", "", None, "A"])))
def test_any_labels_are_encoded_or_refused_in_one_line(labels):
    for form in (labels, tuple(labels)):
        encoded = encoded_or_refused(form)
        if encoded is None:
            continue
        assert encoded.codes.shape == (len(labels),)
        assert set(encoded.codes.tolist()) - {-1} == set(range(len(encoded.names)))
        assert len(encoded.names) == len(set(encoded.names)) >= 2
        # Every row keeps its class, or it is said that some have none.
        assert -1 not in encoded.codes or encoded.notes


@given(
    hnp.arrays(
        st.sampled_from([np.bool_, np.int8, np.uint64, np.float32, np.dtype("U2"), np.dtype("S2")]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_any_array_is_encoded_or_refused_in_one_line(labels):
    encoded = encoded_or_refused(labels)
    if encoded is not None:
        assert len(encoded.codes) == len(labels)
        assert set(encoded.codes.tolist()) - {-1} == set(range(len(encoded.names)))


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (np.array([0.5, 1.0]), "0.5 in row 0"),
        (np.array([0.0, np.nan]), "only '0' and 1 unlabelled rows"),
        (np.array([0.0, np.inf]), "inf in row 1"),
        (np.array([np.nan, 0.5]), "0.5 in row 1"),
        (np.arange(60), "60 different numbers in 60 rows, as in regression"),
        (np.array([1e300, 0.0]), "1e"),
        (np.array([[1, 1], [0, 1]]), r"shape \(2, 2\)"),
        (np.array([[0, 0], [0, 1]]), r"shape \(2, 2\)"),
        (np.array([[0.2, 0.8]]), "soft labels"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        ([[0], [1, 2]], "different lengths"),
        (np.array([1j, 2]), "complex128"),
        (np.array([None, 1], object), "only '1' and 1 unlabelled rows"),
        ([0, "a"], "text and 0"),
        ([["a", "b"], ["b", "a"]], "Multi-label"),
        ([{"a": 1}, {"b": 2}], "object of dict"),
        ([None, None], "none and 2 unlabelled rows"),
        (np.array(["2020-01-01"], "datetime64"), "datetime64"),
        (np.array([5, 5]), "only '5'"),
        (np.array([-1, 1]), "1 unlabelled rows .*if -1 is a class, give strings"),
        (np.array(3), r"shape \(\)"),
    ],
)
def test_what_cannot_be_class_labels_is_refused_in_one_line(labels, received):
    with pytest.raises(InvalidInputError, match=received) as caught:
        encode_labels(labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "odd"),
    [
        ([0, 1, -100], "'-100'"),
        ([0, 1, 255], "'255'"),
        (np.uint16([0, 1, 65535]), "'65535'"),
        (np.array([0, 1, -1]).astype("uint32"), "'4294967295'"),
        ([-9, 1, 2, -1], "'-9'"),
    ],
)
def test_numbers_that_often_mark_unlabelled_rows_are_asked_about(labels, odd):
    notes = encode_labels(np.repeat(np.asarray(labels), 4)).notes
    (asked,) = [note for note in notes if "unusual numbers" in note]
    assert odd in asked


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], [-2, -1, 0], range(256), [1, 200, 255], [254, 255], [-5, -3]]
)
def test_usual_numbers_are_not_asked_about(labels):
    notes = encode_labels(np.repeat(np.asarray(labels), 4)).notes
    assert not any("unusual" in note and "'-1'" in note for note in notes)
    if min(labels) >= 0 or max(labels) < 0:
        assert not any("unusual" in note for note in notes)
