"""Writes what leads from raw data to a model's input on a device: TFLite, C, and test vectors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.export import flatbuffer, naming
from keras_ganaccel.export.graph import canonical_function
from keras_ganaccel.export.quiet import native_stderr_to_log
from keras_ganaccel.files import atomic_open, atomic_save
from keras_ganaccel.modality.protocol import FrontEnd
from keras_ganaccel.modality.registry import modality_of

ENCODED = "encoded"


def export_front_end(spec: Spec, folder: str | os.PathLike[str], raw: Any) -> tuple[Path, ...]:
    """Writes ``frontend.tflite``, ``frontend.c``, ``frontend.h`` and ``frontend_vectors.npz``.

    All three answer each sample alike, within 1e-5 of the encoded range.

    Args:
        spec: The description of the data.
        folder: Where to write; it must exist.
        raw: Raw samples to make test vectors of.

    Returns:
        The paths of the files; none where the modality needs none, as for images.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> data = ga.load_data("tables:wine")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = ga.export_front_end(data.spec, folder, data.x)
        ...     print(*(path.name for path in paths))
        frontend.tflite frontend.h frontend.c frontend_vectors.npz
    """
    front_end = modality_of(spec).front_end(spec)
    if front_end is None:
        return ()
    folder = Path(folder)
    with atomic_open(folder / "frontend.tflite") as file:
        file.write(front_end_tflite(front_end))
    written = [folder / "frontend.tflite"]
    for name, text in front_end.c_files().items():
        with atomic_open(folder / name, "w") as file:
            file.write(text)
        written.append(folder / name)
    vectors: dict[str, Any] = dict(front_end.vectors(raw))
    atomic_save(folder / "frontend_vectors.npz", lambda path: np.savez_compressed(path, **vectors))
    return (*written, folder / "frontend_vectors.npz")


def front_end_tflite(front_end: FrontEnd) -> bytes:
    """Converts a front end to a float TFLite file of batch size 1, of builtin operators alone."""
    inputs = [tf.TensorSpec((1, *shape), dtype, name) for name, shape, dtype in front_end.inputs]
    encode = front_end.function()
    with native_stderr_to_log():
        function = canonical_function(lambda *tensors: [encode(*tensors)], inputs, [ENCODED])
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        converter.exclude_conversion_metadata = True
        content = converter.convert()
    model = flatbuffer.parse(content, "the converter's output")
    names = [spec.name for spec in inputs]
    naming.name_tensors(model, names, [ENCODED])
    naming.set_signature(model, names, [ENCODED])
    model.description = "keras_ganaccel"
    return flatbuffer.pack(model)
