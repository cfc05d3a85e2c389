"""Labels and probabilities from an artefact alone."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.artifact import Artifact, open_artifact
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.load import load_samples

logger = logging.getLogger(__name__)


def predict(artifact: str | os.PathLike[str], x: Any, *, threads: int = 1) -> np.ndarray:
    """Computes class probabilities by running an artefact.

    Args:
        artifact: A ``.tflite`` or ``.keras`` file, or the folder of a SavedModel.
        x: Samples as the Keras model takes them, float32 ``(n, ...)``, in [0, 1] by default; also
            for files that have the preprocessing inside. Whole numbers where the model looks them
            up; for several inputs a list, tuple or dict of arrays.
        threads: How many threads a TFLite file computes with.

    Returns:
        float32 ``(n, k)``; softmax, logits and single binary outputs all become probabilities.

    Raises:
        InvalidInputError: If the artefact is no classifier's, or `x` does not fit it.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> import numpy as np
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ga.export_tflite(model, f"{folder}/student.tflite")
        ...     ga.predict(path, np.zeros((3, 8, 8, 1), np.float32)).tolist()
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
    opened = open_artifact(artifact, threads=threads)
    return opened.probabilities(opened.samples(x))


def predict_files(
    artifact: str | os.PathLike[str],
    samples: Any,
    *,
    class_names: tuple[str, ...] | None = None,
    value_range: tuple[float, float] | None = None,
    input_range: tuple[float, float] | None = None,
) -> list[dict[str, Any]]:
    """Predicts the samples of a file or folder.

    Args:
        artifact: The artefact, see `predict`.
        samples: An ``.npy`` or ``.npz`` file, an image, or a folder of images; for an artefact of a
            table a .csv, .tsv or .parquet file of its columns, or a pandas frame. The front end
            that the artefact holds encodes them.
        class_names: The names of the classes, if not those that the artefact holds.
        value_range: The raw values that mean black and white, likewise.
        input_range: What the model takes for black and white, likewise.

    Returns:
        Per sample ``{"sample", "label", "probabilities": {class name: probability}}``.

    Raises:
        InvalidInputError: If samples or names do not fit the artefact.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> data = ga.load_data("tables:iris")
        >>> model = keras.Sequential([keras.Input(data.spec.sample_shape), keras.layers.Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ga.export_tflite(model, f"{folder}/student.tflite", spec=data.spec)
        ...     (answer,) = ga.predict_files(path, data.x.iloc[:1])
        >>> list(answer["probabilities"])
        ['setosa', 'versicolor', 'virginica']
    """
    given = {"class_names": class_names, "value_range": value_range, "input_range": input_range}
    opened = open_artifact(
        artifact, overrides={name: value for name, value in given.items() if value is not None}
    )
    for note in opened.remarks:
        logger.warning("%s", note)
    spec = _spec_of(opened)
    path = isinstance(samples, (str, os.PathLike))
    raw = load_samples(Path(samples) if path else samples, spec)
    low, high = opened.metadata.input_range
    chances = opened.probabilities(spec.encode(raw) * np.float32(high - low) + np.float32(low))
    names = opened.metadata.class_names or _numbers(chances.shape[1])
    return [
        {
            "sample": number,
            "label": names[int(row.argmax())],
            "probabilities": dict(zip(names, map(float, row), strict=True)),
        }
        for number, row in enumerate(chances)
    ]


def image_size_of(opened: Artifact) -> tuple[int, int]:
    """Returns height and width of the images that an artefact takes.

    Raises:
        InvalidInputError: If it takes no images of a fixed size.
    """
    spec = _image_spec_of(opened)
    return spec.height, spec.width


def _spec_of(opened: Artifact) -> Spec:
    """Describes the samples that an artefact takes."""
    spec = opened.metadata.spec
    if spec is None:
        return _image_spec_of(opened)
    if opened.inputs[0].shape[1:] != spec.sample_shape:
        raise InvalidInputError(
            f"{opened.path.name} must take what its own front end makes. Received: an input "
            f"{opened.inputs[0].shape} for samples of {spec.sample_shape}. Export it again."
        )
    return spec


def _image_spec_of(opened: Artifact) -> DataSpec:
    """Describes the images that an artefact takes."""
    shape = opened.inputs[0].shape
    if len(shape) != 4 or -1 in shape[1:]:
        raise InvalidInputError(
            f"Only artefacts for images of a fixed size take files. Received: {shape}. "
            "Use predict() with arrays."
        )
    _, height, width, channels = shape
    return DataSpec(
        height, width, channels, opened.metadata.class_names, opened.metadata.value_range
    )


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))
