"""Where the training runs: strategies, means that are exact over replicas, and the trainer.

Keras 3 alone does not train under `MultiWorkerMirroredStrategy`, averages metrics over replicas
without their counts, and leaves it to each custom step to divide by the right batch size.
`Trainer` and `global_batch_mean` settle this for every model of the package.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, nearest

logger = logging.getLogger(__name__)

_STARTED = "TensorFlow has already started its devices. Call this before anything else uses them."


def make_strategy(
    name: str = "auto", *, memory_limit_mb: int | None = None
) -> tf.distribute.Strategy:
    """Makes the strategy that a model is built and trained under.

    Args:
        name: ``"auto"`` takes the accelerators there are (one or none: TensorFlow's default
            strategy), ``"cpu:N"`` mirrors over N logical CPUs, ``"mirrored"`` over all
            accelerators (logical CPUs without any), ``"multiworker"`` over the processes that
            the environment variable ``TF_CONFIG`` lists.
        memory_limit_mb: The most memory to take on each accelerator; None lets it grow as
            needed.

    Returns:
        The strategy; build and compile models inside its ``scope()``.

    Raises:
        InvalidInputError: The name or ``TF_CONFIG`` is wrong, or the devices have already been
            started otherwise.

    Example:
        >>> make_strategy("auto").num_replicas_in_sync >= 1
        True
    """
    if memory_limit_mb is not None and memory_limit_mb < 1:
        raise InvalidInputError(
            f"`memory_limit_mb` must be at least 1. Received: {memory_limit_mb}. "
            "Leave it out to let the memory grow."
        )
    logical_cpus = re.fullmatch(r"cpu:([1-9]\d*)", name)
    if logical_cpus:
        return _cpu_strategy(int(logical_cpus[1]))
    if name not in ("auto", "mirrored", "multiworker"):
        raise InvalidInputError(
            f"Unknown strategy. Received: {name!r}. "
            + nearest(name, ("auto", "cpu:N", "mirrored", "multiworker"))
        )
    if name == "multiworker":
        _check_tf_config()
    accelerators = _prepare_accelerators(memory_limit_mb)
    if name == "multiworker":
        return _multi_worker_strategy()
    if name == "mirrored" or accelerators > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _cpu_strategy(count: int) -> tf.distribute.Strategy:
    """Mirrors over `count` logical CPUs, which it makes unless they are there already."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu) or ()
    if len(configured) < count:
        try:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * count
            )
        except RuntimeError as error:
            if count > 1:
                raise InvalidInputError(
                    f"{count} logical CPUs cannot be made now. Received: 'cpu:{count}'. {_STARTED}"
                ) from error
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])


def _prepare_accelerators(memory_limit_mb: int | None) -> int:
    """Sets how much memory each accelerator gives; returns their number."""
    accelerators = tf.config.list_physical_devices("GPU")
    try:
        for device in accelerators:
            if memory_limit_mb is None:
                tf.config.experimental.set_memory_growth(device, True)
            else:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=memory_limit_mb)
                tf.config.set_logical_device_configuration(device, [limit])
    except RuntimeError as error:
        if memory_limit_mb is not None:
            raise InvalidInputError(
                f"The memory cannot be limited now. Received: `memory_limit_mb`={memory_limit_mb}. "
                f"{_STARTED}"
            ) from error
        logger.warning("Memory growth cannot be set: TensorFlow has already started its devices.")
    return len(accelerators)


def _check_tf_config() -> None:
    """Refuses a ``TF_CONFIG`` that does not say who the workers are and which one this is."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers = config["cluster"]["worker"]
        valid = 0 <= int(config["task"]["index"]) < len(workers)
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        raise InvalidInputError(
            f"The strategy 'multiworker' needs TF_CONFIG. Received: TF_CONFIG={text!r}. Set it to "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.'
        )


def _multi_worker_strategy() -> tf.distribute.Strategy:
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise InvalidInputError(
            f"The workers cannot be connected now. Received: 'multiworker'. {_STARTED}"
        ) from error


def choose_precision(name: str = "auto") -> tuple[str, str]:
    """Chooses the dtype policy that networks are built with.

    Args:
        name: ``"float32"``, ``"mixed_bfloat16"``, or ``"auto"``: bfloat16 where the accelerator
            computes in it, float32 on a CPU, whose elementwise operations gain nothing.

    Returns:
        The name of the Keras dtype policy, and why.

    Raises:
        InvalidInputError: There is no such choice.

    Example:
        >>> choose_precision("float32")
        ('float32', 'asked for')
    """
    options = ("auto", "float32", "mixed_bfloat16")
    if name not in options:
        raise InvalidInputError(f"Unknown precision. Received: {name!r}. {nearest(name, options)}")
    if name != "auto":
        return name, "asked for"
    accelerators = tf.config.list_physical_devices("GPU")
    if not accelerators:
        return "float32", "no accelerator"
    # Tensor cores take bfloat16 from compute capability 8.0 on.
    details = [tf.config.experimental.get_device_details(device) for device in accelerators]
    if all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details):
        return "mixed_bfloat16", "every accelerator computes in bfloat16"
    return "float32", "an accelerator does not compute in bfloat16"


def is_chief(strategy: tf.distribute.Strategy | None = None) -> bool:
    """Tells whether this process is the one that writes files.

    Args:
        strategy: The strategy in use; None means the current one.

    Returns:
        True for a single process, and for the first of several workers.
    """
    resolver = (strategy or tf.distribute.get_strategy()).cluster_resolver
    if resolver is None or not resolver.cluster_spec().jobs:
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return bool(
        resolver.task_type == "chief"
        or (not has_chief and resolver.task_type == "worker" and resolver.task_id == 0)
    )


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether the replicas of a strategy are spread over several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and bool(
        strategy.cluster_resolver.cluster_spec().jobs
    )


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


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class Trainer(keras.Model):
    """A Keras model whose `fit` and `evaluate` are right under every strategy.

    A subclass builds all its layers in its constructor and reports through its metrics alone:
    what `train_step` and `test_step` return is not used, the logs are the results of
    `self.metrics`, which add up sums and counts over replicas and steps. ``steps_per_execution``
    steps run in one call into TensorFlow; XLA is used only for ``jit_compile=True`` and a single
    device.
    """

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The model's metrics; without a compiled loss there is no `loss` among them."""
        metrics = super().metrics
        if self.compiled and self._compile_loss is None:
            return [metric for metric in metrics if metric is not self._loss_tracker]
        return metrics

    def distributed_train_step(self, data: Any) -> None:
        """Trains all replicas on one global batch; called in the cross-replica context.

        Override it for what must be decided for all replicas together.

        Args:
            data: A batch as the (distributed) dataset yields it.
        """
        self.run_on_replicas(self.train_step, data)

    def run_on_replicas(self, step: Callable[[Any], Any], data: Any) -> None:
        """Runs a step on every replica, each with its part of the batch."""
        strategy = self.distribute_strategy
        if self.jit_compile is True and strategy.num_replicas_in_sync == 1:
            step = tf.function(step, jit_compile=True, autograph=False)

        def replica_step(data: Any) -> None:
            step(data)

        strategy.run(replica_step, args=(data,))

    def make_train_function(self, force: bool = False) -> Any:
        """Makes the function that `fit` calls; see `keras.Model.make_train_function`."""
        if force or self.train_function is None:
            self._build_optimizer()
            self.train_function: Any = self._make_steps(self.distributed_train_step)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Makes the function that `evaluate` calls; see `keras.Model.make_test_function`."""
        if force or self.test_function is None:
            self.test_function: Any = self._make_steps(
                lambda data: self.run_on_replicas(self.test_step, data)
            )
        return self.test_function

    def _build_optimizer(self) -> None:
        """Makes the optimizer's variables; under replicas they cannot be made inside a step."""
        if isinstance(self.optimizer, keras.optimizers.Optimizer) and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def _make_steps(self, step: Callable[[Any], None]) -> Callable[[Any], dict[str, Any]]:
        """Makes a function that takes up to `steps_per_execution` batches off an iterator."""

        def on_data(data: Any) -> dict[str, Any]:
            step(data)
            return self.get_metrics_result()

        def on_iterator(iterator: Any) -> tuple[tf.Tensor, dict[str, Any]]:
            def body(count: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                batch = iterator.get_next_as_optional()

                def advance() -> tf.Tensor:
                    step(batch.get_value())
                    return count + 1

                more = batch.has_value()
                return tf.cond(more, advance, lambda: count), more

            count, _ = tf.while_loop(
                lambda count, more: tf.logical_and(more, count < self.steps_per_execution),
                body,
                (tf.constant(0), tf.constant(True)),
            )
            return count, self.get_metrics_result()

        if not self.run_eagerly:
            on_data = tf.function(on_data, reduce_retracing=True, autograph=False)
            on_iterator = tf.function(on_iterator, reduce_retracing=True, autograph=False)

        def function(iterator: Any) -> dict[str, Any]:
            if not isinstance(iterator, tf.data.Iterator | tf.distribute.DistributedIterator):
                return on_data(next(iter(iterator)))
            count, logs = on_iterator(iterator)
            if int(count) == 0:
                raise StopIteration
            return logs

        return function

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: everything is built beforehand, and Keras' own way fails on replicas."""

    def _get_metrics_result_or_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        """The logs are the metrics' results already."""
        return logs
