"""An endless, shuffled stream of batches whose position is one integer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.pipelines import PARALLEL_CALLS, READ_AHEAD, without_autotuner


def ordered_stream(
    arrays: Sequence[np.ndarray],
    *,
    batch_size: int,
    seed: int,
    start_index: int = 0,
    num_samples: int | None = None,
    with_index: bool = False,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Streams shuffled rows, epoch after epoch, from any position.

    Sample ``s`` of the stream is row ``permutation(seed, epoch)[s % n]`` with ``epoch = s // n``: a
    pure function of ``(seed, s)``. To go on after an interruption, start at the index that was
    reached; nothing else needs to be saved. Batches run across the ends of epochs.

    Args:
        arrays: Arrays of the same length ``n``, such as ``(x, y)``.
        batch_size: Samples per batch, over all input pipelines.
        seed: Seed of the order.
        start_index: The first sample of the stream.
        num_samples: Where to end; None never ends. The last batch may then be smaller.
        with_index: Append each sample's int64 index in the stream.
        input_context: With several input pipelines, each reads its own contiguous slice of every
            batch; where a pipeline feeds several replicas, ``rebatch`` it to one replica's share.

    Returns:
        A dataset of tuples of batches.

    Raises:
        InvalidInputError: If lengths differ, or batches cannot be cut evenly.
    """
    rows = _checked_rows(arrays)
    pipelines = input_context.num_input_pipelines if input_context else 1
    pipeline = input_context.input_pipeline_id if input_context else 0
    even = num_samples is None or num_samples % batch_size == 0
    if batch_size < 1 or start_index < 0 or (num_samples or 0) < 0:
        raise InvalidInputError(
            "A stream must have at least one sample per batch and start at 0 or later. Received: "
            f"batch_size={batch_size}, start_index={start_index}, num_samples={num_samples}. "
            "Choose values inside."
        )
    if batch_size % pipelines or (pipelines > 1 and not even):
        raise InvalidInputError(
            f"Batches must divide evenly among {pipelines} input pipelines. Received: batch_size="
            f"{batch_size}, num_samples={num_samples}. Choose multiples."
        )
    with tf.device("CPU:0"):
        tensors = tuple(tf.convert_to_tensor(array) for array in arrays)
    share = batch_size // pipelines

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # `index_shuffle` would give single rows without the whole permutation, but permutations
        # of consecutive seeds are so much alike that rows keep to a few positions.
        order = tf.random.experimental.stateless_shuffle(
            tf.range(rows, dtype=tf.int64),
            seed=tf.stack([tf.constant(seed, tf.int64), number]),
            alg="philox",
        )
        return tf.data.Dataset.from_tensor_slices(order)

    def gather(batch: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, ...]:
        first = pipeline * share
        positions = positions[first : first + share]
        taken = tuple(tf.gather(tensor, positions) for tensor in tensors)
        if not with_index:
            return taken
        index = start_index + batch * batch_size + first
        return (*taken, index + tf.range(tf.shape(positions, tf.int64)[0], dtype=tf.int64))

    first_epoch, offset = divmod(start_index, rows)
    stream = tf.data.Dataset.counter(first_epoch).flat_map(epoch).skip(offset)
    if num_samples is not None:
        stream = stream.take(num_samples)
    stream = stream.batch(batch_size, drop_remainder=even).enumerate()
    stream = stream.map(gather, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
    batches = tf.data.INFINITE_CARDINALITY
    if num_samples is not None:
        batches = -(-num_samples // batch_size)
    stream = stream.apply(tf.data.experimental.assert_cardinality(batches))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return without_autotuner(stream.with_options(options)).prefetch(READ_AHEAD)


def _checked_rows(arrays: Sequence[np.ndarray]) -> int:
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1 or 0 in lengths:
        raise InvalidInputError(
            "The arrays of a stream must have the same length, at least 1. Received: "
            f"{[len(array) for array in arrays]}. Give one row per sample in each."
        )
    return lengths.pop()
