import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.classifier.augment import augment
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.augment import AUGMENT_UNIFORMS, diff_augment
from keras_ganaccel.modality.policies import check_policies, policies_of, suited_policies
from keras_ganaccel.modality.registry import MODALITIES


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_policies_of_the_game_find_room_for_their_numbers(modality):
    policies = policies_of(modality, game=True).values()
    assert sum(1 + policy.uniforms for policy in policies) <= AUGMENT_UNIFORMS
    assert not any(policy.mixes for policy in policies)


def test_policies_of_other_kinds_of_samples_are_passed_over():
    rows = np.random.default_rng(0).random((6, 57), np.float32)
    changed, targets = augment(tf.constant(rows), [], ("shift", "cutout"), tf.constant([1, 2]))
    np.testing.assert_array_equal(changed, rows)
    assert targets == []
    uniforms = np.zeros((6, AUGMENT_UNIFORMS), np.float32)
    np.testing.assert_array_equal(diff_augment(rows, ("translation",), uniforms), rows)


@pytest.mark.parametrize("game", [False, True])
def test_a_name_that_no_modality_knows_is_refused(game):
    with pytest.raises(InvalidInputError, match="Unknown augmentation"):
        check_policies(["shfit"], game=game)
    with pytest.raises(InvalidInputError, match="Unknown augmentation"):
        suited_policies(["shfit"], 3, game=game)
