"""Does training on a pool keep up with training on arrays in memory, and does memory stay flat?"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.build import build_classifier
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.environment import environment
from keras_ganaccel.generated.candidates import Pool
from keras_ganaccel.generated.controls import NoiseSource
from keras_ganaccel.generated.dataset import GeneratedDataset
from keras_ganaccel.generated.pool import write_pool
from keras_ganaccel.mixing.mix import mix_datasets
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.pipelines import READ_AHEAD, without_autotuner

_CLASSES = 10
_WARM_UP = 20
_REAL, _BATCH = 2000, 64


def benchmark_mixing(
    *,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    pool_size: int = 10_000,
    pairs: int = 7,
    steps: int = 150,
    batch_size: int = 64,
    architecture: str = "separable",
    seed: int = 0,
) -> dict[str, Any]:
    """Compares steps per second of `fit` on a pool, on a mixture, and on real data in memory.

    The peer is the pipeline that TensorFlow's guide recommends for arrays: slices of tensors,
    shuffled with a buffer as large as the data, batched and prefetched. The arms take turns, the
    first round is left out.

    Args:
        image_shape: ``(height, width, channels)``.
        pool_size: Samples in the pool and in memory.
        pairs: Rounds that count.
        steps: Steps per arm and round.
        batch_size: Samples per step.
        architecture: The student's, of `build_classifier`, size tiny.
        seed: Seed of samples and order.

    Returns:
        JSON values: per arm the steps per second of each round, their ratios to the peer's of the
        same round (median, lowest, highest), and the pipelines' samples per second without a
        model.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = NoiseSource(image_shape, seed=seed)
        write_pool(folder, source, pool_size, num_classes=_CLASSES, seed=seed)
        labels = np.arange(pool_size, dtype=np.int64) % _CLASSES
        memory = tf.data.Dataset.from_tensor_slices((source.sample(labels, 0), labels))
        pool = GeneratedDataset.pool(folder)
        arms = {
            "memory": memory.shuffle(pool_size, seed=seed),
            "pool": pool,
            "mixed": mix_datasets(memory, pool, 0.5, seed),
        }
        streams = {
            name: without_autotuner(dataset.repeat().batch(batch_size)).prefetch(READ_AHEAD)
            for name, dataset in arms.items()
        }
        model = _student(image_shape, architecture)
        rates = _interleaved(
            {name: partial(_fit_rate, model, stream, steps) for name, stream in streams.items()},
            pairs,
        )
        reading = {
            name: batch_size * float(np.median([_read_rate(stream, steps) for _ in range(3)]))
            for name, stream in streams.items()
        }
    return {
        "steps_per_second": rates,
        "ratio_to_memory": {
            name: _summary(np.array(rates[name]) / np.array(rates["memory"]))
            for name in ("pool", "mixed")
        },
        "samples_per_second_without_model": reading,
        "settings": {
            "image_shape": list(image_shape),
            "pool_size": pool_size,
            "batch_size": batch_size,
            "steps": steps,
            "architecture": architecture,
        },
        "environment": environment(),
    }


def benchmark_memory(
    *,
    image_shape: tuple[int, int, int] = (64, 64, 3),
    sizes: tuple[int, ...] = (10_000, 200_000),
    seed: int = 0,
) -> dict[str, Any]:
    """Measures the peak memory of training on pools, each size in a process of its own.

    A pool is written, a transfer set is written of it and of 2,000 real samples, and a student is
    trained until it has seen every sample.

    Args:
        image_shape: ``(height, width, channels)``.
        sizes: Samples per pool.
        seed: Seed of the samples.

    Returns:
        JSON values: ``{"peak_megabytes": {size: ...}, "over_tensorflow_megabytes": {size: ...},
        "growth": last / first, "environment"}``; the second is what the peak lies above that of the
        same process after a training of a few steps.
    """
    context = multiprocessing.get_context("spawn")
    peaks, grown = {}, {}
    for size in sizes:
        # A process per size: the peak of a process never falls again.
        with context.Pool(1) as process:
            before, peaks[size] = process.apply(_peak_memory, (image_shape, size, seed))
        grown[str(size)] = round(peaks[size] - before, 1)
    return {
        "peak_megabytes": {str(size): round(peak, 1) for size, peak in peaks.items()},
        "over_tensorflow_megabytes": grown,
        "growth": round(peaks[sizes[-1]] / peaks[sizes[0]], 3),
        "environment": environment(),
    }


def _peak_memory(image_shape: tuple[int, int, int], size: int, seed: int) -> tuple[float, float]:
    """The peak after a training of a few steps, and that after the whole one, in MB."""
    # Unix alone has it.
    import resource

    source = NoiseSource(image_shape, seed=seed)
    labels = np.arange(_REAL, dtype=np.int64) % _CLASSES
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for stage, count, steps in (("few", _CLASSES, 5), ("all", _REAL, size // _BATCH)):
            real = source.sample(labels[:count], 0)
            recipe = Recipe(steps=steps, batch_size=_BATCH, augmentation=())
            samples = TransferSet.for_recipe(
                recipe, _knows_nothing, real, labels[:count], num_classes=_CLASSES,
                folder=f"{folder}/{stage}",
            )  # fmt: skip
            if stage == "all":
                write_pool(f"{folder}/pool", source, size, num_classes=_CLASSES)
                pool = Pool.stored(f"{folder}/pool")
                fraction = size / (size + _REAL)
                samples = samples.beside(_knows_nothing, pool.x, pool.y, fraction)
            Trainee(_coarse_student(image_shape), recipe).train(samples)
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    before, after = peaks
    return before, after


def _knows_nothing(x: np.ndarray) -> np.ndarray:
    return np.full((len(x), _CLASSES), 1.0 / _CLASSES, np.float32)


def _coarse_student(image_shape: tuple[int, int, int]) -> keras.Model:
    """A student that takes no time: what is measured is what it is fed."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.AveragePooling2D(4),
            layers.Flatten(),
            layers.Dense(_CLASSES),
        ]
    )


def _student(image_shape: tuple[int, int, int], architecture: str) -> keras.Model:
    spec = DataSpec(*image_shape, tuple(str(label) for label in range(_CLASSES)))
    model = build_classifier(spec, architecture, "tiny")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _interleaved(arms: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, run in arms.items():
            rate = run()
            # The first round compiles and fills caches.
            if number:
                rates[name].append(round(rate, 2))
    return rates


class _Stopwatch(keras.callbacks.Callback):
    """Times the steps after the first ones, in which a pipeline starts."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        if batch == _WARM_UP - 1:
            self.started = now
        self.ended = now


def _fit_rate(model: keras.Model, stream: tf.data.Dataset, steps: int) -> float:
    watch = _Stopwatch()
    model.fit(stream, steps_per_epoch=steps + _WARM_UP, epochs=1, verbose=0, callbacks=[watch])
    return steps / (watch.ended - watch.started)


def _read_rate(stream: tf.data.Dataset, batches: int) -> float:
    iterator = iter(stream)
    next(iterator)
    started = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches / (time.perf_counter() - started)


def _summary(ratios: np.ndarray) -> dict[str, float]:
    return {
        "median": round(float(np.median(ratios)), 3),
        "lowest": round(float(ratios.min()), 3),
        "highest": round(float(ratios.max()), 3),
    }
