"""Python objects inside of tf_keras layers."""

from __future__ import annotations

from typing import Any


class Untracked:
    """Hides a Python object from the attribute tracking of tf_keras layers.

    Tracking would look for layers in it, and wrap lists and dicts.

    Args:
        value: The object.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
