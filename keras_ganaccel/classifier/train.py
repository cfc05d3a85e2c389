"""Training a classifier for a number of steps, and measuring it."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from keras_ganaccel.classifier.arguments import check_models
from keras_ganaccel.classifier.distill import Distiller
from keras_ganaccel.classifier.outputs import input_shape, predict_logits
from keras_ganaccel.classifier.recipe import Recipe, make_optimizer
from keras_ganaccel.classifier.targets import check_training_arrays, one_hot_targets
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.data.stream import ordered_stream
from keras_ganaccel.distribution import distribute_stream
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.initial_weights import seed_random_layers
from keras_ganaccel.pipelines import without_autotuner


def train_classifier(
    model: keras.Model,
    data: tf.data.Dataset | Sequence[Any],
    *,
    steps: int,
    batch_size: int = 64,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    learning_rate: float = 3e-3,
    schedule: str = "cosine",
    label_smoothing: float = 0.0,
    augmentation: Sequence[str] = (),
    teacher: Any = None,
    temperature: float = 2.0,
    alpha: float = 0.2,
    loss: str = "hinton",
    from_logits: bool | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_execution: int = 20,
    verbose: int = 0,
) -> keras.callbacks.History:
    """Trains a classifier in place, from the weights it has, for exactly `steps` steps.

    The result is a function of the weights, the data, the options and the seed alone.

    Args:
        model: A classifier; see `output_kind` for what it may put out.
        data: Arrays ``(x, y)`` or ``(x, y, sample_weight)``, with x float32 ``(n, height, width,
            channels)`` in [0, 1] and y as in `Distiller` (integers, soft labels, or a mapping);
            or a `tf.data.Dataset` or `keras.utils.PyDataset` of such batches, repeated as needed;
            or a generator of them, which must not end before the training does.
        steps: Optimizer steps.
        batch_size: Samples per step over all replicas; a dataset has its own.
        optimizer: A Keras optimizer or its name.
        learning_rate: Its first learning rate.
        schedule: ``"cosine"`` or ``"constant"``.
        label_smoothing: In [0, 1).
        augmentation: Out of shift, flip, cutout, mixup, cutmix.
        teacher: The teacher that the model learns from; see `members.ask`. Beside arrays with
            labels it is asked once about each sample of a transfer set that is made of them,
            augmented by `augmentation` (see `TransferSet`); beside a dataset, whose samples are
            not known before, at every step, as by a `Distiller`.
        temperature: As in `Distiller`.
        alpha: As in `Distiller`.
        loss: As in `Distiller`.
        from_logits: What the model puts out; None looks at its last layer.
        validation: Arrays ``(x, y)`` that are measured at the end.
        seed: Seed of the order of the samples and of their augmentation.
        callbacks: Callbacks of `fit`; batches count steps.
        steps_per_execution: Steps per call into TensorFlow: small models gain much.
        verbose: How much `fit` shows.

    Returns:
        The history: one entry per metric.

    Raises:
        InvalidInputError: An option is unknown or out of range, samples or labels cannot be learned
            from, or the data ended before the training did.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> history = ga.train_classifier(model, data.arrays("train"), steps=80, learning_rate=0.01)
        >>> ga.evaluate(model, *data.arrays("validation"))["accuracy"] > 0.5
        True
    """
    steps = whole_number("steps", steps)
    batch_size = whole_number("batch_size", batch_size)
    steps_per_execution = whole_number("steps_per_execution", steps_per_execution)
    if teacher is not None and isinstance(data, (tuple, list)) and not _has_answers(data):
        recipe = Recipe(
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule=schedule,
            temperature=temperature,
            alpha=alpha,
            loss=loss,
            label_smoothing=label_smoothing,
            augmentation=tuple(augmentation),
        )
        check_models(model, teacher)
        trainee = Trainee(
            model,
            recipe,
            from_logits=from_logits,
            steps_per_execution=steps_per_execution,
            optimizer=optimizer,
            seed=seed,
        )
        return trainee.train(
            _transfer_set(trainee, data, teacher, seed),
            callbacks=callbacks,
            validation=validation,
            verbose=verbose,
        )
    seed_random_layers(model, seed)
    strategy = model.distribute_strategy
    with strategy.scope():
        distiller = Distiller(
            model,
            teacher,
            temperature=temperature,
            alpha=alpha,
            loss=loss,
            label_smoothing=label_smoothing,
            augmentation=augmentation,
            seed=seed,
            from_logits=from_logits,
        )
        distiller.compile(
            optimizer=make_optimizer(optimizer, learning_rate, schedule, steps),
            steps_per_execution=min(steps_per_execution, steps),
        )
    first_step = int(distiller.optimizer.iterations.numpy())
    history = distiller.fit(
        _batches(distiller, data, steps, batch_size, seed),
        steps_per_epoch=steps,
        validation_data=validation,
        validation_batch_size=512,
        callbacks=list(callbacks),
        shuffle=False,
        verbose=verbose,
    )
    _check_taken(distiller, first_step, steps)
    return history


def array_batches(
    strategy: tf.distribute.Strategy,
    data: Sequence[Any],
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> Any:
    """Streams arrays in an order that is a function of the seed, for a number of steps.

    Args:
        strategy: The strategy whose replicas get the batches.
        data: As in `train_classifier`.
        steps: Batches.
        batch_size: Samples per batch over all replicas.
        seed: Seed of the order.

    Returns:
        A dataset (or distributed dataset) of batches of the same structure.
    """
    structure = tuple(data)
    flat = [np.asarray(array) for array in tf.nest.flatten(structure)]

    def stream(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
        batches = ordered_stream(
            flat,
            batch_size=batch_size,
            seed=seed,
            num_samples=steps * batch_size,
            input_context=context,
        )
        return batches.map(lambda *arrays: tf.nest.pack_sequence_as(structure, arrays))

    return distribute_stream(strategy, stream, batch_size)


def evaluate(
    model: keras.Model, x: np.ndarray, y: np.ndarray, *, from_logits: bool | None = None
) -> dict[str, float]:
    """Measures a classifier on labelled samples, in inference mode.

    Args:
        model: The classifier.
        x: float32 ``(n, height, width, channels)`` in [0, 1].
        y: Integer labels ``(n,)``; rows with -1 are left out.
        from_logits: What the model puts out; None looks at its last layer.

    Returns:
        ``{"accuracy": ..., "log_loss": ...}``.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> data = ga.load_data("digits")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> model = keras.Sequential(layers)
        >>> sorted(ga.evaluate(model, *data.arrays("validation")))
        ['accuracy', 'log_loss']
    """
    labelled = np.asarray(y) >= 0
    logits = predict_logits(model, x[labelled], from_logits=from_logits)
    return score_logits(logits, np.asarray(y)[labelled])


def score_logits(logits: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and mean log-loss of logits ``(n, classes)`` for labels ``(n,)``."""
    logits = np.asarray(logits, np.float64)
    chances = log_softmax(logits, axis=1)
    return {
        "accuracy": float(np.mean(logits.argmax(axis=1) == y)),
        "log_loss": float(-np.mean(chances[np.arange(len(y)), y])),
    }


def whole_number(name: str, value: Any) -> int:
    """Returns a number of things, of Python's or NumPy's integers.

    Args:
        name: The name of the argument, for the message.
        value: What was given for it.

    Raises:
        InvalidInputError: It is no whole number from 1 on.

    Example:
        >>> whole_number("steps", np.int64(5))
        5
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InvalidInputError(
            f"`{name}` must be a whole number, at least 1. Received: {value!r}. Pass 1 or more."
        )
    return number


def _has_answers(data: Sequence[Any]) -> bool:
    """Whether the teacher's answers ride along with the labels, so that nobody need be asked."""
    return len(data) > 1 and isinstance(data[1], Mapping)


def _transfer_set(trainee: Trainee, data: Sequence[Any], teacher: Any, seed: int) -> TransferSet:
    """The transfer set that a student learns from where labelled arrays and a teacher are given."""
    classes = trainee.distiller.num_classes
    x, y, *weight = check_training_arrays(data, classes, input_shape(trainee.student))
    return TransferSet.for_recipe(
        trainee.recipe,
        teacher,
        x,
        one_hot_targets(y, classes).numpy(),
        num_classes=classes,
        seed=seed,
        weight=weight[0] if weight else None,
    )


def _check_taken(distiller: Distiller, first: int, steps: int) -> None:
    """Refuses a training that ended early because its data did, not because a callback said so."""
    taken = int(distiller.optimizer.iterations.numpy()) - first
    if taken < steps and not distiller.stop_training:
        raise InvalidInputError(
            f"The data ended before the training did. Received: batches for {taken} of {steps} "
            "steps. Give at least one batch, and a generator that goes on."
        )


def _batches(distiller: Distiller, data: Any, steps: int, batch_size: int, seed: int) -> Any:
    model = distiller.student
    if isinstance(data, (tuple, list)):
        return array_batches(
            model.distribute_strategy,
            check_training_arrays(data, distiller.num_classes, input_shape(model)),
            steps=steps,
            batch_size=batch_size,
            seed=seed,
        )
    if isinstance(data, keras.utils.PyDataset):
        given = data
        data = _dataset(lambda: (given[index] for index in range(len(given))), given[0])
    elif isinstance(data, Iterator):
        first = next(data, None)
        if first is None:
            raise InvalidInputError(
                "The data must hold batches. Received: a generator that yields none. Make it anew."
            )
        return without_autotuner(
            _dataset(lambda: itertools.chain([first], data), first).take(steps)
        )
    if not isinstance(data, tf.data.Dataset):
        raise InvalidInputError(
            "`data` must be arrays (x, y) or a dataset of batches. "
            f"Received: {type(data).__name__}. Batch your dataset, or pass arrays."
        )
    _check_batched(data.element_spec, model)
    if int(data.cardinality()) == 0:
        raise InvalidInputError(
            "The data must hold batches. Received: an empty dataset. Give at least one sample."
        )
    return without_autotuner(data.repeat().take(steps))


def _dataset(batches: Callable[[], Iterable[Any]], first: Any) -> tf.data.Dataset:
    """A dataset of what a Python iterable yields, its batches of any size."""

    def spec(part: Any) -> tf.TensorSpec:
        array = np.asarray(part)
        return tf.TensorSpec((None, *array.shape[1:]), array.dtype)

    return tf.data.Dataset.from_generator(
        batches, output_signature=tf.nest.map_structure(spec, first)
    )


def _check_batched(spec: Any, model: keras.Model) -> None:
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise InvalidInputError(
            f"`data` must yield (x, y) or (x, y, sample_weight). Received: {spec}. Map it to that."
        )
    shape, rank = input_shape(model), getattr(getattr(spec[0], "shape", None), "rank", None)
    if shape is not None and rank == len(shape):
        raise InvalidInputError(
            f"`data` must yield batches. Received: samples of shape {tuple(spec[0].shape)}. "
            "Call .batch(64) on the dataset."
        )
