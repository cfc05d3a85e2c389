"""Refusals before and inside a TensorFlow step, as the one line that the package raises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError

_END = " <<"
# What `require` asserts, or what a call back into Python raised.
_REFUSAL = re.compile(rf"{InvalidInputError.__name__}: (.+?)(?:{_END}|\n|$)")


def require(value: tf.Tensor, condition: tf.Tensor, line: str) -> tf.Tensor:
    """Ends a step where a condition does not hold. XLA leaves the check out.

    Args:
        value: What is checked. Go on with what is returned: a step runs whatever does not wait for
            the check, and would put wrong values into the weights before it ends.
        condition: Boolean scalar.
        line: What `refusals` then raises.

    Returns:
        The value, once the condition holds.
    """
    held = tf.debugging.Assert(condition, [f"{InvalidInputError.__name__}: {line}{_END}"])
    with tf.control_dependencies([] if held is None else [held]):
        return tf.identity(value)


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


def check_arguments(given: Mapping[str, Any]) -> None:
    """Refuses arrays that `keras.Model.fit` cannot take together.

    Args:
        given: The arguments of `fit` by name.

    Raises:
        InvalidInputError: Lists of numbers, arrays of several lengths, or weights that are no
            finite numbers.
    """
    lengths = {}
    for name in ("x", "y", "sample_weight"):
        value = given.get(name)
        if isinstance(value, list) and not any(hasattr(item, "shape") for item in value):
            raise InvalidInputError(
                f"`{name}` must be an array. Received: a list of {len(value)}. "
                f"Pass numpy.asarray({name})."
            )
        shape = getattr(value, "shape", None)
        if shape is not None and len(shape):
            lengths[name] = shape[0]
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name} of {length}" for name, length in lengths.items())
        raise InvalidInputError(
            f"Samples, labels and weights must be of one length. Received: {received}. "
            "Give one label per sample."
        )
    weights = given.get("sample_weight")
    if "sample_weight" in lengths and not np.isfinite(np.asarray(weights, np.float64)).all():
        raise InvalidInputError(
            "`sample_weight` must hold finite numbers. Received: NaN or infinity. Give 0 where a "
            "sample shall not count."
        )


def check_batch(samples: Any, sample_shape: Sequence[int | None] | None, *, channels: bool) -> None:
    """Refuses batches of samples that a model is not made for, and samples without a batch.

    Args:
        samples: What has the shape of a batch, such as a `tf.TensorSpec`.
        sample_shape: What the model takes, without the batch; None if that is unknown.
        channels: Whether the channels must be there, even a single one; Keras' models add it.

    Raises:
        InvalidInputError: The shape does not fit.
    """
    shape = tf.TensorShape(getattr(samples, "shape", None))
    if sample_shape is None or shape.rank is None:
        return
    wanted = tuple(sample_shape)
    rank = len(wanted) + 1
    accepted = [wanted]
    if not channels and wanted[-1:] == (1,):
        accepted.append(wanted[:-1])
    if not channels and wanted:
        accepted.append((*wanted, 1))
    if any(shape.rank == len(each) + 1 and shape[1:].is_compatible_with(each) for each in accepted):
        return
    if shape.rank == rank - 1 and shape.is_compatible_with(wanted):
        raise InvalidInputError(
            f"Batches of samples are needed. Received: single samples of shape {tuple(shape)}. "
            "Call .batch(32) on the dataset."
        )
    raise InvalidInputError(
        f"The samples do not fit the model. Received: batches of shape {tuple(shape)} for a model "
        f"of samples {wanted}. Reshape them."
    )
