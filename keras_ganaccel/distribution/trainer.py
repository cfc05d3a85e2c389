"""The base class of every model of the package that has steps of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from keras_ganaccel.distribution.checks import check_arguments, check_batch, refusals
from keras_ganaccel.distribution.private_names import check_private_names
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.pipelines import without_autotuner

check_private_names()


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class Trainer(keras.Model):
    """A Keras model whose `fit` and `evaluate` are right under every strategy.

    A subclass builds all its layers in its constructor and reports through its metrics alone:
    what `train_step` and `test_step` return is not used, the logs are the results of
    `self.metrics`, which add up sums and counts over replicas and steps. ``steps_per_execution``
    steps run in one call into TensorFlow; XLA is used only for ``jit_compile=True`` and a single
    device.

    Attributes:
        directions: ``"max"`` or ``"min"`` for what is logged and no metric of `compile`: what
            callbacks with ``mode="auto"`` look for.
        needs_channels: Whether samples must have the axis of a single channel.
    """

    directions: ClassVar[Mapping[str, str]] = {}
    needs_channels: ClassVar[bool] = False

    @property
    def sample_shape(self) -> tuple[int | None, ...] | None:
        """What one sample is shaped like; None if it may have any shape."""
        return None

    @functools.wraps(keras.Model.fit, assigned=())
    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains; see `keras.Model.fit`."""
        given = inspect.signature(super().fit).bind(*args, **kwargs).arguments
        check_arguments(given)
        self.check_data(given)
        self.direct(given.get("callbacks"))
        return super().fit(*args, **kwargs)

    def check_data(self, given: Mapping[str, Any]) -> None:
        """Called by `fit` before anything is trained.

        Args:
            given: The arguments of `fit` by name.

        Raises:
            InvalidInputError: Arrays among them that a subclass cannot learn from.
        """

    def direct(self, callbacks: Any) -> None:
        """Tells callbacks such as `keras.callbacks.EarlyStopping` which way is better.

        Keras itself knows the direction of the metrics of `compile` alone. A callback that was
        given a mode keeps it.

        Args:
            callbacks: As `fit` takes them.
        """
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = callbacks.callbacks
        for callback in tf.nest.flatten(callbacks):
            name = str(getattr(callback, "monitor", "")).removeprefix("val_")
            if getattr(callback, "mode", None) == "auto" and name in self.directions:
                callback.mode = self.directions[name]

    def on_first_batch(self, spec: Any) -> None:
        """Called before the first step of training and of testing, to look at the data's form.

        Args:
            spec: A `tf.TypeSpec` for each part of (one replica's share of) a batch.
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
        if not self.trainable_variables:
            raise InvalidInputError(
                f"The model must have something to train. Received: {self.name!r}, all of which is "
                "frozen. Set `trainable=True`, of its last layer at least."
            )
        if isinstance(self.optimizer, keras.optimizers.Optimizer) and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def _make_steps(self, step: Callable[[Any], None]) -> Callable[..., dict[str, Any]]:
        """Makes a function that takes up to `steps` batches off an iterator.

        Its default is ``steps_per_execution``; at the iterator's end it raises StopIteration.
        """

        def on_data(data: Any) -> dict[str, Any]:
            step(data)
            return self.get_metrics_result()

        def on_iterator(iterator: Any, limit: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
            def body(count: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                batch = iterator.get_next_as_optional()

                def advance() -> tf.Tensor:
                    step(batch.get_value())
                    return count + 1

                more = batch.has_value()
                return tf.cond(more, advance, lambda: count), more

            count, _ = tf.while_loop(
                lambda count, more: tf.logical_and(more, count < limit),
                body,
                (tf.constant(0), tf.constant(True)),
            )
            return count, self.get_metrics_result()

        if not self.run_eagerly:
            on_data = tf.function(on_data, reduce_retracing=True, autograph=False)
            on_iterator = tf.function(on_iterator, reduce_retracing=True, autograph=False)

        seen: Any = None

        def look_at(spec: Any) -> None:
            nonlocal seen
            if spec == seen:
                return
            one = self._checked_batch(spec)
            if seen is None:
                with self.distribute_strategy.scope():
                    self.on_first_batch(one)
            seen = spec

        def function(iterator: Any, steps: int | None = None) -> dict[str, Any]:
            if not isinstance(iterator, tf.data.Iterator | tf.distribute.DistributedIterator):
                data = next(iter(iterator))
                look_at(tf.nest.map_structure(_spec_of, data))
                with refusals():
                    return on_data(data)
            look_at(iterator.element_spec)
            limit = self.steps_per_execution if steps is None else steps
            with refusals():
                count, logs = on_iterator(iterator, tf.constant(limit, tf.int32))
            if int(count) == 0:
                raise StopIteration
            return logs

        return function

    def _checked_batch(self, spec: Any) -> Any:
        """One replica's share of a batch, of which the samples fit the model."""
        # A distributed dataset has a specification per replica; one is as good as another.
        one = tf.nest.map_structure(
            lambda part: tf.nest.flatten(part, expand_composites=True)[0], spec
        )
        samples = one[0] if isinstance(one, (tuple, list)) else one
        check_batch(samples, self.sample_shape, channels=self.needs_channels)
        return one

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds nothing: all is built beforehand, and Keras' own way fails on replicas.

        It is where `fit` and `evaluate` come by with their pipeline before they iterate it, be it
        of arrays, a generator or a user's dataset: the tuner is switched off here.
        """
        if iterator is not None:
            iterator._distributed_dataset = without_autotuner(iterator._distributed_dataset)

    def _get_metrics_result_or_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        """The logs are the metrics' results already."""
        return logs


def _spec_of(value: Any) -> tf.TypeSpec | None:
    return None if value is None else tf.type_spec_from_value(tf.convert_to_tensor(value))
