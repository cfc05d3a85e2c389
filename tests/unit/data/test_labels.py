import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_ganaccel.data.labels import encode_labels
from keras_ganaccel.errors import InvalidInputError


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40).filter(lambda y: len(set(y)) > 1))
def test_integers_are_ranked_and_the_names_lead_back(values):
    codes, names = encode_labels(np.array(values))
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
    encoded, found = encode_labels(labels)
    assert encoded.tolist() == codes
    assert found == names


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (np.array([0.5, 1.0]), "0.5 in row 0"),
        (np.array([0.0, np.nan]), "nan in row 1"),
        (np.array([[1, 1], [0, 1]]), r"shape \(2, 2\)"),
        (np.array([[0, 0], [0, 1]]), r"shape \(2, 2\)"),
        (np.array([[0.2, 0.8]]), r"shape \(1, 2\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        ([[0], [1, 2]], "different lengths"),
        (np.array([1j, 2]), "complex128"),
        (np.array([None, 1], object), "object"),
        (np.array(["2020-01-01"], "datetime64"), "datetime64"),
        (np.array([5, 5]), r"\['5'\]"),
        (np.array([-1, 1]), "and -1, which marks unlabelled rows"),
        (np.array(3), r"shape \(\)"),
    ],
)
def test_what_cannot_be_class_labels_is_refused_in_one_line(labels, received):
    with pytest.raises(InvalidInputError, match=received) as caught:
        encode_labels(labels)
    assert "\n" not in str(caught.value)
