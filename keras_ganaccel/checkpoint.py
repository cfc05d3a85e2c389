"""The whole state of a training in one file, written atomically and checked when it is read.

A file is a NumPy archive of arrays (so that reading it runs no code) with its metadata inside, and
ends in the SHA-256 of everything before. A file that was cut short or damaged is told by that and
passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.errors import CheckpointError
from keras_ganaccel.files import atomic_open

logger = logging.getLogger(__name__)

_NAME = re.compile(r"state-(\d{10})\.ckpt")
_RECORD = "record"
_ARRAY = "array/"
_DIGEST_SIZE = hashlib.sha256().digest_size


@dataclass(frozen=True)
class State:
    """What a checkpoint holds.

    Args:
        step: The step that it was written at.
        arrays: Arrays by name.
        meta: What JSON can hold.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any]


def save_state(
    folder: str | os.PathLike[str],
    step: int,
    arrays: Mapping[str, np.ndarray],
    meta: Mapping[str, Any] | None = None,
    *,
    keep: int = 2,
) -> Path:
    """Writes a checkpoint, and removes old ones once it is in place.

    Args:
        folder: Where checkpoints go; made if need be.
        step: Steps so far; a later checkpoint has a higher one.
        arrays: Arrays by name, of any dtype but object.
        meta: Anything else, as JSON can hold it.
        keep: How many of the newest checkpoints to keep, at least 1.

    Returns:
        The file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"state-{step:010d}.ckpt"
    with atomic_open(path) as file:
        file.write(encode(State(step, arrays, meta or {})))
    _clear(folder, step, keep)
    return path


def load_newest(folder: str | os.PathLike[str]) -> State | None:
    """Reads the newest checkpoint that is whole.

    Args:
        folder: Where checkpoints are.

    Returns:
        The state, or None where there is no checkpoint at all.

    Raises:
        CheckpointError: There are checkpoints, but every one is damaged.
    """
    paths = _newest_first(Path(folder))
    for path in paths:
        try:
            return decode(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("Checkpoint %s is damaged (%s); the one before is used.", path, error)
    if paths:
        raise CheckpointError(
            f"Every checkpoint is damaged. Received: {str(folder)!r}. Remove them to start anew."
        )
    return None


def encode(state: State) -> bytes:
    """Returns a state as the bytes of its file."""
    record = json.dumps({"step": state.step, "meta": dict(state.meta)})
    members: dict[str, Any] = {_RECORD: np.array(record)}
    for name, array in state.arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f"Arrays of objects cannot be saved. Received: {name!r}.")
        members[_ARRAY + name] = array
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    content = buffer.getvalue()
    return content + hashlib.sha256(content).digest()


def decode(content: bytes) -> State:
    """Returns the state that `encode` was given.

    Raises:
        ValueError: The checksum is wrong.
    """
    content, digest = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its checksum is wrong")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    record = json.loads(str(members.pop(_RECORD)))
    arrays = {name.removeprefix(_ARRAY): array for name, array in members.items()}
    return State(record["step"], arrays, record["meta"])


def _newest_first(folder: Path) -> list[Path]:
    paths = (path for path in folder.glob("state-*.ckpt") if _NAME.fullmatch(path.name))
    return sorted((path for path in paths if not path.is_dir()), reverse=True)


def _clear(folder: Path, step: int, keep: int) -> None:
    """Removes old checkpoints, and later ones: of a future that was given up, or damaged."""
    paths = _newest_first(folder)
    newest = folder / f"state-{step:010d}.ckpt"
    position = paths.index(newest)
    for path in (*paths[:position], *paths[position + max(keep, 1) :]):
        path.unlink(missing_ok=True)


def model_state(model: keras.Model) -> dict[str, np.ndarray]:
    """Collects every variable of a model: weights, optimisers, counters, metrics.

    Under several workers each of them must call it, because metrics are added up over all.

    Args:
        model: Any built model; its optimisers are found among its attributes.

    Returns:
        Arrays by name.
    """
    return {
        name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model).items()
    }


def restore_model_state(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Sets every variable of a model to what `model_state` returned.

    Args:
        model: A model of the same structure; nothing is changed unless all fits.
        arrays: Arrays by name; others than the model's are ignored.

    Raises:
        CheckpointError: A variable is missing or has another shape.
    """
    variables = _variables(model)
    for name, variable in variables.items():
        found = arrays[name].shape if name in arrays else None
        if found != tuple(variable.shape):
            raise CheckpointError(
                f"The checkpoint is of another model. Received: {name} of shape {found}, "
                f"expected {tuple(variable.shape)}. Use the settings that it was made with."
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    groups = {"model": model.variables, "metrics": model.metrics_variables}
    for name, value in sorted(vars(model).items()):
        if isinstance(value, keras.optimizers.Optimizer):
            groups[name] = value.variables
    # Paths are not unique and hold automatic names, so the order counts.
    return {
        f"{group}/{index}/{variable.name}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }
