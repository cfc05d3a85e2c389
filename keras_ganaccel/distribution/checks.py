"""Refusals from inside a TensorFlow step, as the one line that the rest of the package raises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError

_END = " <<"
# What `require` asserts, or what a call back into Python raised.
_REFUSAL = re.compile(rf"{InvalidInputError.__name__}: (.+?)(?:{_END}|\n|$)")


def require(condition: tf.Tensor, line: str) -> None:
    """Ends a step where a condition does not hold. XLA leaves the check out.

    Args:
        condition: Boolean scalar.
        line: What `refusals` then raises.
    """
    tf.debugging.Assert(condition, [f"{InvalidInputError.__name__}: {line}{_END}"])


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what a step refused, by `require` or in a call back into Python, into one line.

    Raises:
        InvalidInputError: A check inside the step did not hold.
    """
    try:
        yield
    except tf.errors.OpError as error:
        found = _REFUSAL.search(error.message)
        if found is None:
            raise
        raise InvalidInputError(found[1]) from None
