import keras
import pytest

from keras_ganaccel.distribution.private_names import READ_BY, check_private_names
from keras_ganaccel.errors import MissingExtraError


def test_this_keras_has_what_the_trainer_overrides():
    check_private_names()


@pytest.mark.parametrize("method", READ_BY)
def test_a_keras_without_it_is_refused_in_one_line_that_names_its_version(method):
    other = type("Model", (keras.Model,), {method: lambda self: None})
    with pytest.raises(MissingExtraError) as caught:
        check_private_names(other)
    line = str(caught.value)
    assert keras.__version__ in line
    assert READ_BY[method][0] in line
