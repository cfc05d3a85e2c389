"""The training engine: one compiled student that is trained on transfer sets, traced once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.distill import Distiller
from keras_ganaccel.classifier.outputs import batched, logits_function
from keras_ganaccel.classifier.recipe import Recipe, make_optimizer
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.distribution import distribute_stream
from keras_ganaccel.initial_weights import reinitialize, seed_random_layers
from keras_ganaccel.pipelines import READ_AHEAD


class Trainee:
    """Trains a student in place by a recipe, each time from the same weights or from new ones.

    Args:
        student: The classifier; its weights now are those that `reset` goes back to.
        recipe: How it is trained.
        from_logits: What it puts out; None looks at its last layer.
        steps_per_execution: Steps per call into TensorFlow.
        optimizer: A Keras optimizer or its name, in place of the recipe's.
        seed: Seed of the student's random layers, such as dropout.

    Example:
        >>> import keras_ganaccel as ga
        >>> data = ga.load_data("digits", labels_per_class=20)
        >>> x, y = data.arrays("train")
        >>> teacher = ga.build_teacher(data.spec, x, y, members=("svm",))
        >>> recipe = ga.Recipe(steps=60, learning_rate=0.01, transfer_size=1000)
        >>> transfer = ga.TransferSet.for_recipe(recipe, teacher, x, y, num_classes=10)
        >>> student = ga.build_classifier(data.spec, "mlp")
        >>> history = ga.Trainee(student, recipe).train(transfer)
        >>> ga.evaluate(student, *data.arrays("validation"))["accuracy"] > 0.5
        True
    """

    def __init__(
        self,
        student: keras.Model,
        recipe: Recipe,
        *,
        from_logits: bool | None = None,
        steps_per_execution: int = 50,
        optimizer: str | keras.optimizers.Optimizer | None = None,
        seed: int = 0,
    ) -> None:
        self.student = student
        self.recipe = recipe
        with student.distribute_strategy.scope():
            self.distiller = Distiller(
                student,
                temperature=recipe.temperature,
                alpha=recipe.alpha,
                loss=recipe.loss,
                label_smoothing=recipe.label_smoothing,
                from_logits=from_logits,
            )
            chosen = make_optimizer(
                optimizer or recipe.optimizer, recipe.learning_rate, recipe.schedule, recipe.steps
            )
            self.distiller.compile(
                optimizer=chosen, steps_per_execution=min(steps_per_execution, recipe.steps)
            )
            chosen.build(self.distiller.trainable_variables)
        seed_random_layers(student, seed)
        # Slots, counters and the states of dropout's random numbers, too.
        self._variables = [*student.variables, *chosen.variables]
        self._initial = [variable.numpy() for variable in self._variables]
        self._forward = logits_function(student, from_logits)

    def reset(self, seed: int | None = None) -> None:
        """Goes back to the first weights, or, with a seed, to newly drawn ones."""
        for variable, value in zip(self._variables, self._initial, strict=True):
            variable.assign(value)
        if seed is not None:
            reinitialize(self.student, seed)
            seed_random_layers(self.student, seed)

    def train(
        self,
        samples: TransferSet,
        *,
        labels_only: bool = False,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        validation: tuple[np.ndarray, np.ndarray] | None = None,
        verbose: int = 0,
    ) -> keras.callbacks.History:
        """Takes the recipe's steps on a transfer set, in its order.

        Args:
            samples: The transfer set.
            labels_only: Leave the teacher's answers out.
            callbacks: Callbacks of `fit`.
            validation: Arrays ``(x, y)`` that are measured at the end.
            verbose: How much `fit` shows.

        Returns:
            The history: one entry per metric.
        """
        return self.distiller.fit(
            self._stream(samples, labels_only),
            steps_per_epoch=self.recipe.steps,
            validation_data=validation,
            validation_batch_size=512,
            callbacks=list(callbacks),
            shuffle=False,
            verbose=verbose,
        )

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The student's logits, float32 ``(n, classes)``, in inference mode."""
        return batched(self._forward, x)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """The student's probabilities, float32 ``(n, classes)``: it can be asked like a teacher."""
        return tf.nn.softmax(self.logits(x)).numpy()

    def _stream(self, samples: TransferSet, labels_only: bool) -> Any:
        recipe = self.recipe

        def stream(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
            batches = samples.batches(recipe.steps, recipe.batch_size, input_context=context)
            if labels_only:
                batches = batches.map(lambda x, targets, weights: (x, targets["label"], weights))
            return batches.prefetch(READ_AHEAD)

        return distribute_stream(self.student.distribute_strategy, stream, recipe.batch_size)
