"""Generated samples as a `tf.data.Dataset`: read from a pool, or made while training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.outputs import probability_logits
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.noise import noise_rows
from keras_ganaccel.generated.pool import PoolFacts, read_facts
from keras_ganaccel.generated.shards import read_shards
from keras_ganaccel.generated.sources import Generator
from keras_ganaccel.mixing.plan import class_targets, spread_labels
from keras_ganaccel.pipelines import without_autotuner
from keras_ganaccel.seeds import derive_seed


class GeneratedDataset(tf.data.Dataset):
    """An unbatched dataset of generated ``(x float32 in [0, 1], y int64)``.

    Made by `GeneratedDataset.pool` or `GeneratedDataset.live`, and used like any other dataset:
    ``mix_datasets(real, GeneratedDataset.pool(folder), 0.5).batch(64)``.

    Attributes:
        facts: What ``pool.json`` says; None for a live one.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     facts = ga.write_pool(f"{folder}/pool", ga.Smote.fit(x, y), 6, num_classes=2)
        ...     generated = ga.GeneratedDataset.pool(f"{folder}/pool")
        ...     [images.shape for images, labels in generated.batch(4)]
        [TensorShape([4, 8, 8, 1]), TensorShape([2, 8, 8, 1])]
    """

    facts: PoolFacts | None = None

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._dataset = without_autotuner(dataset)
        super().__init__(tf.data.experimental.to_variant(self._dataset))

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        """The spec of an element."""
        return self._dataset.element_spec

    @classmethod
    def pool(cls, folder: str | Path, *, soft_labels: bool = False) -> GeneratedDataset:
        """Reads a pool that `write_pool` finished.

        Args:
            folder: The pool's folder.
            soft_labels: Deliver ``{"label", "teacher_logits"}`` as y, which `Distiller` takes.

        Returns:
            A dataset of known cardinality.

        Raises:
            MissingFileError: There is no finished pool.
            InvalidInputError: Soft labels are asked for and were not stored.
        """
        facts = read_facts(folder)
        if soft_labels and facts.teacher_logits is None:
            raise InvalidInputError(
                f"The pool holds no teacher's logits. Received: {str(folder)!r}. "
                "Write it with `teacher`, or pass soft_labels=False."
            )
        paths = [Path(folder) / shard["file"] for shard in facts.shards]
        samples = read_shards(paths, facts.shape, facts.teacher_logits if soft_labels else None)
        sized = samples.apply(tf.data.experimental.assert_cardinality(facts.size))
        result = cls(sized)
        result.facts = facts
        return result

    @classmethod
    def live(
        cls,
        gan: Generator,
        *,
        num_classes: int,
        class_weights: Sequence[float] | None = None,
        seed: int = 0,
        batch_size: int = 256,
    ) -> LiveDataset:
        """Generates inside the pipeline, batch by batch, from a copy of the averaged generator.

        Args:
            gan: A `ConditionalGAN`.
            num_classes: The number of classes.
            class_weights: Relative share of each class; equal shares by default.
            seed: Seed of noise and classes.
            batch_size: Samples generated at a time.

        Returns:
            An endless dataset. A new iteration begins where the last one stopped, to a batch.
            Call its `refresh` (or train with `RefreshGenerated`) to take over what the GAN has
            learnt since.

        Raises:
            InvalidInputError: It is made under ``strategy.scope()``.
        """
        return LiveDataset(gan, num_classes, class_weights, seed, batch_size)


class LiveDataset(GeneratedDataset):
    """See `GeneratedDataset.live`.

    Example:
        >>> import keras_ganaccel as ga
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> gan = ga.TrainedGenerator(ga.build_generator(spec, 16, width=8), num_classes=2)
        >>> live = ga.GeneratedDataset.live(gan, num_classes=2)
        >>> images, labels = next(iter(live.batch(4)))
        >>> images.shape, labels.shape
        (TensorShape([4, 8, 8, 1]), TensorShape([4]))
    """

    def __init__(
        self,
        gan: Generator,
        num_classes: int,
        class_weights: Sequence[float] | None,
        seed: int,
        batch_size: int,
    ) -> None:
        if tf.distribute.has_strategy():
            raise InvalidInputError(
                "A live dataset keeps one copy of the generator. Received: a call under "
                "strategy.scope(). Make it outside of the scope."
            )
        self._gan = gan
        self._copy = keras.models.clone_model(gan.ema_generator)
        self.refresh()
        # One period of labels: as balanced as can be within a batch, and repeated.
        targets = class_targets(max(batch_size, num_classes), num_classes, class_weights)
        period = tf.constant(spread_labels(targets, derive_seed(seed, "live", "labels")), tf.int64)
        noise_seed = derive_seed(seed, "live", "noise")
        position = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)

        @tf.autograph.experimental.do_not_convert
        def generate(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            key = tf.constant(0, tf.int64)
            first = tf.ensure_shape(position.lookup(key), [])
            position.insert(key, first + batch_size)
            indices = first + tf.range(batch_size, dtype=tf.int64)
            labels = tf.gather(period, indices % tf.size(period, tf.int64))
            latents = noise_rows(noise_seed, indices, gan.latent_dim)
            relaxed = self._copy([latents, tf.cast(labels, tf.int32)], training=False)
            return gan.harden(tf.cast(relaxed, tf.float32)), labels

        endless = tf.data.Dataset.counter().map(generate).unbatch()
        super().__init__(endless)

    def refresh(self) -> None:
        """Takes over the GAN's present averaged weights; what is already generated stays."""
        self._copy.set_weights(self._gan.ema_generator.get_weights())


class RefreshGenerated(keras.callbacks.Callback):
    """Refreshes a live dataset every so many training batches.

    Args:
        live: What `GeneratedDataset.live` returned.
        every: Batches between two refreshes.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> gan = ga.TrainedGenerator(ga.build_generator(spec, 16, width=8), num_classes=2)
        >>> live = ga.GeneratedDataset.live(gan, num_classes=2)
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> student = keras.Sequential(layers)
        >>> student.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> refresh = ga.RefreshGenerated(live, every=1)
        >>> history = student.fit(live.batch(4), steps_per_epoch=2, callbacks=[refresh], verbose=0)
        >>> list(history.history)
        ['loss']
    """

    def __init__(self, live: LiveDataset, every: int = 100) -> None:
        super().__init__()
        if every < 1:
            raise InvalidInputError(
                f"`every` must be 1 or more. Received: {every}. Pass a number of batches."
            )
        self._live, self._every, self._batches = live, every, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts, and refreshes when due."""
        self._batches += 1
        if self._batches % self._every == 0:
            self._live.refresh()


def array_dataset(x: np.ndarray, y: np.ndarray, teacher: Any = None) -> tf.data.Dataset:
    """Makes the real side of a mixture, of the same element spec as a pool.

    Args:
        x: Encoded samples, float32, shape ``(n, *sample_shape)``.
        y: Classes, shape ``(n,)``; -1 for unlabelled samples.
        teacher: Asked once for every sample; y is then ``{"label", "teacher_logits"}``.

    Returns:
        An unbatched dataset of known cardinality.
    """
    samples, labels = np.asarray(x, np.float32), np.asarray(y, np.int64)
    if teacher is None:
        return without_autotuner(tf.data.Dataset.from_tensor_slices((samples, labels)))
    logits = probability_logits(ask(teacher, samples))
    soft = {"label": labels, "teacher_logits": logits}
    return without_autotuner(tf.data.Dataset.from_tensor_slices((samples, soft)))
