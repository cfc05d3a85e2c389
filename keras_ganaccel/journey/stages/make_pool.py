"""The stage that writes the pools of generated samples, filtered and answered by the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from keras_ganaccel.errors import RunFailedError
from keras_ganaccel.generated.coverage import LabelMixing
from keras_ganaccel.generated.filters import (
    ConfidenceBand,
    Filter,
    NearDuplicates,
    TeacherAgreement,
)
from keras_ganaccel.generated.pool import PoolFacts, write_pool
from keras_ganaccel.generated.rejection import (
    DensityRatio,
    DiscriminatorRejection,
    discriminator_score,
)
from keras_ganaccel.generated.sources import GanSource, Source
from keras_ganaccel.journey.context import Journey, Stage
from keras_ganaccel.journey.measure import balanced_samples
from keras_ganaccel.journey.stages import train_generator
from keras_ganaccel.words import percent

# What the filters that compare densities are calibrated on.
_CALIBRATION_SAMPLES = 2000


@dataclass(frozen=True)
class Record:
    """What the stage found.

    Args:
        pools: Folders of the pools by their names, relative to the run folder or absolute.
        notes: What the filters kept, or why there is none.
    """

    pools: Mapping[str, str]
    notes: list[str] = field(default_factory=list)


def make_pool(journey: Journey) -> Record:
    """Writes the filtered pools that the gate compares, with the teacher's answers."""
    config = journey.config
    if config.reuse.pool is not None:
        return Record({"gan": str(Path(config.reuse.pool).absolute())})
    generator = train_generator.STAGE.read(journey)
    if generator is None or generator.ledger is None:
        return Record({})
    source = GanSource(train_generator.load_generator(journey), seed=journey.seed("pool"))
    try:
        facts = _write_pool(journey, source)
    except RunFailedError as failure:
        # A generator that the filters reject is a finding, not the end of the run.
        return Record({}, [f"The pool was given up. {failure}"])
    pools = {"gan": "pool"}
    if "gan_disagreement" in config.gate.arms and config.reuse.generator is None:
        pools["gan_between"] = "pool_between"
        _write_pool_between(journey, source)
    return Record(pools, _acceptance_notes(facts))


def _acceptance_notes(facts: PoolFacts) -> list[str]:
    kept = {
        name: float(np.mean([share for share in shares if share is not None]))
        for name, shares in facts.acceptance.items()
    }
    return [f"The filter {name} kept {percent(share, 0)}." for name, share in kept.items()]


def _write_pool(journey: Journey, source: Source) -> PoolFacts:
    settings = journey.config.pool
    available: dict[str, Callable[[], Filter]] = {
        "teacher_agreement": lambda: TeacherAgreement(journey.teacher),
        "confidence_band": lambda: ConfidenceBand(journey.teacher),
        "near_duplicates": lambda: NearDuplicates(journey.train[0]),
        "discriminator": lambda: _discriminator_filter(journey),
        "density_ratio": lambda: DensityRatio(
            train_generator.feature_extractor(journey),
            *_labelled(journey.train),
            *_calibration(journey),
        ),
    }
    return write_pool(
        journey.run.path / "pool",
        source,
        settings.size,
        num_classes=journey.data.spec.num_classes,
        filters=[available[each]() for each in settings.filters],
        teacher=journey.teacher,
        seed=journey.seed("pool", "classes"),
        progress=journey.progress.advance,
    )


def _write_pool_between(journey: Journey, source: GanSource) -> None:
    """Samples between classes, for the student's doubts to choose from."""
    classes = journey.data.spec.num_classes
    write_pool(
        journey.run.path / "pool_between",
        LabelMixing(source, classes, seed=journey.seed("pool", "between")),
        journey.config.pool.size,
        num_classes=classes,
        teacher=journey.teacher,
        seed=journey.seed("pool", "classes"),
        progress=journey.progress.advance,
    )


def _discriminator_filter(journey: Journey) -> DiscriminatorRejection:
    path = journey.run.artifacts / "discriminator.keras"
    network = keras.saving.load_model(path, compile=False, safe_mode=True)
    return DiscriminatorRejection(
        discriminator_score(network, journey.data.spec),
        *_calibration(journey),
        seed=journey.seed("pool", "filter"),
    )


def _calibration(journey: Journey) -> tuple[np.ndarray, np.ndarray]:
    """Generated samples that are not the pool's, and their classes."""
    return balanced_samples(
        train_generator.load_generator(journey),
        _CALIBRATION_SAMPLES,
        journey.seed("pool", "calibration"),
    )


def _labelled(data: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    x, y = data
    return x[y >= 0], y[y >= 0]


def summary(record: Record) -> str:
    """Says what the filters kept."""
    return " ".join(record.notes) or "nothing to generate"


STAGE = Stage("pool", make_pool, summary, Record)
