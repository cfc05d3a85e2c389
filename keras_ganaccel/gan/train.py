"""Training a GAN for a number of steps, from wherever an earlier process was stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel import checkpoint
from keras_ganaccel.classifier.targets import class_numbers
from keras_ganaccel.classifier.train import whole_number
from keras_ganaccel.data.stream import ordered_stream
from keras_ganaccel.distribution import (
    bytes_from_chief,
    distribute_stream,
    is_chief,
    sum_over_workers,
)
from keras_ganaccel.errors import CheckpointError, InvalidInputError
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.seeds import derive_seed


def train_gan(
    gan: ConditionalGAN,
    x: np.ndarray,
    y: np.ndarray,
    *,
    steps: int,
    batch_size: int = 64,
    seed: int = 0,
    unlabelled: np.ndarray | None = None,
    sharded: bool = False,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 500,
    resume: bool = True,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    steps_per_execution: int = 20,
    verbose: int = 0,
) -> keras.callbacks.History:
    """Trains a GAN up to a number of generator updates.

    Killed at any moment and called again with the same arguments, it goes on from its last
    checkpoint and, on one device, ends on the same bits: a checkpoint holds every variable and the
    callbacks' state, and the order of the samples and all noise are functions of the seeds and
    the sample index. An epoch, to callbacks and history, is the stretch between two checkpoints.

    Args:
        gan: The model, compiled (otherwise it gets the default optimisers), under the strategy
            that it was made in.
        x: Encoded training samples, as ``data.arrays`` gives them, float32, shape
            ``(n, *sample_shape)``.
        y: Their labels, integers in 0..num_classes-1, or -1 for unlabelled, shape ``(n,)`` or
            ``(n, 1)``; or one-hot rows ``(n, num_classes)``.
        steps: Generator updates in all, those before an interruption included.
        batch_size: Samples per discriminator update over all replicas.
        seed: Seed of the order of the samples.
        unlabelled: Further samples without labels, like ``x``.
        sharded: Under several workers: whether the samples are this worker's own part of the data.
            Otherwise every worker has all of them, and reads its own slice of each batch.
        checkpoint_dir: Where checkpoints go; None writes none.
        checkpoint_every: Steps between two checkpoints.
        resume: Whether to go on from the newest checkpoint in the folder.
        callbacks: Keras callbacks. The state of those with ``get_state()`` and
            ``set_state(state)`` is part of the checkpoint: a dict whose values are NumPy arrays
            or what JSON can hold.
        steps_per_execution: Steps per call into TensorFlow.
        verbose: 0 is silent, 1 shows a progress bar.

    Returns:
        The history of the metrics' means over each epoch.

    Raises:
        InvalidInputError: An argument does not fit.
        CheckpointError: The checkpoints are damaged, or of another training.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((32, 8, 8, 1)), np.arange(32) % 2
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> history = ga.train_gan(gan, x, y, steps=2, batch_size=16, steps_per_execution=1)
        >>> gan.generate([0, 1, 1], seed=0).shape
        (3, 8, 8, 1)
    """
    steps = whole_number("steps", steps)
    batch_size = whole_number("batch_size", batch_size)
    checkpoint_every = whole_number("checkpoint_every", checkpoint_every)
    steps_per_execution = whole_number("steps_per_execution", steps_per_execution)
    callbacks = list(callbacks)
    gan.direct(callbacks)
    x, y = _training_arrays(gan, x, y, unlabelled)
    strategy = gan.distribute_strategy
    rows = batch_size * gan.options.discriminator_steps
    with strategy.scope():
        if not gan.compiled:
            gan.compile()
        counts = np.bincount(y[y >= 0], minlength=gan.num_classes).astype(np.int64)
        counts = sum_over_workers(strategy, counts) if sharded else counts
        if counts.any():
            gan.class_probabilities.assign(counts / counts.sum())
        run = _Run(gan, callbacks, steps, checkpoint_every, verbose)
        identity = {"seed": seed, "rows_per_step": rows, "samples": len(x)}
        if checkpoint_dir is not None:
            run.use_checkpoints(checkpoint_dir, identity, resume)
        stream = _stream(strategy, (x, y), rows, seed, sharded, run.step * rows)
        return run.train(iter(stream), steps_per_execution)


def _training_arrays(
    gan: ConditionalGAN, x: np.ndarray, y: np.ndarray, unlabelled: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Checks the samples and joins the unlabelled ones to them."""
    x, y = np.asarray(x, np.float32), class_numbers(y, gan.num_classes)
    if unlabelled is not None:
        x = np.concatenate([x, np.asarray(unlabelled, np.float32)])
        y = np.concatenate([y, np.full(len(unlabelled), -1, np.int32)])
    shape = gan.generator.output_shape[1:]
    if x.shape[1:] != shape or y.shape != x.shape[:1] or not len(x):
        raise InvalidInputError(
            f"Samples must have the shape (n, {', '.join(map(str, shape))}) and labels (n,). "
            f"Received: {x.shape} and {y.shape}. Build the networks for the data."
        )
    gan.forms.check(x)
    return x, y


def _stream(
    strategy: tf.distribute.Strategy,
    arrays: tuple[np.ndarray, np.ndarray],
    rows: int,
    seed: int,
    sharded: bool,
    start: int,
) -> Any:
    """Streams global batches of (samples, labels, positions) from a sample index on."""

    def worker_stream(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
        if context is None or not sharded:
            return ordered_stream(
                arrays,
                batch_size=rows,
                seed=seed,
                start_index=start,
                with_index=True,
                input_context=context,
            )
        workers, worker = context.num_input_pipelines, context.input_pipeline_id
        share = rows // workers
        stream = ordered_stream(
            arrays,
            batch_size=share,
            seed=derive_seed(seed, "shard", worker),
            start_index=start // workers,
            with_index=True,
        )

        def globally(samples: Any, labels: Any, index: tf.Tensor) -> tuple[Any, Any, tf.Tensor]:
            return samples, labels, index // share * rows + worker * share + index % share

        return stream.map(globally)

    return distribute_stream(strategy, worker_stream, rows)


class _Run:
    """One training from its first or a saved step to its last."""

    def __init__(
        self,
        gan: ConditionalGAN,
        callbacks: Iterable[keras.callbacks.Callback],
        steps: int,
        epoch_steps: int,
        verbose: int,
    ) -> None:
        self._gan = gan
        self._steps = steps
        self._epoch_steps = epoch_steps
        self._folder: str | os.PathLike[str] | None = None
        self._identity: Mapping[str, Any] = {}
        self._past_epochs: list[int] = []
        self._callbacks = keras.callbacks.CallbackList(
            list(callbacks),
            add_history=True,
            add_progbar=verbose != 0,
            model=gan,
            verbose=verbose,
            epochs=-(-steps // epoch_steps),
            steps=epoch_steps,
        )
        self._stateful = [
            callback for callback in self._callbacks.callbacks if hasattr(callback, "get_state")
        ]

    @property
    def step(self) -> int:
        """Generator updates so far."""
        return int(self._gan.step)

    def use_checkpoints(
        self, folder: str | os.PathLike[str], identity: Mapping[str, Any], resume: bool
    ) -> None:
        """Saves into a folder from now on, and goes on from what is there."""
        self._folder, self._identity = folder, identity
        state = self._load(folder) if resume else None
        if state is None:
            return
        if state.meta["identity"] != identity or state.step > self._steps:
            raise CheckpointError(
                f"The checkpoint is of another training. Received: step {state.step} of "
                f"{state.meta['identity']}, expected {dict(identity)} and at most "
                f"{self._steps} steps. Use another folder."
            )
        checkpoint.restore_model_state(self._gan, state.arrays)
        history = self._gan.history
        history.history = state.meta["history"]
        self._past_epochs = state.meta["epoch"]
        for number, callback in enumerate(self._stateful):
            prefix = f"callback/{number}/"
            arrays = {
                name.removeprefix(prefix): array
                for name, array in state.arrays.items()
                if name.startswith(prefix)
            }
            callback.set_state({**state.meta["callbacks"][number], **arrays})

    def train(self, iterator: Any, steps_per_execution: int) -> keras.callbacks.History:
        """Trains from the present step to the last."""
        gan, callbacks = self._gan, self._callbacks
        gan.make_train_function()
        gan.stop_training = False
        logs: dict[str, Any] = {}
        callbacks.on_train_begin()
        gan.history.epoch = list(self._past_epochs)
        while self.step < self._steps and not gan.stop_training:
            epoch = self.step // self._epoch_steps
            end = min(self._steps, (epoch + 1) * self._epoch_steps)
            gan.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            logs = self._train_epoch(iterator, end, steps_per_execution)
            callbacks.on_epoch_end(epoch, logs)
            if self._folder is not None:
                self._save(self._folder)
        callbacks.on_train_end(logs)
        return gan.history

    def _train_epoch(self, iterator: Any, end: int, steps_per_execution: int) -> dict[str, Any]:
        logs: dict[str, Any] = {}
        step = self.step
        while step < end and not self._gan.stop_training:
            count = min(steps_per_execution, end - step)
            first = step % self._epoch_steps
            self._callbacks.on_train_batch_begin(first)
            logs = self._gan.train_function(iterator, count)
            step += count
            self._callbacks.on_train_batch_end(first + count - 1, logs)
        return logs

    def _load(self, folder: str | os.PathLike[str]) -> checkpoint.State | None:
        """Reads the chief's newest checkpoint, which other workers' disks need not have."""
        strategy = self._gan.distribute_strategy
        state = checkpoint.load_newest(folder) if is_chief(strategy) else None
        content = bytes_from_chief(strategy, None if state is None else checkpoint.encode(state))
        return None if content is None else checkpoint.decode(content)

    def _save(self, folder: str | os.PathLike[str]) -> None:
        # Every worker collects, because the metrics are added up over all; the chief writes.
        arrays = checkpoint.model_state(self._gan)
        states: list[dict[str, Any]] = []
        for number, callback in enumerate(self._stateful):
            state = callback.get_state()
            plain = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
            states.append(plain)
            for name in state.keys() - plain.keys():
                arrays[f"callback/{number}/{name}"] = state[name]
        history = self._gan.history
        meta = {
            "identity": dict(self._identity),
            "epoch": history.epoch,
            "history": history.history,
            "callbacks": states,
        }
        if is_chief(self._gan.distribute_strategy):
            checkpoint.save_state(folder, self.step, arrays, meta)
