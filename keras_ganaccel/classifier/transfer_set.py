"""The transfer set: what a student is trained on, each sample answered by the teacher once."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.transfer import LOGITS, AugmentedSamples, answered
from keras_ganaccel.classifier.transfer_folder import TransferFolder, digest_of, unfinished
from keras_ganaccel.classifier.transfer_parts import Columns, TransferPart, held_part, layout_of
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.mixing.interleave import mixed_batches
from keras_ganaccel.mixing.order import Schedule
from keras_ganaccel.pipelines import without_autotuner
from keras_ganaccel.seeds import derive_seed

MIXING_SCHEDULES = ("constant", "generated_first")
_REAL, _GENERATED = "real", "generated"
# What takes more is kept on disk.
_MOST_HELD = 2**26
# Samples that tell one set from another.
_LOOKED_AT = 16

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class TransferSet:
    """Samples with their labels and the teacher's answers: what a student is trained on.

    Made by `TransferSet.make` of real samples, to which `beside` adds generated ones; `read` opens
    one that was written to a folder. Each sample is augmented once, and the teacher is asked once
    about what comes out. `batches` streams it in the order of `mix_datasets`: the order is a
    function of (seed, sample index) alone, so that a training can be taken up at any step. Memory
    does not grow with the set: what takes more than 64 MB is read from shards.

    Args:
        real: The real samples.
        generated: The generated ones, or None.
        generated_fraction: Their share in the stream, in [0, 1).
        schedule: ``"constant"``, or ``"generated_first"``: from twice the share down to none.
        seed: Seed of the order.
        augmentation: How the samples were augmented.
        sources: Names of the sources that samples come from, by their number.
        folder: Where the set is kept; None for one in memory.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((40, 8, 8, 1), np.float32), np.arange(40) % 2
        >>> torn = lambda x: np.full((len(x), 2), 0.5)
        >>> transfer = ga.TransferSet.make(torn, x, y, num_classes=2, size=100)
        >>> transfer = transfer.beside(torn, ga.Smote.fit(x, y).sample(y, 0), y, 0.5)
        >>> images, targets, weights = next(iter(transfer.batches(steps=10, batch_size=16)))
        >>> images.shape, sorted(targets), weights.shape
        (TensorShape([16, 8, 8, 1]), ['label', 'teacher_logits'], TensorShape([16]))
    """

    real: TransferPart
    generated: TransferPart | None = None
    generated_fraction: float = 0.0
    schedule: str = "constant"
    seed: int = 0
    augmentation: tuple[str, ...] = ()
    sources: tuple[str, ...] = (_REAL,)
    folder: Path | None = None
    _keeper: Any = None

    @classmethod
    def make(
        cls,
        teacher: Any,
        x: np.ndarray,
        y: np.ndarray,
        *,
        num_classes: int,
        size: int | None = None,
        augmentation: Sequence[str] = ("shift", "cutout", "mixup"),
        seed: int = 0,
        most: int | None = None,
        weight: np.ndarray | None = None,
        folder: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> TransferSet:
        """Augments real samples and asks the teacher about what comes out.

        Called again after an interruption, with the same arguments and folder, it goes on after
        the last shard that was written, to the same set; called again on a finished one it returns
        at once.

        Args:
            teacher: The teacher that answers: a Keras model, something with ``predict_proba``, or a
                callable that returns probabilities.
            x: Samples as classifiers take them, float32 ``(n, ...)``.
            y: Integer labels ``(n,)``, -1 for none, or shares ``(n, num_classes)``.
            num_classes: The number of classes.
            size: Samples to make; None makes 20,000, or as many as fit in 256 MiB (without
                augmentation: each sample once).
            augmentation: Policies out of shift, flip, cutout, mixup, cutmix.
            seed: Seed of the samples' choice, augmentation and order.
            most: Upper bound of the size, such as the samples that a training takes.
            weight: Sample weights ``(n,)``.
            folder: Where the shards go; None keeps a small set in memory, and a large one in a
                temporary folder that vanishes with it.
            progress: Called with the samples made and their number.

        Raises:
            InvalidInputError: No samples, an unknown policy, or a folder with another set.
            DamagedFileError: A shard of the set in the folder is damaged.
        """
        made = AugmentedSamples(
            x,
            y,
            num_classes=num_classes,
            size=size,
            augmentation=augmentation,
            seed=derive_seed(seed, "transfer"),
            most=most,
            weight=weight,
        )
        place = None if folder is None else Path(folder)
        request = _request(made, x, y, seed, augmentation)
        part, keeper = _made(place, _REAL, request, made, teacher, 0, progress)
        return cls(
            real=part,
            seed=seed,
            augmentation=tuple(augmentation),
            folder=place,
            _keeper=keeper,
        )

    @classmethod
    def for_recipe(
        cls,
        recipe: Recipe,
        teacher: Any,
        x: np.ndarray,
        y: np.ndarray,
        *,
        num_classes: int,
        seed: int = 0,
        weight: np.ndarray | None = None,
        folder: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> TransferSet:
        """Makes the set of real samples that a recipe's training takes; see `make`."""
        return cls.make(
            teacher,
            x,
            y,
            num_classes=num_classes,
            size=recipe.transfer_size,
            augmentation=recipe.augmentation,
            seed=seed,
            most=recipe.samples,
            weight=weight,
            folder=folder,
            progress=progress,
        )

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> TransferSet:
        """Opens a set that was written to a folder.

        Raises:
            MissingFileError: There is no finished set, or a shard is missing.
            DamagedFileError: What the folder says of itself is damaged.
        """
        stored = TransferFolder(Path(folder))
        real, generated = stored.read(_REAL), stored.read(_GENERATED)
        if real is None:
            raise unfinished(Path(folder))
        entry, part = real
        mixture = {} if generated is None else generated[0].request
        return cls(
            real=part,
            generated=None if generated is None else generated[1],
            generated_fraction=mixture.get("generated_fraction", 0.0),
            schedule=mixture.get("schedule", "constant"),
            seed=entry.request["seed"],
            augmentation=tuple(entry.request["augmentation"]),
            sources=tuple(mixture.get("sources", (_REAL,))),
            folder=Path(folder),
        )

    def beside(
        self,
        teacher: Any,
        x: Any,
        y: np.ndarray,
        generated_fraction: float,
        *,
        schedule: str = "constant",
        weight: float = 1.0,
        seed: int | None = None,
        most: int | None = None,
        source: str = _GENERATED,
        progress: Progress | None = None,
    ) -> TransferSet:
        """Adds generated samples, augmented and answered as the real ones are.

        Sets that differ by this alone have the same real samples. (Left as they are, generated
        samples would make an easier lesson, and even worthless ones would seem to help a student
        that trains briefly.)

        Args:
            teacher: The teacher that answers.
            x: The samples: an array, or what `AugmentedSamples` takes.
            y: Their classes; -1 for none.
            generated_fraction: Their share in the stream, in [0, 1).
            schedule: ``"constant"``, or ``"generated_first"``: from twice the share down to none.
            weight: Their sample weight.
            seed: Seed of their choice and augmentation; None takes the set's.
            most: Upper bound of their number, such as what a training takes of them.
            source: What their source is called.
            progress: Called with the samples made and their number.

        Returns:
            The set with both; one in a folder is written there.

        Raises:
            InvalidInputError: A value out of range, no samples, or a folder with another set.
        """
        check_mixture(generated_fraction, schedule)
        seed = self.seed if seed is None else seed
        made = AugmentedSamples(
            x,
            y,
            num_classes=self.real.layout.num_classes,
            augmentation=self.augmentation,
            seed=derive_seed(seed, "transfer"),
            most=most,
            weight=np.full(len(x), weight, np.float32),
        )
        sources = (_REAL, source)
        request = {
            **_request(made, x, y, seed, self.augmentation),
            "generated_fraction": generated_fraction,
            "schedule": schedule,
            "weight": weight,
            "sources": list(sources),
        }
        part, keeper = _made(self.folder, _GENERATED, request, made, teacher, 1, progress)
        return dataclasses.replace(
            self,
            generated=part,
            generated_fraction=generated_fraction,
            schedule=schedule,
            sources=sources,
            _keeper=(self._keeper, keeper),
        )

    def batches(
        self,
        steps: int,
        batch_size: int,
        *,
        start_step: int = 0,
        with_source: bool = False,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Streams a training's batches, in an order that is a function of (seed, index) alone.

        Args:
            steps: Steps of the whole training, one batch each.
            batch_size: Samples per step over all replicas.
            start_step: Steps that were taken before.
            with_source: Append the number of each sample's source, an index of `sources`.
            input_context: With several input pipelines, each reads its own contiguous slice of
                every batch.

        Returns:
            Batches ``(x, {"label", "teacher_logits"}, weight)``, which `Distiller` takes.
        """
        batches = mixed_batches(
            self.real.blocks(),
            None if self.generated is None else self.generated.blocks(),
            self._fraction(steps * batch_size),
            seed=derive_seed(self.seed, "order"),
            samples=steps * batch_size,
            batch_size=batch_size,
            start_index=start_step * batch_size,
        )
        pipelines = input_context.num_input_pipelines if input_context else 1
        share = batch_size // pipelines
        first = share * (input_context.input_pipeline_id if input_context else 0)

        @tf.autograph.experimental.do_not_convert
        def delivered(columns: dict[str, tf.Tensor]) -> Any:
            own = {
                name: tf.ensure_shape(column[first : first + share], [share, *column.shape[1:]])
                for name, column in columns.items()
            }
            targets = {name: own[name] for name in ("label", LOGITS)}
            end = (own["source"],) if with_source else ()
            return (own["x"], targets, own["weight"], *end)

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return without_autotuner(batches.map(delivered).with_options(options))

    def _fraction(self, samples: int) -> float | Schedule:
        """The share of generated samples, or its course over a training."""
        if self.generated is None or self.schedule == "constant":
            return self.generated_fraction
        slope = 2.0 * self.generated_fraction / samples

        def falling(index: tf.Tensor) -> tf.Tensor:
            left = tf.cast(samples - index, tf.float64)
            return tf.clip_by_value(slope * left, 0.0, 1.0)

        return falling


def _made(
    folder: Path | None,
    name: str,
    request: dict[str, Any],
    samples: AugmentedSamples,
    teacher: Any,
    source: int,
    progress: Progress | None,
) -> tuple[TransferPart, Any]:
    """Makes a part, and what keeps its folder from vanishing."""
    layout = layout_of(samples)

    def made_from(first: int) -> Iterator[Columns]:
        return _told(answered(samples, teacher, first), first, samples.size, progress)

    if folder is None and samples.size * layout.nbytes <= _MOST_HELD:
        return held_part(layout, samples.size, made_from(0), source), None
    keeper = None
    if folder is None:
        keeper = tempfile.TemporaryDirectory(prefix="ganaccel-transfer-")
        folder = Path(keeper.name)
    stored = TransferFolder(folder)
    return stored.write(name, request, layout, samples.size, made_from, source), keeper


def _request(
    samples: AugmentedSamples, x: Any, y: Any, seed: int, augmentation: Sequence[str]
) -> dict[str, Any]:
    """What tells a part from every other one."""
    rows = np.unique(np.linspace(0, len(x) - 1, _LOOKED_AT).astype(int))
    return {
        "size": samples.size,
        "of": len(x),
        "seed": seed,
        "augmentation": list(augmentation),
        "samples": digest_of(np.asarray(x[rows], np.float32), np.asarray(y)),
    }


def check_mixture(generated_fraction: float, schedule: str) -> None:
    """Refuses a share or a schedule that does not exist.

    Raises:
        InvalidInputError: It does not.
    """
    if not 0.0 <= generated_fraction < 1.0:
        raise InvalidInputError(
            f"`generated_fraction` must be in [0, 1). Received: {generated_fraction}. "
            "Pass 0 to train on real data only."
        )
    if schedule not in MIXING_SCHEDULES:
        raise InvalidInputError(
            f"Unknown `schedule`. Received: {schedule!r}. {nearest(schedule, MIXING_SCHEDULES)}"
        )


def _told(
    made: Iterator[Columns], first: int, size: int, progress: Progress | None
) -> Iterator[Columns]:
    done = first
    for columns in made:
        done += len(columns["x"])
        yield columns
        if progress is not None:
            progress(done, size)
