"""A SavedModel whose bytes depend on the computation alone, not on what the process did before.

TensorFlow ends the names of functions with a number that counts up over the whole process, orders
the functions by it, and adds a random identifier.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from keras_ganaccel.files import atomic_open

_COUNTED = re.compile(r"^(__(?:inference|forward|backward)_.*_)(\d+)$")

# Of a captured variable it is only the number of a tensor.
_USER_NAME = "_user_specified_name"


def renumber_functions(folder: Path) -> None:
    """Numbers the functions of a SavedModel from 0 on, in the order in which they were made.

    Args:
        folder: A SavedModel, rewritten in place. Its fingerprint, which is random and which
            nothing needs, is removed.
    """
    path = folder / "saved_model.pb"
    message = SavedModel.FromString(path.read_bytes())
    names = [
        function.signature.name
        for graph in message.meta_graphs
        for function in graph.graph_def.library.function
    ]
    numbers = sorted({int(found[2]) for found in map(_COUNTED.match, names) if found})
    new = {str(old): str(number) for number, old in enumerate(numbers)}
    _rename(message, lambda text: _COUNTED.sub(lambda m: m[1] + new.get(m[2], m[2]), text))
    for graph in message.meta_graphs:
        for function in graph.graph_def.library.function:
            for argument in function.arg_attr.values():
                if _USER_NAME in argument.attr and argument.attr[_USER_NAME].s.isdigit():
                    del argument.attr[_USER_NAME]
        functions = sorted(graph.graph_def.library.function, key=lambda f: f.signature.name)
        del graph.graph_def.library.function[:]
        graph.graph_def.library.function.extend(functions)
    with atomic_open(path) as file:
        file.write(message.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _rename(message: Message, renamed: Callable[[str], str]) -> None:
    """Applies a function to every text in a message, keys of maps included."""
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            _rename_map(value, renamed)
        elif kind is not None:
            for inner in [value] if isinstance(value, Message) else value:
                _rename(inner, renamed)
        elif isinstance(value, str):
            setattr(message, field.name, renamed(value))
        elif field.type == field.TYPE_STRING:
            value[:] = [renamed(text) for text in value]


def _rename_map(mapping: Any, renamed: Callable[[str], str]) -> None:
    # All at once: a new name may be the old one of another entry.
    entries = [(key, copy.deepcopy(mapping[key])) for key in mapping]
    mapping.clear()
    for key, value in entries:
        new_key = renamed(key) if isinstance(key, str) else key
        if isinstance(value, Message):
            _rename(value, renamed)
            mapping[new_key].CopyFrom(value)
        else:
            mapping[new_key] = renamed(value) if isinstance(value, str) else value
