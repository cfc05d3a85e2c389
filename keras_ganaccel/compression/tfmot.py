"""Loads TensorFlow Model Optimization without letting it change the process around it."""

from __future__ import annotations

import functools
import os
from typing import Any

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
    import tensorflow as tf

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
