"""From a Keras model to a SavedModel with a named signature."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.metadata import ENTRY, ArtifactMetadata, described_by
from keras_ganaccel.export.quiet import native_stderr_to_log
from keras_ganaccel.export.renumber import renumber_functions
from keras_ganaccel.export.serving import keras_serving, kind_of

METADATA_FILE = f"assets.extra/{ENTRY}.json"


def export_saved_model(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    spec: Spec | None = None,
    class_names: tuple[str, ...] | None = None,
    output: str | None = None,
    input_range: tuple[float, float] = (0.0, 1.0),
) -> Path:
    """Writes a model as a SavedModel that `tf.saved_model.load` and TensorFlow Serving take.

    The signature ``serving_default`` has the model's input names and ``logits``,
    ``probabilities`` or ``samples`` as output; the batch size is dynamic.

    Args:
        model: A functional or sequential Keras 3 model, or the result of
            `keras_ganaccel.compress` (then its Keras model).
        folder: Where to write; it appears by one rename. A SavedModel there is replaced.
        spec: The description of the data; gives class names and value range to the metadata.
        class_names: Names of the classes, if there is no `spec`.
        output: What the output means, see `ArtifactMetadata`; recognised by default.
        input_range: What the model takes for black and white.

    Returns:
        The folder. Its bytes depend on the model alone.

    Raises:
        InvalidInputError: If the folder exists and holds something else, or the model's inputs
            are not known.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> import tensorflow as tf
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ga.export_saved_model(model, f"{folder}/student", class_names=("cat", "dog"))
        ...     list(tf.saved_model.load(path).signatures)
        ['serving_default']
    """
    folder = Path(folder)
    if folder.exists() and not (folder / "saved_model.pb").is_file():
        raise InvalidInputError(
            f"The folder of a SavedModel must not hold anything else. Received: {folder}. "
            "Choose another one, or remove it."
        )
    plain = model if isinstance(model, keras.Model) else model.keras_model
    described = described_by(spec)
    if class_names:
        described["class_names"] = tuple(class_names)
    metadata = ArtifactMetadata(
        **described,
        output=output or kind_of(plain),
        input_range=input_range,
        quantization="float32",
    )
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    replaced = temporary.with_suffix(".old")
    try:
        with native_stderr_to_log():
            _write(plain, metadata, temporary)
        if folder.exists():
            os.replace(folder, replaced)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
    return folder


def _write(model: keras.Model, metadata: ArtifactMetadata, folder: Path) -> None:
    serving = keras_serving(model, metadata.output, None)

    def serve(*tensors: Any) -> dict[str, Any]:
        return dict(zip(serving.outputs, serving.call(*tensors), strict=True))

    archive = tf.__internal__.tracking.AutoTrackable()
    # In the model's order; Keras' own archive keeps them in a set, without any.
    archive.variables = [variable.value for variable in model.variables]
    archive.serve = tf.function(serve, input_signature=list(serving.inputs), autograph=False)
    tf.saved_model.save(archive, str(folder), signatures=archive.serve.get_concrete_function())
    renumber_functions(folder)
    path = folder / METADATA_FILE
    path.parent.mkdir()
    path.write_bytes(metadata.to_json())
