"""Training a student on labels, on a teacher's soft labels, or on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from keras_ganaccel.classifier.arguments import (
    beside_accuracy,
    check_metrics,
    check_models,
    check_options,
    unfit_metrics,
)
from keras_ganaccel.classifier.augment import augment
from keras_ganaccel.classifier.features import FeatureMatcher
from keras_ganaccel.classifier.members import teacher_function
from keras_ganaccel.classifier.outputs import input_shape, logits_of, num_classes, output_kind
from keras_ganaccel.classifier.targets import as_given, check_labels, one_hot_targets
from keras_ganaccel.distribution import Trainer, batch_layout, global_batch_mean, require
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.policies import check_policies


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

    Batches are ``(x, y)`` or ``(x, y, sample_weight)``. ``y`` is class numbers ``(batch,)`` or
    ``(batch, 1)``, one-hot or soft rows ``(batch, classes)``, or a mapping ``{"label": ...,
    "teacher_logits": (batch, classes)}`` when the teacher's answers ride in the stream: a step then
    costs the student alone. A label of -1 (none) leaves the teacher's term. Without a teacher of
    either kind the labels' term is all.

    The loss of a sample is ``alpha * label_loss + (1 - alpha) * teacher_loss``; the loss of a step
    is the mean over the global batch, as Keras has it: with sample weights, their products' sum
    divided by the number of samples.

    Args:
        student: The classifier to train; see `output_kind` for what it may put out. A subclassed
            one must have been called once.
        teacher: A Keras classifier, anything with `predict_proba`, or a callable from images
            to probabilities. It is asked about the augmented images, and never trained. One of
            scikit-learn's may lack classes: they get no share of its answers.
        temperature: Softens both sides of the Hinton loss; above 0.
        alpha: Weight of the labels, in [0, 1].
        loss: ``"hinton"`` or ``"logits"``.
        label_smoothing: Label smoothing of the labels' term, in [0, 1).
        feature_layers: Names of a layer of the student and one of a Keras teacher whose outputs
            are matched as well (Romero et al., arXiv 1412.6550).
        feature_weight: Weight of that term.
        augmentation: Policies of the modality, such as `shift`; applied inside the step.
        seed: Seed of the augmentation, a pure function of it and the step.
        from_logits: What the student puts out; None finds out, see `output_kind`.

    Raises:
        InvalidInputError: An option is out of range, or the models do not fit.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> import numpy as np
        >>> student = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(),
        ...                             keras.layers.Dense(2)])
        >>> distiller = ga.Distiller(student, teacher=lambda x: np.full((len(x), 2), 0.5))
        >>> distiller.compile(optimizer="adam")
        >>> history = distiller.fit(np.zeros((8, 4, 4, 1)), np.arange(8) % 2, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'label_loss', 'loss', 'teacher_loss']
    """

    directions: ClassVar[Mapping[str, str]] = {
        "accuracy": "max",
        "label_loss": "min",
        "teacher_loss": "min",
    }

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
        check_models(student, teacher)
        check_options(temperature, alpha, loss, label_smoothing)
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
        self.num_classes = num_classes(student, self._kind)
        self._ask_teacher = None if teacher is None else teacher_function(teacher, self.num_classes)
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

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Prepares training; see `keras.Model.compile`.

        Args:
            optimizer: A Keras optimizer or its name.
            loss: Leave it out: the distiller has a loss of its own.
            loss_weights: Leave them out, too.
            metrics: Further metrics, by name or as objects. They see the labels in the form that
                they are given in (after the augmentation, of labelled samples alone) and what the
                student puts out. ``"accuracy"`` is always measured.
            weighted_metrics: Metrics that take the sample weights as well.
            run_eagerly: Run step by step in Python, for debugging.
            steps_per_execution: Steps per call into TensorFlow.
            jit_compile: True compiles with XLA, on a single device only; ``"auto"`` does not.
            auto_scale_loss: Scale the loss under ``mixed_float16``.

        Raises:
            InvalidInputError: A loss was given, or XLA was asked for with a teacher in Python.
        """
        if loss is not None or loss_weights is not None:
            raise InvalidInputError(
                "A Distiller has a loss of its own. Received: `loss` in compile(). Leave it out, "
                "and choose by Distiller(alpha=, loss=, temperature=)."
            )
        in_graph = self.teacher is None or isinstance(self.teacher, keras.Model)
        if jit_compile is True and not in_graph:
            raise InvalidInputError(
                "XLA cannot compile a teacher that answers in Python. Received: "
                f"{type(self.teacher).__name__} with jit_compile=True. Leave `jit_compile` out."
            )
        super().compile(
            optimizer=optimizer,
            metrics=beside_accuracy(metrics),
            weighted_metrics=beside_accuracy(weighted_metrics),
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile is True,
            auto_scale_loss=auto_scale_loss,
        )
        self._has_user_metrics = any(map(beside_accuracy, (metrics, weighted_metrics)))

    @property
    def sample_shape(self) -> tuple[int | None, ...] | None:
        """The student's."""
        return input_shape(self.student)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Exports the student; see `keras.Model.export`."""
        self.student.export(filepath, *args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the distiller that was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self._build_optimizer()

    def on_first_batch(self, spec: Any) -> None:
        """Lets the metrics of `compile` make their variables, for which they must see labels."""
        if not self._has_user_metrics:
            return
        _, y, weight = keras.utils.unpack_x_y_sample_weight(spec)
        y = y["label"] if isinstance(y, Mapping) else y
        count = self.num_classes + 1  # which cannot be taken for the columns of one-hot rows
        shape = [count, *(y.shape[1:] if y.shape.rank else ())]
        shape = [self.num_classes if size is None else size for size in shape]
        units = 1 if self._kind.startswith("binary") else self.num_classes
        try:
            self.compute_metrics(
                None,
                tf.zeros(shape, y.dtype),
                tf.fill((count, units), 1.0 / self.num_classes),
                None if weight is None else tf.ones((count,)),
            )
        except Exception as error:  # whatever metrics of Keras and of others raise
            raise unfit_metrics(error, shape, units) from error
        found = self._compile_metrics
        check_metrics([] if found is None else found.metrics, shape, units)
        self.reset_metrics()

    def check_data(self, given: Mapping[str, Any]) -> None:
        """Refuses arrays of labels that the student has no class for, or that are none.

        Raises:
            InvalidInputError: There are such labels.
        """
        validation = given.get("validation_data")
        held_out = validation[1] if isinstance(validation, tuple) and len(validation) > 1 else None
        for labels in (given.get("y"), held_out):
            if labels is not None:
                labels = labels["label"] if isinstance(labels, Mapping) else labels
                check_labels(labels, self.num_classes)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes the student's outputs."""
        return self.student(inputs, training=training)

    def train_step(self, data: Any) -> None:
        """One step on one replica's part of a batch."""
        x, y, weight = _unpacked(data)
        layout = batch_layout(tf.shape(x)[0])
        labels, soft = self._targets(y)
        targets = [labels] if soft is None else [labels, soft]
        seed = tf.stack([self.augmentation_seed.value, self._step()])
        x, targets = augment(x, targets, self.augmentation, seed, layout)
        labels, soft = targets if soft is not None else (targets[0], self._asked(x))
        with tf.GradientTape() as tape:
            outputs = self.student(x, training=True)
            logits = logits_of(outputs, self._kind)
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
        self._record_user_metrics(y, labels, outputs, weight)

    def test_step(self, data: Any) -> None:
        """Measures the same losses, in inference mode and without augmentation."""
        x, y, weight = _unpacked(data)
        labels, soft = self._targets(y)
        soft = self._asked(x) if soft is None else soft
        outputs = self.student(x, training=False)
        logits = logits_of(outputs, self._kind)
        self._record(self._parts(x, labels, soft, logits), labels, logits, weight)
        self._record_user_metrics(y, labels, outputs, weight)

    def _step(self) -> tf.Tensor:
        return tf.cast(self.optimizer.iterations.value, tf.int32)

    def _targets(self, y: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """One-hot (or given soft) labels, and the teacher's targets if they ride in the stream."""
        labels, soft = y, None
        if isinstance(y, Mapping):
            labels = y["label"]
            soft = self._softened(tf.cast(y["teacher_logits"], tf.float32))
        return one_hot_targets(labels, self.num_classes), soft

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
        smooth = tf.reduce_sum(labels, axis=-1, keepdims=True) / self.num_classes
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

    def _record_user_metrics(
        self, y: Any, labels: tf.Tensor, outputs: tf.Tensor, weight: tf.Tensor | None
    ) -> None:
        if not self._has_user_metrics:
            return
        labelled = tf.reduce_max(labels, axis=-1) > 0.0
        given = as_given(labels, y["label"] if isinstance(y, Mapping) else y)
        kept = [
            None if part is None else tf.boolean_mask(part, labelled)
            for part in (given, tf.cast(outputs, tf.float32), weight)
        ]
        self.compute_metrics(None, *kept)

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


def _unpacked(data: Any) -> tuple[tf.Tensor, Any, tf.Tensor | None]:
    """Samples as finite float32, labels as they are, and weights ``(batch,)`` if there are any."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is None:
        raise InvalidInputError(
            "A distiller needs labels. Received: samples alone. Give -1 where there is none."
        )
    x = tf.cast(x, tf.float32)
    x = require(
        x,
        tf.math.is_finite(tf.reduce_sum(x)),
        "Samples must be finite numbers. Received: NaN or infinity in a batch. Leave them out.",
    )
    if weight is None:
        return x, y, None
    weight = require(
        weight,
        tf.reduce_all(tf.math.is_finite(tf.cast(weight, tf.float32))),
        "Sample weights must be finite. Received: NaN or infinity in a batch. Give 0 for none.",
    )
    return x, y, tf.reshape(weight, (-1,))


def _weighted(per_sample: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    return per_sample if weight is None else per_sample * tf.cast(weight, per_sample.dtype)
