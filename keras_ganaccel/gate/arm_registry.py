"""Which arms there are, for runs and benchmarks alike: what they draw on and how it is used."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.gate.arms import Arm
from keras_ganaccel.generated.candidates import Pool, joined, unasked
from keras_ganaccel.generated.filters import Filter
from keras_ganaccel.generated.row_source import RowLayout
from keras_ganaccel.generated.sources import make_source
from keras_ganaccel.mixing.plan import class_targets, spread_labels
from keras_ganaccel.modality.registry import modality_of

# Where the student's doubts choose, this many samples are drawn for each that is kept.
CHOICE = 4

PoolFactory = Callable[[np.ndarray, np.ndarray, int], Pool]


@dataclass(frozen=True)
class ArmPlan:
    """What an arm is made of.

    Args:
        sources: Names of the pools that it draws on, in equal shares.
        schedule: See `Arm`.
        filtered: Whether the teacher's judgement of each sample counts.
        doubted: Whether the student's doubts choose.
        unasked: Whether the classes that were asked for are left out, where hardly any sample
            shows them.
        learnt_from_labels: See `Arm`.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.ArmPlan(("gan", "smote"), doubted=True).schedule
        'constant'
    """

    sources: tuple[str, ...]
    schedule: str = "constant"
    filtered: bool = False
    doubted: bool = False
    unasked: bool = False
    learnt_from_labels: bool = True


#: The arms that are more than a pool of their own name.
PLANS: Mapping[str, ArmPlan] = types.MappingProxyType(
    {
        "gan": ArmPlan(("gan",)),
        "gan_filtered": ArmPlan(("gan",), filtered=True),
        "gan_first": ArmPlan(("gan",), schedule="generated_first"),
        "gan_filtered_first": ArmPlan(("gan",), schedule="generated_first", filtered=True),
        "gan_early": ArmPlan(("gan_early",), unasked=True),
        "gan_disagreement": ArmPlan(("gan", "gan_between"), doubted=True),
        "gan_and_pca_disagreement": ArmPlan(
            ("gan", "gan_between", "gan_early", "pca_gaussian"), doubted=True
        ),
        "pca": ArmPlan(("pca_gaussian",)),
        "pca_disagreement": ArmPlan(("pca_gaussian",), doubted=True),
        "unlabelled": ArmPlan(("unlabelled",), learnt_from_labels=False),
        "oracle": ArmPlan(("unlabelled",), learnt_from_labels=False),
    }
)


def plan_of(name: str) -> ArmPlan:
    """The plan of an arm; of a name that has none, a pool of that name as it is.

    Example:
        >>> plan_of("pca_disagreement").sources, plan_of("smote").sources
        (('pca_gaussian',), ('smote',))
    """
    return PLANS.get(name, ArmPlan((name,)))


def build_arm(
    name: str,
    pools: Mapping[str, Pool | PoolFactory],
    *,
    generated_fraction: float,
    generated_weight: float = 1.0,
    judge: Callable[[Any], Filter] | None = None,
    seconds: float = 0.0,
    plan: ArmPlan | None = None,
) -> Arm | None:
    """Builds an arm out of the pools that are at hand.

    Args:
        name: Its name in the ledger; see `plan_of`.
        pools: Pools, or functions that fit one, by the name of their source.
        generated_fraction: See `Arm`; likewise the weight and the seconds.
        generated_weight: Sample weight of the pool's samples.
        judge: From a teacher to the filter of a filtered arm.
        seconds: What making the pools has cost.
        plan: Another plan than that of the name.

    Returns:
        The arm, or None if none of its pools is at hand.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> pool = ga.Pool(np.zeros((4, 8, 8, 1), np.float32), np.array([0, 0, 1, 1]))
        >>> ga.build_arm("gan_first", {"gan": pool}, generated_fraction=0.5).schedule
        'generated_first'
    """
    plan = plan or plan_of(name)
    found = [pools[source] for source in plan.sources if source in pools]
    if not found:
        return None
    pool = _together(found)
    return Arm(
        name,
        _without_classes(pool) if plan.unasked else pool,
        generated_fraction,
        schedule=plan.schedule,
        filter=judge if plan.filtered else None,
        learnt_from_labels=plan.learnt_from_labels,
        generated_weight=generated_weight,
        doubted=1.0 / CHOICE if plan.doubted else None,
        seconds=seconds,
        source=plan.sources[0],
    )


def fitted_pool(source: str, size: int, num_classes: int) -> PoolFactory:
    """A pool that costs nothing, of a source that is fitted to the samples it is given.

    Args:
        source: Its name, see `make_source`.
        size: Samples to draw, evenly of all classes.
        num_classes: The number of classes.
    """

    def make(x: np.ndarray, y: np.ndarray, seed: int) -> Pool:
        labels = spread_labels(class_targets(size, num_classes), seed)
        return Pool(make_source(source, x=x, y=y, seed=seed).sample(labels, 0), labels)

    return make


def row_pool(source: str, size: int, spec: Spec, layout: RowLayout) -> PoolFactory:
    """A pool of table rows that start from the real ones it is fitted to.

    The classes are as frequent as among those, and are the teacher's to name.

    Args:
        source: Its name, see `make_source`.
        size: Rows to draw.
        spec: The description of the table.
        layout: Which places of its rows belong together.
    """

    def make(x: np.ndarray, y: np.ndarray, seed: int) -> Pool:
        order = np.random.default_rng(seed).permutation(len(y))
        labels = np.asarray(y, np.int64)[order[np.arange(size) % len(y)]]
        rows = make_source(source, x=x, y=y, layout=layout, seed=seed).sample(labels, 0)
        modality = modality_of(spec)
        valid = modality.harden(modality.relax(rows, spec), spec)
        return unasked(Pool(valid, labels))

    return make


def _together(pools: Sequence[Pool | PoolFactory]) -> Pool | PoolFactory:
    if len(pools) == 1:
        return pools[0]
    given = [pool for pool in pools if isinstance(pool, Pool)]
    if len(given) == len(pools):
        return joined(*given)

    def make(x: np.ndarray, y: np.ndarray, seed: int) -> Pool:
        return joined(*(each if isinstance(each, Pool) else each(x, y, seed) for each in pools))

    return make


def _without_classes(pool: Pool | PoolFactory) -> Pool | PoolFactory:
    if isinstance(pool, Pool):
        return unasked(pool)
    return lambda x, y, seed: unasked(pool(x, y, seed))
