"""Names that only Keras knows are refused before anything is written."""

import pytest

from keras_ganaccel.config import PRESETS, preset, with_values
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.journey.names import check_names


@pytest.mark.parametrize("name", PRESETS)
def test_presets_pass(name):
    check_names(preset(name))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"student.architecture": "seperable"}, "Did you mean 'separable'"),
        ({"teacher.members": ("convnett",)}, "Did you mean 'convnet'"),
        ({"teacher.members": ("svm", "extra_trees")}, "Keras model"),
        ({"gate.teacher_members": ("smv",)}, "Did you mean 'svm'"),
        ({"gate.teacher_members": ()}, "must not be empty"),
        ({"student.optimizer": "adamm"}, "name of a Keras optimizer"),
    ],
)
def test_unknown_names_are_refused(values, words):
    with pytest.raises(InvalidInputError, match=words):
        check_names(with_values(preset("quick"), values))
