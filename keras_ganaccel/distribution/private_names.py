"""The names of Keras that are no promise of Keras', and that the trainer overrides."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import keras

from keras_ganaccel.errors import MissingExtraError

# By the method of `keras.Model` that reads them. Overriding a name that nothing reads any more
# would change nothing and say nothing.
READ_BY: Mapping[str, tuple[str, ...]] = {
    "fit": ("_maybe_symbolic_build", "_get_metrics_result_or_logs"),
    "evaluate": ("_maybe_symbolic_build", "_get_metrics_result_or_logs"),
    "compile": ("_compile_loss", "_loss_tracker"),
}


def check_private_names(model: type = keras.Model) -> None:
    """Refuses a Keras that has no longer what the trainer overrides.

    Args:
        model: The class that is looked at.

    Raises:
        MissingExtraError: A name is gone; the message says which, and Keras' version.
    """
    for method, names in READ_BY.items():
        read = inspect.unwrap(getattr(model, method)).__code__.co_names
        for name in names:
            if name not in read:
                raise MissingExtraError(
                    "keras_ganaccel does not know how this Keras trains. Received: Keras "
                    f"{keras.__version__}, whose Model.{method} reads no `{name}`. "
                    "Install keras>=3.15,<3.16."
                )
