import json

import numpy as np
import pytest
import tensorflow as tf

import keras_ganaccel as ga
from keras_ganaccel.modality.registry import (
    MODALITIES,
    modality_named,
    modality_of,
    spec_from_dict,
)

SPEC = ga.DataSpec(5, 4, 3, ("no", "yes"), (0.0, 16.0))


@pytest.mark.parametrize("name", MODALITIES)
def test_a_modality_is_found_by_its_name(name):
    assert modality_named(name).name == name


def test_an_unknown_modality_is_refused():
    with pytest.raises(ga.InvalidInputError, match="Unknown modality"):
        ga.load_data("digits", modality="imag")


def test_a_specification_survives_json():
    assert isinstance(SPEC, ga.Spec)
    read = spec_from_dict(json.loads(json.dumps(SPEC.to_dict())))
    assert read == SPEC
    assert modality_of(read).name == "image"


def test_a_wrong_description_is_refused_in_one_line():
    with pytest.raises(ga.InvalidInputError, match="cannot be read") as raised:
        spec_from_dict({"modality": "image", "colour": 3})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [np.asarray, tf.constant])
def test_images_are_hardened_to_what_was_relaxed(kind):
    image = modality_of(SPEC)
    unit = np.linspace(0, 1, 60, dtype=np.float32).reshape(1, 5, 4, 3)
    relaxed = image.relax(kind(unit))
    assert (float(np.min(relaxed)), float(np.max(relaxed))) == (-1.0, 1.0)
    hardened = image.harden(relaxed)
    assert isinstance(hardened, type(kind(unit)))
    np.testing.assert_allclose(hardened, unit, atol=1e-7)
    np.testing.assert_array_equal(image.harden(kind(3.0 * unit - 1.5)) <= 1.0, True)
