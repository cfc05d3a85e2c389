"""What a model or a file takes: one array, or one per input, by position or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ganaccel.data.finite import check_finite
from keras_ganaccel.errors import InvalidInputError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelInputs:
    """The inputs of a model, in the order in which it numbers them.

    Args:
        names: The name of each.
        shapes: The shape of one sample for each; None is open.
        dtypes: Each one's dtype, such as ``"float32"``; look-ups take ``"int32"``.
        keys: The keys of a model that takes a dict, in order; None otherwise.
        structure: The numbers of the inputs in the structure that the model is called with.

    Example:
        >>> inputs = ModelInputs(("age", "ids"), ((1,), (4,)), ("float32", "int32"))
        >>> ages, ids = inputs.arrays({"ids": np.ones((2, 4)), "age": np.zeros((2, 1))})
        >>> ids.dtype.name, ages.shape
        ('int32', (2, 1))
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    dtypes: tuple[str, ...]
    keys: tuple[str, ...] | None = None
    structure: Any = 0

    @classmethod
    def of(cls, model: keras.Model) -> ModelInputs:
        """Describes the inputs of a built Functional or Sequential model.

        Raises:
            InvalidInputError: The model does not know its inputs.
        """
        import keras

        tensors = list(getattr(model, "inputs", None) or ())
        if not tensors:
            raise InvalidInputError(
                f"A model must know its inputs. Received: {model.name!r}, subclassed or not built. "
                "Wrap it: keras.Model(x, model(x)) with x = keras.Input(...)."
            )
        given = tensors[0] if isinstance(model, keras.Sequential) else model.input
        numbers = {id(tensor): number for number, tensor in enumerate(tensors)}
        structure = keras.tree.map_structure(lambda tensor: numbers[id(tensor)], given)
        if isinstance(structure, list):
            # A list inside a tf.data element is taken for one tensor.
            structure = tuple(structure)
        if len(tensors) == 1 and not isinstance(given, dict):
            structure = 0
        keys = None
        if isinstance(structure, dict) and all(isinstance(v, int) for v in structure.values()):
            keys = tuple(sorted(structure, key=lambda key: structure[key]))
        return cls(
            names=tuple(tensor.name for tensor in tensors),
            shapes=tuple(tuple(tensor.shape[1:]) for tensor in tensors),
            dtypes=tuple(keras.backend.standardize_dtype(tensor.dtype) for tensor in tensors),
            keys=keys,
            structure=structure,
        )

    def arrays(self, x: Any) -> tuple[np.ndarray, ...]:
        """Brings samples into one form: an array per input, in order and of its dtype.

        Args:
            x: One array ``(n, ...)``; for several inputs a list, tuple or dict of such.

        Returns:
            Arrays of equal length. Float inputs get float32, look-ups whole numbers.

        Raises:
            InvalidInputError: There are too few or too many, a name is not known, or lengths,
                shapes or values do not fit.
        """
        found = [np.asarray(part) for part in self._parts(x)]
        lengths = {len(array) if array.ndim else 0 for array in found}
        if len(lengths) > 1 or 0 in lengths:
            raise InvalidInputError(
                "Each input must have a row per sample, at least one. Received: "
                f"{self._named([array.shape for array in found])}. Give arrays of one length."
            )
        facts = zip(found, self.names, self.shapes, self.dtypes, strict=True)
        return tuple(_fitted(*each) for each in facts)

    def tensors(self, x: Any) -> tuple[Any, ...]:
        """Brings an element of a `tf.data.Dataset` into the order and dtypes of the inputs."""
        import tensorflow as tf

        parts = self._parts(x)
        return tuple(tf.cast(x, dtype) for x, dtype in zip(parts, self.dtypes, strict=True))

    def packed(self, values: Sequence[Any]) -> Any:
        """Puts values in order into the structure that the model is called with."""
        import keras

        return keras.tree.map_structure(lambda number: values[number], self.structure)

    def _parts(self, x: Any) -> list[Any]:
        count = len(self.names)
        if isinstance(x, Mapping):
            for names in (self.keys, self.names):
                if names is not None and set(names) == set(x):
                    return [x[name] for name in names]
            raise InvalidInputError(
                f"The inputs are called {', '.join(map(repr, self.keys or self.names))}. "
                f"Received: a dict with {', '.join(map(repr, x))}. Give one array for each."
            )
        if count == 1 and not (isinstance(x, (list, tuple)) and len(x) == 1 and _is_array(x[0])):
            return [x]
        if not isinstance(x, (list, tuple)) or len(x) != count:
            received = f"{len(x)}" if isinstance(x, (list, tuple)) else type(x).__name__
            raise InvalidInputError(
                f"There are {count} inputs, {self._named(self.shapes)}. Received: {received}. "
                "Give a list with one array for each, or a dict by their names."
            )
        return list(x)

    def _named(self, values: Sequence[Any]) -> str:
        pairs = zip(self.keys or self.names, values, strict=True)
        return ", ".join(f"{name!r} {value}" for name, value in pairs)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and len(value.shape) > 0


def _fitted(array: np.ndarray, name: str, shape: tuple[int | None, ...], dtype: str) -> np.ndarray:
    """One input's samples in its dtype, checked."""
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"The input {name!r} takes {dtype} numbers. Received: {array.dtype}. "
            "Encode text and categories as numbers before they reach the model."
        )
    received = array.shape[1:]
    if len(received) != len(shape) or any(
        size not in (None, mine) for size, mine in zip(shape, received, strict=True)
    ):
        raise InvalidInputError(
            f"The input {name!r} takes samples of shape {shape}. Received: {received}. "
            "Give samples of that shape."
        )
    check_finite(array, name)
    whole = not dtype.startswith(("float", "bfloat"))
    if whole and array.dtype.kind == "f" and (array != np.rint(array)).any():
        raise InvalidInputError(
            f"The input {name!r} takes whole numbers ({dtype}). Received: fractions such as "
            f"{array[array != np.rint(array)].flat[0]}. Give it what it looks up."
        )
    return array.astype(dtype if whole else np.float32, copy=False)
