from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.gan.minibatch import Batch, deal, draw
from keras_ganaccel.gan.minibatch import unpack as unpacked

IMAGES = np.arange(6 * 4, dtype=np.float32).reshape(6, 2, 2, 1) / 24


def unpack(data: Any, samples_seen: int, *, counted: bool = False) -> Batch:
    return unpacked(data, samples_seen, Forms(), num_classes=6, counted=counted)


def test_positions_go_on_from_the_samples_seen():
    batch = unpack((IMAGES, np.arange(6)), 100)
    np.testing.assert_array_equal(batch.positions, np.arange(100, 106))
    again = unpack((IMAGES, np.arange(6)), 106, counted=True)
    np.testing.assert_array_equal(again.positions, batch.positions)
    assert int(batch.size) == 6


def test_given_positions_are_taken():
    batch = unpack((IMAGES, np.arange(6), np.arange(6) * 10), 100)
    np.testing.assert_array_equal(batch.positions, np.arange(6) * 10)


@pytest.mark.parametrize("data", [IMAGES, (IMAGES,), (IMAGES, None, None)])
def test_without_labels_all_are_unlabelled(data):
    np.testing.assert_array_equal(unpack(data, 0).labels, [-1] * 6)


def test_sample_weights_are_refused():
    with pytest.raises(InvalidInputError, match="no sample weights"):
        unpack((IMAGES, np.arange(6), np.ones(6, np.float32)), 0)


def test_dealing_parts_every_field_alike():
    batch = unpack((IMAGES, np.arange(6)), 10)
    first, second = deal(batch, 2)
    np.testing.assert_array_equal(first.labels, [0, 2, 4])
    np.testing.assert_array_equal(second.positions, [11, 13, 15])
    np.testing.assert_array_equal(second.samples, 2 * IMAGES[1::2] - 1)
    assert int(first.size) == 3


def test_classes_are_the_labels_or_follow_the_distribution():
    labels = np.full(4000, -1)
    labels[:2] = [1, 2]
    batch = unpack((np.zeros((4000, 1, 1, 1)), labels), 0)
    classes = draw(0, "test", batch, 2, tf.constant([0.5, 0.2, 0.3])).classes.numpy()
    np.testing.assert_array_equal(classes[:2], [1, 2])
    np.testing.assert_allclose(np.bincount(classes[2:]) / 3998, [0.5, 0.2, 0.3], atol=0.03)


def test_draws_depend_on_position_and_purpose_alone():
    whole = draw(0, "generator", unpack(IMAGES, 50), 3, tf.ones(2) / 2)
    part = draw(0, "generator", unpack(IMAGES[:2], 54), 3, tf.ones(2) / 2)
    other = draw(0, "penalty", unpack(IMAGES, 50), 3, tf.ones(2) / 2)
    for full, some in zip(whole, part, strict=True):
        np.testing.assert_array_equal(full[4:], some)
    assert not np.array_equal(whole.latents, other.latents)
    assert not np.array_equal(whole.real, whole.fake)
