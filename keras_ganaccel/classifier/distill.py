"""Training a student on labels, on a teacher's soft labels, or on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.classifier.augment import augment, check_policies
from keras_ganaccel.classifier.features import FeatureMatcher
from keras_ganaccel.classifier.members import teacher_function
from keras_ganaccel.classifier.outputs import logits_of, num_classes, output_kind
from keras_ganaccel.distribution import Trainer, batch_layout, global_batch_mean
from keras_ganaccel.errors import InvalidInputError, nearest

LOSSES = ("hinton", "logits")


def label_loss(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy with soft targets.

    Args:
        targets: float32 ``(batch, classes)``; a row of zeros (no label) costs nothing.
        logits: float32 ``(batch, classes)``.

    Returns:
        ``(batch,)``.
    """
    return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)


def hinton_loss(teacher: tf.Tensor, logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """Kullback-Leibler divergence from the student's softened probabilities to the teacher's.

    Times the temperature squared, so that its gradients keep their size (Hinton et al., arXiv
    1503.02531).

    Args:
        teacher: The teacher's probabilities at that temperature, float32 ``(batch, classes)``.
        logits: The student's, float32 ``(batch, classes)``.
        temperature: Above 0.

    Returns:
        ``(batch,)``.
    """
    log_student = tf.nn.log_softmax(logits / temperature)
    entropy = tf.reduce_sum(tf.math.xlogy(teacher, teacher), axis=-1)
    return temperature**2 * (entropy - tf.reduce_sum(teacher * log_student, axis=-1))


def logits_loss(teacher: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of logits, each centred over the classes.

    Logits mean the same whatever constant is added; centring takes it out (Ba and Caruana, arXiv
    1312.6184, regress on them).

    Args:
        teacher: The teacher's logits, float32 ``(batch, classes)``.
        logits: The student's.

    Returns:
        ``(batch,)``.
    """
    difference = teacher - logits
    difference -= tf.reduce_mean(difference, axis=-1, keepdims=True)
    return tf.reduce_mean(tf.square(difference), axis=-1)


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class Distiller(Trainer):
    """Trains a classifier on labels and a teacher, by `fit` on any stream of batches.

    Batches are ``(x, y)`` or ``(x, y, sample_weight)``. ``y`` is integer labels ``(batch,)``, soft
    ones ``(batch, classes)``, or a mapping ``{"label": ..., "teacher_logits": (batch, classes)}``
    when the teacher's answers ride in the stream: a step then costs the student alone. A label of
    -1 (none) leaves the teacher's term. Without a teacher of either kind the labels' term is all.

    The loss of a sample is ``alpha * label_loss + (1 - alpha) * teacher_loss``; the loss of a step
    is the mean over the global batch, as Keras has it: with sample weights, their products' sum
    divided by the number of samples.

    Args:
        student: The classifier to train; see `output_kind` for what it may put out.
        teacher: A Keras classifier, anything with `predict_proba`, or a callable from images
            to probabilities. It is asked about the augmented images, and never trained.
        temperature: Softens both sides of the Hinton loss; above 0.
        alpha: Weight of the labels, in [0, 1].
        loss: ``"hinton"`` or ``"logits"``.
        label_smoothing: Of the labels' term, in [0, 1).
        feature_layers: Names of a layer of the student and one of a Keras teacher whose outputs
            are matched as well (Romero et al., arXiv 1412.6550).
        feature_weight: Weight of that term.
        augmentation: Out of `augment.POLICIES`; applied inside the step.
        seed: Of the augmentation, a pure function of it and the step.
        from_logits: What the student puts out; None looks at its last layer.

    Example:
        >>> import numpy as np
        >>> student = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(),
        ...                             keras.layers.Dense(2)])
        >>> distiller = Distiller(student, teacher=lambda x: np.full((len(x), 2), 0.5))
        >>> distiller.compile(optimizer="adam")
        >>> history = distiller.fit(np.zeros((8, 4, 4, 1)), np.arange(8) % 2, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'label_loss', 'loss', 'teacher_loss']
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: Any = None,
        *,
        temperature: float = 2.0,
        alpha: float = 0.2,
        loss: str = "hinton",
        label_smoothing: float = 0.0,
        feature_layers: tuple[str, str] | None = None,
        feature_weight: float = 1.0,
        augmentation: Sequence[str] = (),
        seed: int = 0,
        from_logits: bool | None = None,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _check_options(temperature, alpha, loss, label_smoothing)
        self.student = student
        # Only a Keras teacher is saved with the distiller; `trainable_variables` leaves it out.
        self.teacher = teacher
        self.temperature = temperature
        self.alpha = alpha
        self.distillation_loss = loss
        self.label_smoothing = label_smoothing
        self.feature_layers = feature_layers
        self.feature_weight = feature_weight
        self.augmentation = check_policies(augmentation)
        self.from_logits = from_logits
        self._kind = output_kind(student, from_logits)
        self._classes = num_classes(student, self._kind)
        self._ask_teacher = None if teacher is None else teacher_function(teacher, self._classes)
        self._matcher = None
        if feature_layers is not None:
            self._matcher = FeatureMatcher(student, teacher, *feature_layers, name="matcher")
        # A variable, so that another seed does not trace the step again.
        self.augmentation_seed = self.add_weight(
            name="augmentation_seed",
            shape=(),
            dtype="int32",
            initializer=keras.initializers.Constant(seed),
            trainable=False,
        )
        self._means = {
            key: keras.metrics.Mean(name=key)
            for key in ("loss", "accuracy", "label_loss", "teacher_loss")
        }
        self.built = True

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The student's variables (and the feature matching's), without the teacher's."""
        matcher = [] if self._matcher is None else self._matcher.trainable_variables
        return [*self.student.trainable_variables, *matcher]

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """The same, under Keras' other name."""
        return self.trainable_variables

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes the student's outputs."""
        return self.student(inputs, training=training)

    def train_step(self, data: Any) -> None:
        """One step on one replica's part of a batch."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        layout = batch_layout(tf.shape(x)[0])
        labels, soft = self._targets(y)
        targets = [labels] if soft is None else [labels, soft]
        seed = tf.stack([self.augmentation_seed.value, self._step()])
        x, targets = augment(tf.cast(x, tf.float32), targets, self.augmentation, seed, layout)
        labels, soft = targets if soft is not None else (targets[0], self._asked(x))
        with tf.GradientTape() as tape:
            logits = logits_of(self.student(x, training=True), self._kind)
            parts = self._parts(x, labels, soft, logits)
            if self._matcher is not None:
                parts["loss"] += self.feature_weight * self._matcher(x, training=True)
            total = global_batch_mean(_weighted(parts["loss"], weight), layout[0])
            if self.student.losses:
                replicas = tf.distribute.get_replica_context().num_replicas_in_sync
                total += tf.cast(tf.add_n(self.student.losses), tf.float32) / replicas
            scaled = self.optimizer.scale_loss(total)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(scaled, variables), variables, strict=True)
        )
        self._record(parts, labels, logits, weight)

    def test_step(self, data: Any) -> None:
        """Measures the same losses, in inference mode and without augmentation."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        x = tf.cast(x, tf.float32)
        labels, soft = self._targets(y)
        soft = self._asked(x) if soft is None else soft
        logits = logits_of(self.student(x, training=False), self._kind)
        self._record(self._parts(x, labels, soft, logits), labels, logits, weight)

    def _step(self) -> tf.Tensor:
        return tf.cast(self.optimizer.iterations.value, tf.int32)

    def _targets(self, y: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """One-hot (or given soft) labels, and the teacher's targets if they ride in the stream."""
        labels, soft = y, None
        if isinstance(y, Mapping):
            labels = y["label"]
            soft = self._softened(tf.cast(y["teacher_logits"], tf.float32))
        labels = tf.convert_to_tensor(labels)
        if labels.dtype.is_integer:
            labels = tf.one_hot(tf.reshape(labels, (-1,)), self._classes)
        elif labels.shape.rank < 2 or labels.shape[-1] != self._classes:
            # Some loaders make integer labels floats, or columns.
            whole = tf.cast(tf.reshape(labels, (-1,)), tf.int32)
            labels = tf.one_hot(whole, self._classes)
        return tf.cast(labels, tf.float32), soft

    def _asked(self, x: tf.Tensor) -> tf.Tensor | None:
        return None if self._ask_teacher is None else self._softened(self._ask_teacher(x))

    def _softened(self, teacher_logits: tf.Tensor) -> tf.Tensor:
        if self.distillation_loss == "hinton":
            return tf.nn.softmax(teacher_logits / self.temperature)
        return teacher_logits

    def _parts(
        self, x: tf.Tensor, labels: tf.Tensor, soft: tf.Tensor | None, logits: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The loss of each sample and what it is made of."""
        smoothing = self.label_smoothing
        smooth = tf.reduce_sum(labels, axis=-1, keepdims=True) / self._classes
        parts = {"label_loss": label_loss((1 - smoothing) * labels + smoothing * smooth, logits)}
        if soft is None:
            return {"loss": parts["label_loss"], **parts}
        if self.distillation_loss == "hinton":
            parts["teacher_loss"] = hinton_loss(soft, logits, self.temperature)
        else:
            parts["teacher_loss"] = logits_loss(soft, logits)
        loss = self.alpha * parts["label_loss"] + (1 - self.alpha) * parts["teacher_loss"]
        return {"loss": loss, **parts}

    def _record(
        self,
        parts: Mapping[str, tf.Tensor],
        labels: tf.Tensor,
        logits: tf.Tensor,
        weight: tf.Tensor | None,
    ) -> None:
        for key, values in parts.items():
            self._means[key].update_state(_weighted(values, weight))
        right = tf.argmax(labels, axis=-1) == tf.argmax(logits, axis=-1)
        labelled = tf.reduce_max(labels, axis=-1) > 0.0
        self._means["accuracy"].update_state(right, sample_weight=labelled)

    def get_config(self) -> dict[str, Any]:
        """Everything but a teacher that is no Keras model."""
        keep_teacher = isinstance(self.teacher, keras.Model)
        return {
            "name": self.name,
            "student": keras.saving.serialize_keras_object(self.student),
            "teacher": keras.saving.serialize_keras_object(self.teacher) if keep_teacher else None,
            "temperature": self.temperature,
            "alpha": self.alpha,
            "loss": self.distillation_loss,
            "label_smoothing": self.label_smoothing,
            "feature_layers": self.feature_layers,
            "feature_weight": self.feature_weight,
            "augmentation": list(self.augmentation),
            "seed": int(self.augmentation_seed.numpy()),
            "from_logits": self.from_logits,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Distiller:
        """Rebuilds a distiller; one with feature matching needs its Keras teacher."""
        del custom_objects
        config = dict(config)
        for key in ("student", "teacher"):
            if config[key] is not None:
                config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)


def _weighted(per_sample: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    return per_sample if weight is None else per_sample * tf.cast(weight, per_sample.dtype)


def _check_options(temperature: float, alpha: float, loss: str, label_smoothing: float) -> None:
    if not temperature > 0:
        raise InvalidInputError(
            f"`temperature` must be above 0. Received: {temperature}. 1 leaves outputs as they are."
        )
    if not 0 <= alpha <= 1:
        raise InvalidInputError(
            f"`alpha` must be in [0, 1]. Received: {alpha}. Pass 0 to learn from the teacher only."
        )
    if not 0 <= label_smoothing < 1:
        raise InvalidInputError(
            f"`label_smoothing` must be in [0, 1). Received: {label_smoothing}. Pass 0 for none."
        )
    if loss not in LOSSES:
        raise InvalidInputError(f"Unknown `loss`. Received: {loss!r}. {nearest(loss, LOSSES)}")
