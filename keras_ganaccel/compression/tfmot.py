"""Loads TensorFlow Model Optimization without letting it change the process around it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

_VARIABLE = "TF_USE_LEGACY_KERAS"


@functools.cache
def load_tfmot() -> Any:
    """Imports TF-MOT and puts everything back that the import changes.

    Importing TF-MOT sets ``TF_USE_LEGACY_KERAS``. If `tf.keras` has not been used by then it would
    become Keras 2 for good, and every child process would inherit the variable.

    Returns:
        The module `tensorflow_model_optimization`.

    Example:
        >>> hasattr(load_tfmot(), "sparsity")
        True
    """
    # Whichever Keras is meant by `tf.keras` is decided when it is first touched.
    tf.keras.__version__  # noqa: B018
    before = os.environ.get(_VARIABLE)
    try:
        import tensorflow_model_optimization as tfmot
    finally:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before
    return tfmot


def magnitude_pruning() -> Any:
    """TF-MOT's pruning of weights, which works on any variable where its wrapper knows few layers.

    Returns:
        The class ``Pruning``.
    """
    load_tfmot()
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl

    return pruning_impl.Pruning


def moving_range() -> Any:
    """TF-MOT's fake quantization with a range that follows what passes through it.

    Returns:
        The function ``MovingAvgQuantize``.
    """
    load_tfmot()
    from tensorflow_model_optimization.python.core.quantization.keras import quant_ops

    return quant_ops.MovingAvgQuantize


def rewrapped(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """Builds a tf_keras model anew with other layers, such as TF-MOT's wrappers.

    Args:
        model: A functional tf_keras model.
        wrap: Takes each layer and returns what is put in its place. A layer that is returned, or
            that is inside of what is returned, is shared by both models with its weights.

    Returns:
        The new model.
    """
    clone = tf_keras.models.clone_model
    if needs_no_autograph(model):
        clone = tf.autograph.experimental.do_not_convert(clone)
    return clone(model, clone_function=wrap)


def needs_no_autograph(model: Any) -> bool:
    """Whether all layers are tf_keras', TF-MOT's or the bridge's.

    Their code needs no rewriting, which takes longer than tracing them.
    """
    packages = {type(getattr(x, "layer", x)).__module__.split(".")[0] for x in model.layers}
    return packages <= {"tf_keras", "keras_ganaccel", "tensorflow_model_optimization"}
