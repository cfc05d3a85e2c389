"""Samples that cover ground which the labels' neighbourhood does not.

A faithful pool repeats what the student already knows. These look for samples that are unlike: on
which the student and its teacher differ, or between classes.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.members import answer_function
from keras_ganaccel.classifier.outputs import EPSILON
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.noise import uniform_rows
from keras_ganaccel.generated.filters import content_uniforms
from keras_ganaccel.generated.sources import GanSource
from keras_ganaccel.modality.image.layers import ClassEmbedding
from keras_ganaccel.seeds import derive_seed

_BATCH = 256


def disagreement(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """The Kullback-Leibler divergence of the student's probabilities from the teacher's.

    Args:
        teacher: Probabilities, shape ``(n, classes)``.
        student: Probabilities, shape ``(n, classes)``.

    Returns:
        float64, shape ``(n,)``, 0 or more.
    """
    p = np.clip(np.asarray(teacher, np.float64), EPSILON, 1.0)
    q = np.clip(np.asarray(student, np.float64), EPSILON, 1.0)
    p, q = (rows / rows.sum(axis=1, keepdims=True) for rows in (p, q))
    return (p * (np.log(p) - np.log(q))).sum(axis=1)


class Disagreement:
    """A filter that prefers samples on which the student differs from its teacher.

    A sample passes with a probability that grows with the disagreement up to 1, in proportion,
    such that a share `keep` passes in all. As the student learns, call `refresh` and write the
    next pool.

    Args:
        student: A Keras model, something with ``predict_proba``, or a callable that returns
            probabilities.
        teacher: Its teacher, asked in the same way.
        x: Samples to calibrate on, float32 in [0, 1]: drawn from the source.
        keep: The share that passes, in (0, 1].
        seed: Seed of the decisions.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> student = lambda x: np.stack([x.mean((1, 2, 3)), 1 - x.mean((1, 2, 3))], axis=1)
        >>> teacher = lambda x: np.tile([1.0, 0.0], (len(x), 1))
        >>> dark, bright = np.zeros((8, 8, 8, 1), np.float32), np.ones((8, 8, 8, 1), np.float32)
        >>> chosen = ga.Disagreement(student, teacher, np.concatenate([dark, bright]), keep=0.5)
        >>> labels = np.zeros(8, int)
        >>> int(chosen.mask(bright, labels).sum()), int(chosen.mask(dark, labels).sum())
        (0, 8)
    """

    name = "disagreement"

    def __init__(
        self, student: Any, teacher: Any, x: np.ndarray, *, keep: float = 0.25, seed: int = 0
    ) -> None:
        if not 0 < keep <= 1:
            raise InvalidInputError(f"`keep` must be in (0, 1]. Received: {keep!r}. Try 0.25.")
        self._student, self._teacher = answer_function(student), answer_function(teacher)
        self._x, self._keep = x, keep
        self._seed = derive_seed(seed, "disagreement")
        self.refresh()

    def refresh(self) -> None:
        """Calibrates anew, after the student has changed."""
        self.scale = _scale_for(self._scores(self._x), self._keep)

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `Filter.mask`."""
        del y
        return content_uniforms(self._seed, x) * self.scale < self._scores(x)

    def _scores(self, x: np.ndarray) -> np.ndarray:
        return disagreement(self._teacher(x), self._student(x))


class LabelMixing:
    """GAN samples between classes: part of another class' vector goes into the generator.

    The asked-for class keeps at least half; soft labels come from the teacher.

    Args:
        source: Its GAN must have a `ClassEmbedding`, as those of `build_generator` have. Where
            the generator also has class-conditional batch norm, that keeps the asked-for class.
        num_classes: The number of classes.
        largest_share: Largest share of the other class, in (0, 0.5]; drawn uniformly from 0 on.
        seed: Seed of the other class and its share.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> gan = ga.TrainedGenerator(ga.build_generator(spec, 16, width=8), num_classes=2)
        >>> between = ga.LabelMixing(ga.GanSource(gan), num_classes=2, largest_share=0.3)
        >>> between.sample(np.array([0, 1, 1]), 0).shape
        (3, 8, 8, 1)
    """

    def __init__(
        self, source: GanSource, num_classes: int, *, largest_share: float = 0.5, seed: int = 0
    ) -> None:
        if not 0 < largest_share <= 0.5:
            raise InvalidInputError(
                f"`largest_share` must be in (0, 0.5]. Received: {largest_share!r}. Try 0.5."
            )
        self._source, self._num_classes = source, num_classes
        self._largest, self._seed = largest_share, seed
        generator = source.gan.ema_generator
        embeddings = [layer for layer in generator.layers if isinstance(layer, ClassEmbedding)]
        if len(embeddings) != 1:
            raise InvalidInputError(
                f"Labels are mixed in the generator's one ClassEmbedding. Received: "
                f"{len(embeddings)} in {generator.name!r}. Use a generator of build_generator."
            )
        self._embedding = embeddings[0]
        network = _from_embedding(generator, self._embedding)
        self._forward = tf.function(
            lambda *inputs: network(inputs, training=False), reduce_retracing=True
        )

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        noise = self._source.noise(labels, start_index)
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        draws = uniform_rows(derive_seed(self._seed, "label_mixing"), indices, 2).numpy()
        step = 1 + (draws[:, 0] * (self._num_classes - 1)).astype(np.int64)
        other = (labels + step) % self._num_classes
        share = (draws[:, 1:] * self._largest).astype(np.float32)
        own, partner = (np.asarray(self._embedding(rows)) for rows in (labels, other))
        vectors = (1 - share) * own + share * partner
        inputs = (noise, vectors, labels.astype(np.int32))
        parts = []
        for start in range(0, len(labels), _BATCH):
            batch = [rows[start : start + _BATCH] for rows in inputs]
            parts.append(self._forward(*map(tf.constant, batch)).numpy())
        return np.asarray(self._source.gan.harden(np.concatenate(parts)), np.float32)

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        return {
            "source": "label_mixing",
            "of": self._source.describe(),
            "largest_share": self._largest,
            "seed": self._seed,
        }


def _scale_for(scores: np.ndarray, keep: float) -> float:
    """The s for which the mean of min(1, score / s) is `keep`; 0 keeps all that scores above 0."""
    positive = scores[scores > 0]
    if len(positive) <= keep * len(scores):
        return 0.0
    low, high = 0.0, float(scores.sum() / (keep * len(scores)))
    for _ in range(60):
        middle = (low + high) / 2
        if np.minimum(1.0, scores / middle).mean() > keep:
            low = middle
        else:
            high = middle
    return high


def _from_embedding(generator: keras.Model, embedding: ClassEmbedding) -> keras.Model:
    """The generator with the class vector as a further input in place of its embedding."""
    latent, label = generator.inputs
    inputs = [latent, embedding.output, label]
    return keras.Model(inputs, generator.outputs[0], name=f"{generator.name}_of_class_vectors")
