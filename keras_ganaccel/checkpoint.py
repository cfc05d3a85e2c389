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
# Ends a name, or a part of an optimizer variable's name such as `conv2d_7_kernel_momentum`.
_AUTOMATIC = re.compile(r"(?<=[a-z0-9])_\d+(?=_|/|$)")
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

    Names that Keras counts up by itself, such as ``conv2d_7``, do not matter: a model that was
    built anew in the same process is the same model.

    Args:
        model: A model of the same structure; nothing is changed unless all fits.
        arrays: Arrays by name; others than the model's are ignored.

    Raises:
        CheckpointError: A variable is missing, is another one or has another shape.
    """
    saved = {_place(name): name for name in arrays}
    variables = _variables(model)
    wanted = {_place(name): name for name in variables}
    groups = {group for group, _ in wanted}
    for place in (*wanted, *(place for place in saved if place[0] in groups)):
        key, name = saved.get(place), wanted.get(place)
        if (
            key is None
            or name is None
            or not _is_same(key, name)
            or arrays[key].shape != tuple(variables[name].shape)
        ):
            there = "nothing" if key is None else f"{_structural(key)} {arrays[key].shape}"
            here = "nothing" if name is None else f"{name} {tuple(variables[name].shape)}"
            raise CheckpointError(
                f"The checkpoint is of another model. Received: {there}, where this model has "
                f"{here}. Use another folder, or the networks and settings that it was made with."
            )
    for place, name in wanted.items():
        variables[name].assign(arrays[saved[place]])


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    groups = {"model": model.variables, "metrics": model.metrics_variables}
    for name, value in sorted(vars(model).items()):
        if isinstance(value, keras.optimizers.Optimizer):
            groups[name] = value.variables
    # Without the automatic numbers paths are not unique, so the order counts.
    return {
        f"{group}/{index}/{_structural(variable.path)}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def _place(name: str) -> tuple[str, ...]:
    """Group and position of a variable, in front of its path."""
    return tuple(name.split("/", 2)[:2])


def _structural(path: str) -> str:
    """A variable's path without the numbers by which Keras tells layers of a kind apart."""
    return _AUTOMATIC.sub("", path)


def _is_same(saved: str, name: str) -> bool:
    """Whether a checkpoint's name means this variable; older ones held only its last part."""
    own = _structural(saved).split("/", 2)[2]
    path = name.split("/", 2)[2]
    return own == path or ("/" not in own and own == path.rpartition("/")[2])
