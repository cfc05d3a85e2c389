"""Every compression technique on the same classifiers: accuracy, size, sparsity, latency."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.train import train_classifier
from keras_ganaccel.classifier.transfer import transfer_set
from keras_ganaccel.compression.compress import compress
from keras_ganaccel.config import DataConfig
from keras_ganaccel.config_file import to_dict
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.verify import verify
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.load import load_configured

# Name, quantization of the export, technique, its options.
ROWS: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
    ("float32", "float32", "ptq", {}),
    ("float16", "float16", "ptq", {}),
    ("dynamic_range", "dynamic_range", "ptq", {}),
    ("int8", "int8", "ptq", {}),
    ("int16x8", "int16x8", "ptq", {}),
    ("prune 80 %", "float32", "prune", {"sparsity": 0.8}),
    ("cluster 16", "float32", "cluster", {"number_of_clusters": 16}),
    ("qat", "int8", "qat", {}),
    ("pqat 80 %", "int8", "pqat", {"sparsity": 0.8}),
    ("cqat 16", "int8", "cqat", {"number_of_clusters": 16}),
    ("pcqat 50 %, 16", "int8", "pcqat", {"sparsity": 0.5, "number_of_clusters": 16}),
    ("structured 50 % MACs", "float32", "structured", {"macs_fraction": 0.5}),
    ("structured_qat 50 % MACs", "int8", "structured_qat", {"macs_fraction": 0.5}),
)
NAMES = tuple(name for name, *_ in ROWS)
FIGURES = ("accuracy", "drop", "bytes", "gzip_bytes", "sparsity", "macs", "latency_ms",
           "latency_ratio")  # fmt: skip

_TRANSFER_SAMPLES = 20_000
_BATCH = 64


def small_convnet(spec: DataSpec, seed: int) -> keras.Model:
    """Three convolutions as people write them; large images are halved at once."""
    keras.utils.set_random_seed(seed)
    first = 2 if spec.height >= 16 else 1
    image = keras.Input(spec.image_shape, name="image")
    x = image
    for number, (width, stride) in enumerate(((32, first), (64, 2), (64, 1))):
        x = keras.layers.Conv2D(
            width, 3, strides=stride, padding="same", use_bias=False, name=f"conv{number}"
        )(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(image, keras.layers.Dense(spec.num_classes, name="logits")(x), name="small")


def resnet8(spec: DataSpec, seed: int) -> keras.Model:
    """The ResNet-8 of MLPerf Tiny."""
    return build_classifier(spec, "resnet8", "tiny", seed=seed)


MODELS: Mapping[str, Callable[[DataSpec, int], keras.Model]] = {
    "small": small_convnet,
    "resnet8": resnet8,
}


def benchmark_compression(
    data: DataConfig | None = None,
    *,
    model: str = "small",
    pad_to: tuple[int, int, int] | None = None,
    seeds: int = 3,
    train_steps: int = 1500,
    steps: int = 400,
    rows: tuple[str, ...] = NAMES,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Trains a classifier per seed, compresses it in every way, and measures the files.

    Accuracy is on the test split; latency is of one batch-1 call on one thread, in turns with the
    float32 file of the same seed.

    Args:
        data: Where from; the digits by default.
        model: One of `MODELS`.
        pad_to: ``(height, width, channels)`` to pad the images to with black; grey ones may get
            three channels.
        seeds: Classifiers to train, with seeds 0, 1, ...
        train_steps: Optimiser steps of 64 of the float classifier.
        steps: Optimiser steps of each fine-tuning, on shifted and mixed training samples that
            the float classifier has labelled.
        rows: Names out of `ROWS`.
        progress: Called with a line per measured file.

    Raises:
        InvalidInputError: Images cannot be padded to that.

    Returns:
        JSON values: the table's rows, each with the mean over the seeds and every seed's figures.
    """
    data = data or DataConfig()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    parameters = 0
    for seed in range(seeds):
        loaded = load_configured(data, seed)
        splits = {
            "train": _padded(loaded.arrays("train"), pad_to),
            "test": _padded(loaded.arrays("test"), pad_to),
        }
        height, width, channels = splits["train"][0].shape[1:]
        spec = DataSpec(height, width, channels, loaded.spec.class_names)
        network = MODELS[model](spec, seed)
        parameters = network.count_params()
        train_classifier(
            network, splits["train"], steps=train_steps, augmentation=("shift",), seed=seed
        )
        with tempfile.TemporaryDirectory() as folder:
            for name, figures in _measured(network, splits, spec, steps, seed, rows, Path(folder)):
                found[name].append(figures)
                progress(f"seed {seed}: {name} {figures['accuracy']:.4f}")
    return {
        "data": to_dict(data),
        "model": model,
        "parameters": parameters,
        "seeds": seeds,
        "train_steps": train_steps,
        "steps": steps,
        "rows": [
            {
                "name": name,
                "mean": {key: float(np.mean([each[key] for each in all_])) for key in FIGURES},
                "per_seed": all_,
            }
            for name, all_ in found.items()
        ],
    }


def _padded(
    data: tuple[np.ndarray, np.ndarray], size: tuple[int, int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    if size is None:
        return data
    x, y = data
    if any(wanted < held for wanted, held in zip(size[:2], x.shape[1:3], strict=True)):
        raise InvalidInputError(
            f"Images cannot be padded to something smaller. Received: {size} for {x.shape[1:]}. "
            "Pad to more pixels."
        )
    if size[2] not in (x.shape[3], 3 * x.shape[3]):
        raise InvalidInputError(
            f"Images cannot be padded to other channels. Received: {size} for {x.shape[1:]}. "
            "Grey images can have 1 or 3."
        )
    spare = [wanted - held for wanted, held in zip(size[:2], x.shape[1:3], strict=True)]
    edges = [(0, 0), *((each // 2, each - each // 2) for each in spare), (0, 0)]
    return np.repeat(np.pad(x, edges), size[2] // x.shape[3], axis=3), y


def _measured(
    network: keras.Model,
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]],
    spec: DataSpec,
    steps: int,
    seed: int,
    rows: tuple[str, ...],
    folder: Path,
) -> Any:
    """Yields the name and the figures of each row."""
    x, y = splits["train"]
    images, targets = transfer_set(
        network,
        x,
        y,
        num_classes=spec.num_classes,
        size=_TRANSFER_SAMPLES,
        augmentation=("shift", "mixup"),
        seed=seed,
    )
    stream = tf.data.Dataset.from_tensor_slices((images, targets))
    stream = stream.shuffle(len(images), seed=seed).batch(_BATCH, drop_remainder=True)
    float32 = export_tflite(network, folder / "float32.tflite", spec=spec)
    accuracy = verify(float32, splits["test"], spec=spec, latency_repeats=0).accuracy
    for number, (name, quantization, technique, options) in enumerate(ROWS):
        if name not in rows:
            continue
        compressed = compress(
            network,
            stream,
            technique=technique,
            steps=steps,
            seed=seed,
            **options,
        )
        path = export_tflite(
            compressed,
            folder / f"row{number}.tflite",
            quantization,
            representative_dataset=x[:300] if quantization in ("int8", "int16x8") else None,
            spec=spec,
        )
        result = verify(
            path,
            splits["test"],
            spec=spec,
            promises=compressed.promises if technique != "ptq" else {},
            rivals=[float32],
            latency_repeats=300,
        )
        assert result.latency is not None
        (rival,) = result.rivals.values()
        yield (
            name,
            {
                "accuracy": result.accuracy,
                "drop": accuracy - result.accuracy,
                "bytes": result.bytes,
                "gzip_bytes": result.gzip_bytes,
                "sparsity": result.sparsity,
                "macs": result.macs,
                "latency_ms": result.latency.median,
                "latency_ratio": result.latency.median / rival.median,
            },
        )
