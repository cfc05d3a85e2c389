"""Between the global batch and the replicas that share it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.distribution.strategies import is_chief, is_multi_worker
from keras_ganaccel.errors import InvalidInputError


def distribute_stream(
    strategy: tf.distribute.Strategy,
    make_stream: Callable[[tf.distribute.InputContext | None], tf.data.Dataset],
    batch_size: int,
) -> Any:
    """Deals the global batches of a stream out to the replicas of a strategy.

    Args:
        strategy: The strategy that trains.
        make_stream: Makes the dataset of batches of one worker from its input context: the
            worker's own contiguous slice of every global batch. Called with None where there
            is only one process; then it makes the whole global batches.
        batch_size: Samples per step over all replicas.

    Returns:
        A `tf.data.Dataset` or distributed dataset whose order over the replicas is that of the
        global batch.

    Raises:
        InvalidInputError: The batch cannot be dealt out evenly.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InvalidInputError(
            f"`batch_size` must be a multiple of the {replicas} replicas. "
            f"Received: {batch_size}. Choose {replicas * max(1, round(batch_size / replicas))}."
        )
    if is_multi_worker(strategy):
        return strategy.distribute_datasets_from_function(
            lambda context: make_stream(context).rebatch(batch_size // replicas)
        )
    return strategy.experimental_distribute_dataset(make_stream(None))


def bytes_from_chief(strategy: tf.distribute.Strategy, content: bytes | None) -> bytes | None:
    """Hands what the chief read from its disk to all workers; every one of them must call it.

    Args:
        strategy: The strategy that trains.
        content: The chief's bytes or None; the others' are not looked at.

    Returns:
        The chief's bytes or None.
    """
    if not is_multi_worker(strategy):
        return content
    chief = is_chief(strategy)
    own = content if chief and content is not None else b""
    # One more than the length, so that None differs from nothing.
    size = len(own) + 1 if chief and content is not None else 0
    size = int(sum_over_workers(strategy, np.array([size]))[0])
    if size == 0:
        return None
    values = np.zeros(size - 1, np.int64)
    values[: len(own)] = np.frombuffer(own, np.uint8)
    return sum_over_workers(strategy, values).astype(np.uint8).tobytes()


def sum_over_workers(strategy: tf.distribute.Strategy, values: np.ndarray) -> np.ndarray:
    """Adds up an array over the worker processes; every one of them must call it.

    Args:
        strategy: The strategy that trains.
        values: int64, of the same shape on every worker.

    Returns:
        The sums; the values themselves where there is only one process.
    """
    if not is_multi_worker(strategy):
        return values
    own = tf.constant(values, tf.int64)

    def total() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        first = tf.equal(tf.cast(context.replica_id_in_sync_group, tf.int32) % local, 0)
        share = tf.where(first, own, tf.zeros_like(own))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, share)

    local = len(strategy.extended.worker_devices)
    sums = strategy.run(tf.function(total, autograph=False))
    return strategy.experimental_local_results(sums)[0].numpy()


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """Returns the present learning rate; on several replicas all have the same one."""
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def batch_layout(local_batch_size: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds where a replica's samples lie in the global batch. For use inside a step.

    Args:
        local_batch_size: The number of samples of this replica, an integer or scalar tensor;
            replicas may differ, as in the last batch of an epoch.

    Returns:
        The size of the global batch and the position of the replica's first sample in it, as
        int64 scalars.
    """
    local = tf.cast(local_batch_size, tf.int64)
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return local, tf.zeros((), tf.int64)
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    own = tf.one_hot(replica, replicas, dtype=tf.float32) * tf.cast(local, tf.float32)
    sizes = tf.cast(context.all_reduce(tf.distribute.ReduceOp.SUM, own), tf.int64)
    return tf.reduce_sum(sizes), tf.cumsum(sizes, exclusive=True)[replica]


def global_batch_mean(per_sample: tf.Tensor, global_batch_size: Any) -> tf.Tensor:
    """Returns a replica's share of the mean over the global batch, in float32.

    Optimizers add up the gradients of the replicas, so a loss must be the sum over the local
    samples divided by the size of the global batch. Every loss and penalty of the package is
    averaged by this function alone.

    Args:
        per_sample: One value per local sample, shape ``(local_batch,)`` or with further axes,
            which are averaged as well.
        global_batch_size: Samples of all replicas together, see `batch_layout`.

    Returns:
        A float32 scalar; its sum over the replicas is the mean over the global batch.

    Example:
        >>> import tensorflow as tf
        >>> float(global_batch_mean(tf.constant([1.0, 3.0]), 4))
        1.0
    """
    values = tf.cast(per_sample, tf.float32)
    values = tf.reduce_mean(tf.reshape(values, (tf.shape(values)[0], -1)), axis=-1)
    return tf.reduce_sum(values) / tf.cast(global_batch_size, tf.float32)


def global_batch_total(share: tf.Tensor) -> tf.Tensor:
    """Adds up over the replicas what `global_batch_mean` returned. For use inside a step."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, share)
