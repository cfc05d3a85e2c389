import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.callbacks.periodic import Periodic


class Steps(Periodic):
    """Remembers when it acted."""

    def __init__(self, every):
        super().__init__(every)
        self.steps = []

    def act(self, step, logs):
        self.steps.append(step)


def test_acts_once_for_every_multiple_that_is_passed(gan, drive):
    one_by_one, by_four = Steps(5), Steps(5)
    drive(one_by_one, gan, range(1, 21))
    assert one_by_one.steps == [5, 10, 15, 20]
    gan.step.assign(0)
    drive(by_four, gan, range(4, 21, 4))
    assert by_four.steps == [8, 12, 16, 20]


def test_a_resumed_training_acts_at_the_same_steps(gan, drive):
    whole, resumed = Steps(5), []
    drive(whole, gan, range(4, 41, 4))
    for start in (0, 8, 12, 24):  # killed and gone on from these steps
        gan.step.assign(start)
        part = Steps(5)
        drive(part, gan, range(start + 4, {0: 8, 8: 12, 12: 24, 24: 40}[start] + 1, 4))
        resumed += part.steps
    assert resumed == whole.steps


def test_refuses_less_than_a_step():
    with pytest.raises(InvalidInputError, match="at least 1 step"):
        Steps(0)
