"""What a model takes: every accepted form becomes one, and what does not fit is refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import InvalidInputError

TWO = ModelInputs(("age", "ids"), ((1,), (None,)), ("float32", "int32"))
AGES, IDS = np.zeros((3, 1)), np.arange(6).reshape(3, 2)


def test_every_form_of_a_model_is_described():
    a, b = keras.Input((1,), name="b"), keras.Input((2,), dtype="int32", name="a")
    outputs = keras.layers.Concatenate()([a, keras.layers.Flatten()(b)])
    by_name = ModelInputs.of(keras.Model({"x": a, "y": b}, outputs))
    assert by_name.names == ("b", "a")
    assert by_name.keys == ("x", "y")
    assert by_name.packed(["first", "second"]) == {"x": "first", "y": "second"}
    by_place = ModelInputs.of(keras.Model([a, b], outputs))
    assert by_place.packed(["first", "second"]) == ("first", "second")
    alone = ModelInputs.of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    assert alone.packed(["only"]) == "only"
    assert alone.dtypes == ("float32",)


@pytest.mark.parametrize(
    "x", [[AGES, IDS], (AGES, IDS), {"ids": IDS, "age": AGES}, (AGES, IDS.astype("float64"))]
)
def test_every_form_of_samples_becomes_one(x):
    ages, ids = TWO.arrays(x)
    assert ages.dtype == np.float32
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, IDS)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.sampled_from(["uint8", "int64", "float16", "float64", "bool"]))
def test_one_array_keeps_its_values(rows, dtype):
    x = np.arange(rows * 4).reshape(rows, 4).astype(dtype)
    (found,) = ModelInputs(("image",), ((4,),), ("float32",)).arrays(x)
    np.testing.assert_array_equal(found, x.astype(np.float32))


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (AGES, "2 inputs, 'age'"),
        ([AGES], "2 inputs"),
        ({"age": AGES, "id": IDS}, "'age', 'ids'.*'id'"),
        ([AGES, IDS[:2]], "row per sample"),
        ([AGES, IDS + 0.5], "'ids' takes whole numbers.*0.5"),
        ([AGES * np.nan, IDS], "`age` must hold finite numbers.*3 of 3 rows"),
        ([AGES, np.full((3, 2), "a")], "'ids' takes int32 numbers"),
        ([np.zeros((3, 2)), IDS], r"'age' takes samples of shape \(1,\).*\(2,\)"),
    ],
)
def test_what_does_not_fit_is_named(x, reason):
    with pytest.raises(InvalidInputError, match=reason) as caught:
        TWO.arrays(x)
    assert "\n" not in str(caught.value)


def test_elements_of_a_stream_get_order_and_dtypes():
    stream = tf.data.Dataset.from_tensors({"ids": IDS, "age": AGES})
    for element in stream:
        ages, ids = TWO.tensors(element)
        assert (ages.dtype, ids.dtype) == (tf.float32, tf.int32)
