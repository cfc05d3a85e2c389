"""The table of what the bridge carries over, made from its own registry.

``python -m keras_ganaccel.compression.bridge.coverage docs/bridge_coverage.md`` writes it.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import keras

from keras_ganaccel.compression.bridge.registry import refusals, translators
from keras_ganaccel.files import atomic_open

HOSTED = "runs as it is, in float32"
_HEAD = """# What the bridge carries over

Made by `python -m keras_ganaccel.compression.bridge.coverage docs/bridge_coverage.md`; a test fails
when it is out of date. Every translation is proved on each model before it is used: the two layers
get identical inputs in inference and in training mode.

A layer that tf_keras does not have, one with a setting that it does not have, and one that you
wrote yourself run inside the tf_keras model as they are: they train with it and come back, nothing
in them is pruned or clustered, and quantization-aware training leaves them in float32. A class of
your own must be one that Keras can copy: its `get_config` returns the arguments of its constructor.
`bridge.register_translator` gives it a tf_keras counterpart. Layers with a kernel to prune or
quantize are never carried over this way: a setting that tf_keras does not have is refused by name.
Operations (`x + y`, `keras.ops.*`) all run: as the tf_keras layer that computes the same where
there is one, else as they are.

| keras.layers | carried over | remark |
| --- | --- | --- |
"""


def layer_classes() -> dict[str, type]:
    """Every class of `keras.layers` once, by its own name."""
    members = inspect.getmembers(keras.layers, inspect.isclass)
    return {
        layer_class.__name__: layer_class
        for _, layer_class in members
        if issubclass(layer_class, keras.layers.Layer)
    }


def coverage() -> list[tuple[str, bool, str]]:
    """One row per class of `keras.layers`.

    Returns:
        Name, whether it is translated, and a remark or the reason of the refusal.
    """
    known, refused = translators(), refusals()
    rows = []
    for name, layer_class in sorted(layer_classes().items()):
        if name == "InputLayer":
            rows.append((name, True, ""))
        elif layer_class in known:
            rows.append((name, True, known[layer_class].note))
        elif name in refused:
            rows.append((name, False, refused[name]))
        else:
            rows.append((name, True, HOSTED))
    return rows


def coverage_table() -> str:
    """Returns the table in Markdown, with its heading."""
    rows = (f"| {name} | {'yes' if yes else 'no'} | {note} |" for name, yes, note in coverage())
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    import keras_ganaccel.compression.bridge  # noqa: F401  # registers the translators

    with atomic_open(Path(sys.argv[1]), "w") as file:
        file.write(coverage_table())
