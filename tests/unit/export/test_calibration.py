import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.calibration import calibration_rows, pin_range

IMAGE = (tf.TensorSpec((1, 4, 4, 1), tf.float32, name="image"),)
PAIR = (
    tf.TensorSpec((1, 3), tf.float32, name="latent"),
    tf.TensorSpec((1,), tf.int32, name="label"),
)
X = np.random.default_rng(0).random((8, 4, 4, 1))


@pytest.mark.parametrize(
    "samples",
    [
        X,
        X.astype(np.float32),
        (X,),
        iter(X),
        [[row] for row in X],
        [{"image": row} for row in X],
        [row[None] for row in X],
        tf.data.Dataset.from_tensor_slices(X),
        tf.data.Dataset.from_tensor_slices((X, np.arange(8))),
        lambda: ([row] for row in X),
    ],
)
def test_every_form_gives_the_same_rows(samples):
    rows = calibration_rows(samples, IMAGE)
    assert len(rows) == 8
    assert all(row[0].dtype == np.float32 for row in rows)
    np.testing.assert_allclose(np.concatenate([row[0] for row in rows]), X, rtol=1e-6)


def test_two_inputs_as_arrays_or_by_name():
    z, labels = np.ones((5, 3)), np.arange(5)
    for samples in ((z, labels), [{"label": k, "latent": z[0]} for k in labels]):
        rows = calibration_rows(samples, PAIR)
        assert [int(row[1][0]) for row in rows] == [0, 1, 2, 3, 4]
        assert rows[0][0].shape == (1, 3)


def test_large_arrays_are_thinned_evenly():
    rows = calibration_rows(np.arange(1000.0).reshape(1000, 1), (tf.TensorSpec((1, 1)),), 5)
    assert [row[0].item() for row in rows] == [0, 249, 499, 749, 999]


def test_pinning_touches_two_values_at_most():
    rows = calibration_rows(X * 0.5 + 0.2, IMAGE)
    before = np.stack([row[0] for row in rows])
    pin_range(rows, 0.0, 1.0)
    after = np.stack([row[0] for row in rows])
    assert (after.min(), after.max()) == (0.0, 1.0)
    assert np.sum(before != after) == 2
    pin_range(rows, 0.0, 1.0)
    np.testing.assert_array_equal(np.stack([row[0] for row in rows]), after)


@pytest.mark.parametrize(
    ("samples", "inputs", "message"),
    [
        (X[:0], IMAGE, "must hold samples"),
        (X[:, :2], IMAGE, "must have the shape of the input"),
        ((np.ones((5, 3)), np.arange(4)), PAIR, "as many samples for each input"),
        (iter(np.ones((5, 3))), PAIR, "must give 2 inputs"),
    ],
)
def test_samples_that_do_not_fit(samples, inputs, message):
    with pytest.raises(InvalidInputError, match=message):
        calibration_rows(samples, inputs)
