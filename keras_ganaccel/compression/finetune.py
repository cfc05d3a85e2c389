"""Fine-tuning of tf_keras models on labels, on a teacher's soft labels, or on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from keras_ganaccel.classifier.distill import hinton_loss, label_loss
from keras_ganaccel.classifier.members import teacher_function
from keras_ganaccel.classifier.outputs import logits_of, probability_logits
from keras_ganaccel.compression.tfmot import needs_no_autograph
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.data.stream import ordered_stream
from keras_ganaccel.errors import InvalidInputError, RunFailedError
from keras_ganaccel.pipelines import READ_AHEAD, without_autotuner

Progress = Callable[[int, int], None]
_STEPS_PER_CALL = 25
_TEACHER_BATCH = 512


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
    data: Any,
    teacher: Any,
    *,
    classes: int,
    batch_size: int,
    seed: int,
    inputs: ModelInputs,
) -> tuple[tf.data.Dataset, bool]:
    """Brings every accepted form of data into one.

    Args:
        data: ``(x, y)`` arrays, x in the model's range, ``(n, ...)`` (for several inputs a list,
            tuple or dict of arrays), y integers (-1: no label) or soft labels ``(n, classes)``; or
            a batched `tf.data.Dataset` of ``(x, y)`` or
            ``(x, {"label": ..., "teacher_logits": ...})``.
        teacher: None, the probabilities of all rows ``(n, classes)``, or what answers with
            probabilities: an object with `predict_proba`, a Keras classifier, a callable. Rows of
            arrays are asked about once; batches of a stream as they come.
        classes: Number of classes.
        batch_size: For arrays.
        seed: Seed of the order of arrays.
        inputs: What the model takes.

    Returns:
        Endless batches of (x, label, teacher logits), x as the model is called, and whether there
        is a teacher.

    Raises:
        InvalidInputError: The data have another form, or do not fit the model.
    """
    if isinstance(data, tf.data.Dataset):
        return _normalised(data, teacher, classes, inputs)
    given, labels = _pair(data)
    x = inputs.arrays(given)
    label = checked_labels(np.asarray(labels), classes)
    if teacher is None:
        logits = np.zeros((len(label), 1), np.float32)
    elif isinstance(teacher, np.ndarray):
        logits = probability_logits(teacher)
    else:
        ask = _answers(teacher, classes, inputs)
        starts = range(0, len(label), _TEACHER_BATCH)
        parts = ([a[i : i + _TEACHER_BATCH] for a in x] for i in starts)
        logits = np.concatenate([ask(inputs.packed(part)).numpy() for part in parts])
    stream = ordered_stream((*x, label, logits), batch_size=batch_size, seed=seed)
    if len(x) > 1 or inputs.structure != 0:
        stream = without_autotuner(
            stream.map(lambda *parts: (inputs.packed(parts[:-2]), *parts[-2:]))
        )
    return stream, teacher is not None


def checked_labels(y: np.ndarray, classes: int) -> np.ndarray:
    """Returns labels int32 ``(n,)``, -1 where there is none, or soft ones float32 ``(n, classes)``.

    Args:
        y: Integers in -1..classes-1, ``(n,)`` or ``(n, 1)``, or a probability for each class.
        classes: Number of classes.

    Raises:
        InvalidInputError: They are something else, such as the targets of a regression.
    """
    if y.ndim == 2 and y.shape[1] == classes > 1 and y.dtype.kind in "biuf":
        soft = y.astype(np.float32)
        if np.all(soft >= 0) and np.allclose(soft.sum(axis=1), 1.0, atol=1e-2):
            return soft
        wrong = "rows that are no probabilities"
    elif y.size != len(y) or y.dtype.kind not in "biuf":
        wrong = f"{y.dtype} of shape {y.shape}"
    elif (y != np.rint(y)).any():
        wrong = "numbers that are not whole"
    elif y.min() < -1 or y.max() >= classes:
        wrong = f"labels {y.min():.0f} to {y.max():.0f}"
    else:
        return y.reshape(len(y)).astype(np.int32)
    raise InvalidInputError(
        f"`y` must be class numbers 0 to {classes - 1} (-1: no label), or a probability for each "
        f"of the {classes} outputs. Received: {wrong}. A model that is no classifier, such as an "
        "autoencoder, can be exported but not fine-tuned here."
    )


def first_samples(data: Any, count: int, inputs: ModelInputs) -> tuple[np.ndarray, ...]:
    """The first samples of the data, such as for calibration: an array for each input."""
    if not isinstance(data, tf.data.Dataset):
        return tuple(array[:count] for array in inputs.arrays(_pair(data)[0]))
    found: list[tuple[np.ndarray, ...]] = []
    for batch in without_autotuner(data):
        found.append(tuple(part.numpy() for part in inputs.tensors(batch[0])))
        if sum(len(parts[0]) for parts in found) >= count:
            break
    return tuple(np.concatenate(parts)[:count] for parts in zip(*found, strict=True))


def _pair(data: Any) -> tuple[Any, Any]:
    """Samples and labels out of what was given as data."""
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise InvalidInputError(
            "`data` must be (x, y) arrays or a batched tf.data.Dataset. "
            f"Received: {type(data).__name__}. Give a pair of arrays."
        )
    return data[0], data[1]


def _answers(teacher: Any, classes: int, inputs: ModelInputs) -> Callable[[Any], tf.Tensor]:
    """What asks a teacher inside a TensorFlow step; only a Keras one takes several inputs."""
    if len(inputs.names) > 1 and not isinstance(teacher, keras.Model):
        raise InvalidInputError(
            "A teacher of a model with several inputs must be a Keras model or the probabilities "
            f"of all rows. Received: {type(teacher).__name__}. Pass its probabilities."
        )
    return teacher_function(teacher, classes)


def _normalised(
    stream: tf.data.Dataset, teacher: Any, classes: int, inputs: ModelInputs
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
        ask = _answers(teacher, classes, inputs)

    def normal(x: Any, y: Any, *_: Any) -> tuple[Any, tf.Tensor, tf.Tensor]:
        parts = inputs.tensors(x)
        x = inputs.packed(parts)
        label = y["label"] if isinstance(y, dict) else y
        soft = label.shape.rank == 2 and label.shape[-1] == classes
        label = tf.cast(label, tf.float32) if soft else tf.reshape(tf.cast(label, tf.int32), [-1])
        if rides_along:
            return x, label, tf.cast(y["teacher_logits"], tf.float32)
        logits = ask(x) if ask is not None else tf.zeros([tf.shape(parts[0])[0], 1])
        return x, label, logits

    # Nothing in it wants rewriting, which would load AutoGraph and read the source of each call.
    plain = tf.autograph.experimental.do_not_convert(normal)
    endless = without_autotuner(stream.map(plain).repeat()).prefetch(READ_AHEAD)
    return endless, rides_along or ask is not None
