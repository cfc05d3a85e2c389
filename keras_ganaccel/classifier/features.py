"""Matching an inner layer of the student with one of its teacher."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, nearest


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class FeatureMatcher(keras.layers.Layer):
    """The distance of a student's features, linearly mapped, from its teacher's.

    As the hints of Romero et al. (arXiv 1412.6550), with both sides normalised to unit length so
    that the layers' scales do not matter. Feature maps are averaged over their places unless both
    have as many.

    Args:
        student: The student, a functional or sequential model.
        teacher: The teacher, likewise.
        student_layer: Name of the student's layer.
        teacher_layer: Name of the teacher's layer.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: Any,
        student_layer: str,
        teacher_layer: str,
        name: str = "matcher",
    ) -> None:
        super().__init__(name=name)
        if not isinstance(teacher, keras.Model):
            raise InvalidInputError(
                f"`feature_layers` need a Keras teacher. Received: {type(teacher).__name__}. "
                "Leave them out, or distil from a Keras model."
            )
        # In a tuple of functions: the models are tracked by who owns them, not by this layer.
        features = [_inner(student, student_layer), _inner(teacher, teacher_layer)]
        shapes = [model.output_shape[1:] for model in features]
        self._pooled = shapes[0][:-1] != shapes[1][:-1]
        self._student_features = features[0].call
        self._teacher_features = features[1].call
        self.projection = keras.layers.Dense(
            shapes[1][-1],
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(seed=0),
            name="projection",
        )
        self.projection.build((None, shapes[0][-1]))
        self.built = True

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes the distance.

        Args:
            images: ``(batch, height, width, channels)``.
            training: Whether the student trains; the teacher never does.

        Returns:
            float32 ``(batch,)``, in [0, 4].
        """
        mine = self.projection(self._flat(self._student_features(images, training=training)))
        theirs = self._flat(tf.stop_gradient(self._teacher_features(images, training=False)))
        difference = tf.math.l2_normalize(mine, axis=-1) - tf.math.l2_normalize(theirs, axis=-1)
        squares = tf.reduce_sum(tf.square(difference), axis=-1)
        return tf.reduce_mean(tf.reshape(squares, (tf.shape(images)[0], -1)), axis=-1)

    def _flat(self, features: tf.Tensor) -> tf.Tensor:
        features = tf.cast(features, tf.float32)
        places = list(range(1, features.shape.rank - 1))
        return tf.reduce_mean(features, places) if self._pooled and places else features


def _inner(model: keras.Model, layer: str) -> keras.Model:
    names = [item.name for item in model.layers]
    if layer not in names:
        raise InvalidInputError(
            f"{model.name!r} has no such layer. Received: {layer!r}. {nearest(layer, names)}"
        )
    return keras.Model(model.inputs, model.get_layer(layer).output, name=f"{model.name}_{layer}")
