"""A task of real images with headroom: which of two handwritten digits is the larger one?

A teacher that reads digits knows; a small student needs to see many pairs to find out.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ganaccel.classifier.shallow import ShallowTeacher


class Comparer:
    """Knows which of two digits is larger from its probabilities for each."""

    def __init__(self, reader):
        self.reader = reader

    def predict_proba(self, x):
        left, right = (self.reader.predict_proba(half) for half in (x[:, :, :8], x[:, :, 8:]))
        digits = np.arange(10)
        larger = (digits[:, None] > digits) + 0.5 * (digits[:, None] == digits)
        probability = np.einsum("ni,nj,ij->n", left, right, larger)
        return np.stack([1 - probability, probability], axis=1)


@pytest.fixture(scope="session")
def larger_digit():
    """300 labelled pairs, 2,000 pairs whose labels are withheld, and a teacher that can read."""
    raw = load_digits()
    x = (raw.images[..., None] / 16).astype(np.float32)
    reader = ShallowTeacher("svm", 10, shifts=False).fit(x[:700], raw.target[:700])
    random = np.random.default_rng(0)

    def pairs(count):
        first, second = random.integers(700, len(x), (2, 2 * count))
        differ = raw.target[first] != raw.target[second]
        first, second = first[differ][:count], second[differ][:count]
        larger = (raw.target[first] > raw.target[second]).astype(np.int64)
        return np.concatenate([x[first], x[second]], axis=2), larger

    labelled, withheld = pairs(300), pairs(2000)
    return SimpleNamespace(
        x=labelled[0], y=labelled[1], withheld=withheld[0], teacher=Comparer(reader)
    )
