"""One compiled student that is trained over and over, traced once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.distill import Distiller
from keras_ganaccel.classifier.outputs import batched, logits_function
from keras_ganaccel.classifier.train import make_optimizer
from keras_ganaccel.distribution import distribute_stream
from keras_ganaccel.gate.arms import Recipe, Samples
from keras_ganaccel.initial_weights import reinitialize, seed_random_layers
from keras_ganaccel.pipelines import READ_AHEAD


class Trainee:
    """Trains a student in place by a recipe, each time from the same weights or from new ones.

    Args:
        student: The classifier; its weights now are those that `reset` goes back to.
        recipe: How it is trained.
        from_logits: What it puts out; None looks at its last layer.
        steps_per_execution: Steps per call into TensorFlow.
    """

    def __init__(
        self,
        student: keras.Model,
        recipe: Recipe,
        *,
        from_logits: bool | None = None,
        steps_per_execution: int = 50,
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
            optimizer = make_optimizer(
                recipe.optimizer, recipe.learning_rate, recipe.schedule, recipe.steps
            )
            self.distiller.compile(
                optimizer=optimizer, steps_per_execution=min(steps_per_execution, recipe.steps)
            )
            optimizer.build(self.distiller.trainable_variables)
        seed_random_layers(student, 0)
        # Slots, counters and the states of dropout's random numbers, too.
        self._variables = [*student.variables, *optimizer.variables]
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
        samples: Samples,
        *,
        labels_only: bool = False,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> dict[str, float]:
        """Takes the recipe's steps on the samples, in their order.

        Args:
            samples: What the arm comes down to.
            labels_only: Leave the teacher's answers out.
            callbacks: Callbacks of `fit`.

        Returns:
            The metrics of the training.
        """
        history = self.distiller.fit(
            self._stream(samples, labels_only),
            steps_per_epoch=len(samples.rows),
            callbacks=list(callbacks),
            shuffle=False,
            verbose=0,
        )
        return {key: values[-1] for key, values in history.history.items()}

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The student's logits, float32 ``(n, classes)``, in inference mode."""
        return batched(self._forward, x)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """The student's probabilities, float32 ``(n, classes)``: it can be asked like a teacher."""
        return tf.nn.softmax(self.logits(x)).numpy()

    def _stream(self, samples: Samples, labels_only: bool) -> Any:
        def stream(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
            rows = samples.rows
            if context is not None:
                slices = np.split(rows, context.num_input_pipelines, axis=1)
                rows = slices[context.input_pipeline_id]
            batches = samples.batches(rows)
            if labels_only:
                batches = batches.map(lambda x, targets, weights: (x, targets["label"], weights))
            return batches.prefetch(READ_AHEAD)

        return distribute_stream(self.student.distribute_strategy, stream, self.recipe.batch_size)
