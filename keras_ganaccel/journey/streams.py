"""The batches that a student is trained on: real samples, or real beside generated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ganaccel.generated.dataset import GeneratedDataset, array_dataset
from keras_ganaccel.mixing.mix import mix_datasets
from keras_ganaccel.pipelines import READ_AHEAD


def mixed_batches(
    x: np.ndarray,
    y: np.ndarray,
    pool: str | Path,
    generated_fraction: float,
    batch_size: int,
    seed: int,
) -> tf.data.Dataset:
    """Mixes training arrays with a pool, pass after pass.

    Args:
        x: Real samples, float32 ``(n, height, width, channels)`` in [0, 1].
        y: Their labels, int64 ``(n,)``.
        pool: Folder of a finished pool.
        generated_fraction: Share of generated samples, in [0, 1).
        batch_size: Samples per batch.
        seed: Seed of the order.

    Returns:
        Endless batches ``(x, y)``.
    """
    mixed = mix_datasets(array_dataset(x, y), GeneratedDataset.pool(pool), generated_fraction, seed)
    # Repeated before it is batched, so that every batch is full, over the ends of passes too.
    return mixed.repeat().batch(batch_size, drop_remainder=True).prefetch(READ_AHEAD)
