import functools

import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.arrays import feature_array, per_class
from keras_ganaccel.metrics.frechet import frechet_distance
from keras_ganaccel.metrics.kid import kid


def test_per_class_sees_each_class_alone():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(30, 3)), rng.normal(1.0, size=(40, 3))
    real_labels, labels = np.arange(30) % 3 - 1, np.arange(40) % 2  # -1 is unlabelled
    scores = per_class(kid, real, real_labels, generated, labels)
    assert list(scores) == [0, 1]
    assert scores[1] == kid(real[real_labels == 1], generated[labels == 1])


def test_per_class_takes_options_and_notices_missing_samples():
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    biased = functools.partial(frechet_distance, allow_biased=True)
    assert per_class(biased, x, y, x, y) == pytest.approx({0: 0, 1: 0, 2: 0}, abs=1e-9)
    with pytest.raises(InvalidInputError, match="`generated` must have shape"):
        per_class(kid, x, y, x, np.zeros(30, int))
    with pytest.raises(InvalidInputError, match=r"shape \(30,\)"):
        per_class(kid, x, y, x, y[:-1])


def test_trailing_axes_are_flattened():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    array = feature_array("images", images)
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, images.reshape(2, 12))
