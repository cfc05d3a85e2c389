"""Fine-tuning of tf_keras models on labels, on a teacher's soft labels, or on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from keras_ganaccel.classifier.distill import hinton_loss, label_loss
from keras_ganaccel.classifier.members import teacher_function
from keras_ganaccel.classifier.outputs import logits_of, probability_logits
from keras_ganaccel.compression.tfmot import needs_no_autograph
from keras_ganaccel.data.stream import ordered_stream
from keras_ganaccel.errors import InvalidInputError, RunFailedError
from keras_ganaccel.pipelines import READ_AHEAD, without_autotuner

Progress = Callable[[int, int], None]
_STEPS_PER_CALL = 25


@dataclass(frozen=True)
class FineTuner:
    """Data and loss of a fine-tuning; the same one serves every stage of a combination.

    Args:
        stream: Endless batches as `training_stream` makes them.
        kind: What the model puts out, as `classifier.outputs.output_kind` tells.
        classes: Number of classes.
        distil: Whether the stream carries a teacher's logits.
        temperature: Softens teacher and student.
        alpha: Weight of the labels' loss where there is a teacher; the teacher's has the rest.
    """

    stream: tf.data.Dataset
    kind: str
    classes: int
    distil: bool
    temperature: float = 2.0
    alpha: float = 0.2

    def loss(self, outputs: tf.Tensor, label: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each sample, float32 ``(batch,)``."""
        logits = logits_of(outputs, self.kind)
        targets = label if label.shape.rank == 2 else tf.one_hot(label, self.classes)
        labelled = label_loss(tf.cast(targets, tf.float32), logits)
        if not self.distil:
            return labelled
        softened = tf.nn.softmax(teacher / self.temperature)
        taught = hinton_loss(softened, logits, self.temperature)
        return self.alpha * labelled + (1.0 - self.alpha) * taught

    def run(
        self,
        model: Any,
        *,
        variables: Sequence[Any],
        steps: int,
        learning_rate: float,
        after_step: Sequence[Callable[[], None]] = (),
        on_progress: Progress | None = None,
    ) -> float:
        """Trains a tf_keras model with Adam and a cosine schedule.

        Args:
            model: The model.
            variables: Its weights that are trained, and no others; none is no training.
            steps: Optimiser steps.
            learning_rate: The first one.
            after_step: Called in the graph after every step, such as to apply masks.
            on_progress: Called with the steps done and their total.

        Returns:
            The mean loss of the last steps.

        Raises:
            RunFailedError: The loss is not finite.
        """
        if not variables:
            return 0.0
        schedule = tf_keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01)
        optimizer = tf_keras.optimizers.Adam(schedule)
        optimizer.build(variables)
        run = self._step_function(model, variables, optimizer, after_step)
        batches = iter(self.stream)
        loss = 0.0
        for done in range(0, steps, _STEPS_PER_CALL):
            loss = float(run(batches, tf.constant(min(_STEPS_PER_CALL, steps - done))))
            if not np.isfinite(loss):
                raise RunFailedError(
                    f"Fine-tuning diverged. Received: a loss of {loss} after {done} steps. "
                    "Choose a smaller `learning_rate`."
                )
            if on_progress is not None:
                on_progress(min(done + _STEPS_PER_CALL, steps), steps)
        return loss

    def _step_function(
        self,
        model: Any,
        variables: Sequence[Any],
        optimizer: Any,
        after_step: Sequence[Callable[[], None]],
    ) -> Callable[[Any, tf.Tensor], tf.Tensor]:
        def step(batches: Any) -> tf.Tensor:
            x, label, teacher = next(batches)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(self.loss(model(x, training=True), label, teacher))
                loss += tf.add_n(model.losses) if model.losses else 0.0
            gradients = tape.gradient(loss, variables)
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            for change in after_step:
                change()
            return loss

        @tf.function(autograph=not needs_no_autograph(model))
        def run(batches: Any, count: tf.Tensor) -> tf.Tensor:
            _, total = tf.while_loop(
                lambda done, _: done < count,
                lambda done, total: (done + 1, total + step(batches)),
                (tf.constant(0), tf.constant(0.0)),
            )
            return total / tf.cast(count, tf.float32)

        return run


@contextmanager
def quick_statistics(model: Any, momentum: float = 0.9) -> Iterator[None]:
    """Lets the moving statistics of batch norms follow within a short fine-tuning.

    Pruning changes the statistics at once; with Keras' momentum of 0.99 they would lag behind by
    hundreds of steps.

    Args:
        model: A tf_keras model; its batch norms have the lower momentum inside the context.
        momentum: The highest one to allow.

    Yields:
        Nothing.
    """
    norms = [x for x in model.layers if isinstance(x, tf_keras.layers.BatchNormalization)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = min(norm.momentum, momentum)
    try:
        yield
    finally:
        for norm, value in zip(norms, before, strict=True):
            norm.momentum = value


def training_stream(
    data: Any, teacher: Any, *, classes: int, batch_size: int, seed: int
) -> tuple[tf.data.Dataset, bool]:
    """Brings every accepted form of data into one.

    Args:
        data: ``(x, y)`` arrays, x float32 ``(n, height, width, channels)`` in the model's range, y
            integers (-1: no label) or soft labels ``(n, classes)``; or a batched `tf.data.Dataset`
            of ``(x, y)`` or ``(x, {"label": ..., "teacher_logits": ...})``.
        teacher: None, the probabilities of all rows ``(n, classes)``, or what answers with
            probabilities: an object with `predict_proba`, a Keras classifier, a callable. Rows of
            arrays are asked about once; batches of a stream as they come.
        classes: Number of classes.
        batch_size: For arrays.
        seed: Of the order of arrays.

    Returns:
        Endless batches of (x, label, teacher logits), and whether there is a teacher.

    Raises:
        InvalidInputError: The data have another form.
    """
    if isinstance(data, tf.data.Dataset):
        return _normalised(data, teacher, classes)
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise InvalidInputError(
            "`data` must be (x, y) arrays or a batched tf.data.Dataset. "
            f"Received: {type(data).__name__}. Give a pair of arrays."
        )
    x, y = (np.asarray(part) for part in data)
    label = y.astype(np.float32 if y.ndim == 2 and y.shape[1] == classes else np.int32)
    label = label.reshape(len(label)) if label.dtype == np.int32 else label
    if teacher is None:
        logits = np.zeros((len(x), 1), np.float32)
    elif isinstance(teacher, np.ndarray):
        logits = probability_logits(teacher)
    else:
        ask = teacher_function(teacher, classes)
        logits = np.concatenate([ask(x[i : i + 512]).numpy() for i in range(0, len(x), 512)])
    arrays = (x.astype(np.float32), label, logits)
    return ordered_stream(arrays, batch_size=batch_size, seed=seed), teacher is not None


def first_samples(data: Any, count: int) -> np.ndarray:
    """The first samples of the data, float32, such as for calibration."""
    if not isinstance(data, tf.data.Dataset):
        return np.asarray(data[0][:count], np.float32)
    found: list[np.ndarray] = []
    for batch in without_autotuner(data):
        found.append(np.asarray(batch[0], np.float32))
        if sum(map(len, found)) >= count:
            break
    return np.concatenate(found)[:count]


def _normalised(
    stream: tf.data.Dataset, teacher: Any, classes: int
) -> tuple[tf.data.Dataset, bool]:
    spec = stream.element_spec
    if not (isinstance(spec, tuple) and len(spec) >= 2):
        raise InvalidInputError(
            f"A stream must give (x, y). Received: elements {spec}. Map it to pairs."
        )
    rides_along = isinstance(spec[1], dict) and "teacher_logits" in spec[1]
    ask = None
    if teacher is not None and not rides_along:
        if isinstance(teacher, np.ndarray):
            raise InvalidInputError(
                "Probabilities of all rows go with arrays. Received: a stream. Put them into it as "
                "{'label': ..., 'teacher_logits': ...}, or pass a callable."
            )
        ask = teacher_function(teacher, classes)

    def normal(x: tf.Tensor, y: Any, *_: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        label = y["label"] if isinstance(y, dict) else y
        soft = label.shape.rank == 2 and label.shape[-1] == classes
        label = tf.cast(label, tf.float32) if soft else tf.reshape(tf.cast(label, tf.int32), [-1])
        if rides_along:
            return x, label, tf.cast(y["teacher_logits"], tf.float32)
        logits = ask(x) if ask is not None else tf.zeros([tf.shape(x)[0], 1])
        return x, label, logits

    endless = without_autotuner(stream.map(normal).repeat()).prefetch(READ_AHEAD)
    return endless, rides_along or ask is not None
