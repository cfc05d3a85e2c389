"""`tf.data` datasets of labelled samples, read into arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_ganaccel.data.vocabulary import find_keys
from keras_ganaccel.errors import InvalidInputError, reason_of
from keras_ganaccel.modality.image.images import MOST_BYTES


def is_dataset(value: Any) -> bool:
    """Tells whether something is a `tf.data.Dataset`, without importing TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.data.Dataset)


def read_dataset(dataset: Any, name: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Reads a finite dataset, batched or not, into arrays.

    Args:
        dataset: A `tf.data.Dataset` of ``(x, y)``, ``(x, y, weight)`` or dicts with such keys.
        name: What messages call it.

    Returns:
        Samples, labels, and what the user should know.

    Raises:
        InvalidInputError: If the dataset is endless or empty, its elements are not samples with
            labels of one shape, or they would take more than 2 GiB.
    """
    import tensorflow as tf

    from keras_ganaccel.pipelines import without_autotuner

    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise InvalidInputError(
            f"`{name}` must be finite. Received: an endless dataset. "
            "Leave out .repeat(), or call .take(n)."
        )
    pick, notes = _picker(dataset.element_spec, name)
    samples: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    size = 0
    for element in _elements(without_autotuner(dataset), name):
        x, y = (_as_numpy(part, name) for part in pick(element))
        if _is_batch(x, y):
            samples.append(x)
            labels.append(y)
        else:
            samples.append(x[np.newaxis])
            labels.append(np.asarray(y)[np.newaxis])
        size += x.nbytes
        if size > MOST_BYTES:
            raise InvalidInputError(
                f"`{name}` must fit into {MOST_BYTES >> 30} GiB. Received: more, or an endless "
                "dataset. Call .take(n), or resize the samples."
            )
    if not samples:
        raise InvalidInputError(
            f"`{name}` must hold samples. Received: an empty dataset. Check what it is made of."
        )
    return _joined(samples, name), _joined(labels, name), notes


def _elements(dataset: Any, name: str) -> Any:
    """Goes through a dataset; what the user's own functions raise in it is told in a line."""
    import tensorflow as tf

    try:
        yield from dataset
    except tf.errors.OpError as error:
        raise InvalidInputError(
            f"`{name}` cannot be read. Received: {reason_of(error, 160)}. Mend the dataset."
        ) from error


def _picker(spec: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """How to get samples and labels out of an element, and what is left out."""
    if isinstance(spec, Mapping):
        found = find_keys(map(str, spec), f"An element of `{name}`")
        x_key, y_key = next(iter(found.parts.values()))
        left = tuple(str(key) for key in found.unused)
        notes = (f"Not used of `{name}`: {', '.join(map(repr, left))}.",) if left else ()
        return (lambda element: (element[x_key], element[y_key])), notes
    if isinstance(spec, tuple) and len(spec) in (2, 3):
        notes = (f"The sample weights of `{name}` are not used.",) if len(spec) == 3 else ()
        parts = spec[:2]
        inner = [next(iter(p)) if isinstance(p, Mapping) and len(p) == 1 else None for p in parts]
        if not any(isinstance(p, (Mapping, tuple)) and key is None
                   for p, key in zip(parts, inner, strict=True)):  # fmt: skip
            return (
                lambda element: tuple(
                    part if key is None else part[key]
                    for part, key in zip(element[:2], inner, strict=True)
                )
            ), notes
    raise InvalidInputError(
        f"`{name}` must yield (x, y), one array and one label per sample. Received: elements "
        f"{' '.join(str(spec).split())[:200]}. Map it to that."
    )


def _as_numpy(tensor: Any, name: str) -> np.ndarray:
    if not hasattr(tensor, "numpy") or not hasattr(tensor, "shape") or _is_composite(tensor):
        raise InvalidInputError(
            f"`{name}` must yield dense tensors. Received: a {type(tensor).__name__}. "
            "Resize its samples to one shape, or call .to_tensor() or tf.sparse.to_dense."
        )
    return np.asarray(tensor.numpy())


def _is_composite(tensor: Any) -> bool:
    import tensorflow as tf

    return isinstance(tensor, (tf.RaggedTensor, tf.SparseTensor))


def _is_batch(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether an element is a batch: it has a label for each of the samples along its first axis.

    Three axes that end in 1 or 3 channels are one picture, whose label may be a one-hot row.
    """
    if y.ndim == 0 or (x.ndim == 3 and x.shape[2] in (1, 3)):
        return False
    return x.ndim >= 2 and len(x) == len(y)


def _joined(arrays: list[np.ndarray], name: str) -> np.ndarray:
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise InvalidInputError(
            f"`{name}` must yield samples of one shape. Received: {len(shapes)} shapes, such as "
            f"{' and '.join(map(str, sorted(shapes)[:2]))}. Resize them to one shape."
        )
    return np.concatenate(arrays)
