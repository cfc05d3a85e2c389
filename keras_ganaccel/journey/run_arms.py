"""The arms of a run: what its student may learn from beside real samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_ganaccel.gate.arm_registry import (
    PoolFactory,
    build_arm,
    fitted_pool,
    plan_of,
    row_pool,
)
from keras_ganaccel.gate.arms import Arm
from keras_ganaccel.generated.candidates import Pool
from keras_ganaccel.generated.filters import TeacherAgreement
from keras_ganaccel.generated.row_source import RowLayout
from keras_ganaccel.generated.sources import ROW_SOURCES
from keras_ganaccel.journey.context import Journey
from keras_ganaccel.journey.stages import make_pool, train_generator
from keras_ganaccel.modality.registry import modality_of


def arms_of(journey: Journey) -> dict[str, Arm]:
    """The candidates beside real data only, by name."""
    config = journey.config
    folders = make_pool.STAGE.done(journey).pools
    generator = train_generator.STAGE.read(journey)
    pools: dict[str, Pool | PoolFactory] = {
        name: Pool.stored(journey.run.path / folder) for name, folder in folders.items()
    }
    if pools:
        classes = journey.data.spec.num_classes
        pools["pca_gaussian"] = fitted_pool("pca_gaussian", config.pool.size, classes)
    spec = journey.data.spec
    layout = modality_of(spec).row_layout(spec)
    if layout is not None:
        for name in ROW_SOURCES:
            pools[name] = row_pool(name, config.pool.size, spec, RowLayout(*layout))
    unlabelled = journey.data.unlabelled_arrays()
    if unlabelled is not None:
        pools["unlabelled"] = Pool(unlabelled, np.full(len(unlabelled), -1, np.int64))
    arms = {}
    for name in config.gate.arms:
        plan = plan_of(name)
        from_gan = plan.sources[0] == "gan"
        arm = build_arm(
            name,
            pools,
            generated_fraction=config.pool.generated_fraction,
            generated_weight=1.0 if name == "unlabelled" else config.pool.generated_weight,
            judge=TeacherAgreement,
            seconds=generator.seconds if from_gan and generator is not None else 0.0,
            # A pool that was filtered by the run's teacher is filtered by a pair's, too.
            plan=replace(
                plan, filtered=from_gan and not plan.doubted and bool(config.pool.filters)
            ),
        )
        if arm is not None:
            arms[name] = arm
    return arms
