"""The gate: do generated data gain anything, beyond doubt?"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gate.arms import REAL_ONLY, Arm
from keras_ganaccel.gate.compare import (
    PairedComparison,
    Progress,
    Score,
    TeacherFactory,
    check_pairs,
)
from keras_ganaccel.gate.statistics import PairedTest, holm_levels, holm_rejected, paired_test

logger = logging.getLogger(__name__)

LEAST_PAIRS = 5
# Cohen's kappa below which a pool's labels are as good as random.
LEAST_AGREEMENT = 0.1


@dataclass(frozen=True)
class ArmResult:
    """One arm over all its pairs.

    Args:
        arm: What was tried.
        scores: One per pair that it took part in.
        accuracy_gain: Over real data only, with the interval that decides (Holm-corrected); None
            for real data only, and for fewer than two pairs.
        log_loss_gain: By how much the log-loss is lower, with such an interval.
        dropped: Whether it was given up before the last pair.
        seconds: Spent, the pool's making included.

    Example:
        >>> import keras_ganaccel as ga
        >>> scores = tuple(ga.Score(accuracy, 0.4, 1.0) for accuracy in (0.75, 1.0))
        >>> arm = ga.Arm("real_only")
        >>> result = ga.ArmResult(arm, scores, None, None, dropped=False, seconds=2.0)
        >>> result.row()["mean"]
        0.875
    """

    arm: Arm
    scores: tuple[Score, ...]
    accuracy_gain: PairedTest | None
    log_loss_gain: PairedTest | None
    dropped: bool
    seconds: float

    def row(self) -> dict[str, Any]:
        """The arm's row in the ledger."""
        accuracies = [score.accuracy for score in self.scores]
        gain = self.accuracy_gain
        return {
            "name": self.arm.name,
            "source": self.arm.source,
            "validation_accuracy": accuracies,
            "mean": float(np.mean(accuracies)),
            "gain": None if gain is None else gain.mean,
            # No difference of accuracies lies outside, however few its pairs.
            "gain_ci95": None if gain is None else [max(gain.low, -1.0), min(gain.high, 1.0)],
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class GateResult:
    """The gate's decision and what it rests on.

    Args:
        decision: ``"real_only"`` or the name of the arm that is to be used.
        generated_fraction: That arm's; 0 for real data only.
        arms: Every arm, real data only first.
        pairs: Pairs that were compared.
        seconds: Spent by the comparison itself.

    Example:
        >>> import keras_ganaccel as ga
        >>> scores = tuple(ga.Score(accuracy, 0.4, 1.0) for accuracy in (0.75, 1.0))
        >>> real = ga.ArmResult(ga.Arm("real_only"), scores, None, None, dropped=False, seconds=2.0)
        >>> result = ga.GateResult("real_only", 0.0, (real,), pairs=2, seconds=2.0)
        >>> result.ledger()["decision"]
        'real_only'
    """

    decision: str
    generated_fraction: float
    arms: tuple[ArmResult, ...]
    pairs: int
    seconds: float

    def ledger(self) -> dict[str, Any]:
        """The `gate` part of the ledger."""
        return {
            "decision": self.decision,
            "generated_fraction": self.generated_fraction,
            "pairs": self.pairs,
            "arms": [result.row() for result in self.arms],
        }


def utility_gate(
    student: keras.Model,
    teacher: TeacherFactory,
    x: np.ndarray,
    y: np.ndarray,
    arms: Sequence[Arm],
    *,
    num_classes: int,
    recipe: Recipe | None = None,
    pairs: int = LEAST_PAIRS,
    confidence: float = 0.95,
    seed: int = 0,
    reinitialize: bool = False,
    from_logits: bool | None = None,
    state_file: str | Path | None = None,
    progress: Progress | None = None,
) -> GateResult:
    """Decides whether, and which, generated data are used.

    Every arm is trained on the same paired folds of the training labels, from the same weights,
    for the same steps, distilled from the same teacher, which saw the fold's training part only.
    An arm is chosen if its gain over real data only has an interval above zero, in accuracy or in
    log-loss, and the other one is not worse. The intervals come from paired t-tests over the folds,
    see `paired_test`, corrected over all arms and both measures (Holm). Of several such arms the
    one with the largest gain in accuracy is taken. After two pairs and after each
    further one the lower half of the arms is given up as far as it has gained nothing, and so are
    arms whose samples have nothing to do with their classes.

    Args:
        student: A built classifier. It has its own weights again afterwards.
        teacher: ``(x, y, seed) -> teacher``; the teacher may be whatever `members.ask` takes.
        x: The training labels' samples, float32 ``(n, height, width, channels)`` in [0, 1].
        y: Their labels, integers ``(n,)``; -1 rows are left out.
        arms: The candidates; real data only is compared in any case.
        num_classes: The number of classes.
        recipe: How each student is trained.
        pairs: Pairs of trainings per arm, at least five.
        confidence: Level of the intervals.
        seed: Seed of everything random.
        reinitialize: Each pair starts from new weights; otherwise from the student's own.
        from_logits: What the student puts out; None looks at its last layer.
        state_file: Each finished (arm, pair) is written there; a gate that is begun again with
            the same arguments goes on from it, to the same result.
        progress: Called as ``progress(done, total, text)``.

    Returns:
        The decision, every arm, and the seconds spent.

    Raises:
        InvalidInputError: Too few pairs, arms of the same name, or a class with one sample only.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> import numpy as np
        >>> data = ga.load_data("digits", labels_per_class=10)
        >>> x, y = data.arrays("train")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> student = keras.Sequential(layers)
        >>> def teacher(x, y, seed):
        ...     return ga.build_teacher(data.spec, x, y, members=("svm",), seed=seed)
        >>> images = np.random.default_rng(0).random((80, 8, 8, 1), np.float32)
        >>> noise = ga.Pool(images, np.arange(80) % 10)
        >>> arms = [ga.Arm("noise", noise, generated_fraction=0.5)]
        >>> recipe = ga.Recipe(steps=1, augmentation=())
        >>> result = ga.utility_gate(student, teacher, x, y, arms, num_classes=10, recipe=recipe)
        >>> [each.arm.name for each in result.arms]
        ['real_only', 'noise']
    """
    check_pairs(pairs, LEAST_PAIRS)
    candidates = [arm for arm in arms if arm.pool is not None]
    names = [REAL_ONLY, *(arm.name for arm in candidates)]
    if len(set(names)) != len(names):
        raise InvalidInputError(
            f"Arms need names of their own. Received: {names}. Rename one of them."
        )
    comparison = PairedComparison(
        student,
        teacher,
        x,
        y,
        num_classes=num_classes,
        recipe=recipe or Recipe(),
        pairs=pairs,
        seed=seed,
        reinitialize=reinitialize,
        from_logits=from_logits,
        state_file=state_file,
        progress=progress,
    )
    begun = time.perf_counter()
    with closing(comparison):
        scores = _run(comparison, candidates, pairs)
    results = _results(scores, candidates, pairs, comparison.folds, confidence)
    chosen = choose(results, len(candidates), confidence)
    logger.info("The gate chose %s.", chosen.name)
    return GateResult(
        decision=chosen.name,
        generated_fraction=chosen.generated_fraction,
        arms=tuple(results),
        pairs=len(scores[REAL_ONLY]),
        seconds=time.perf_counter() - begun,
    )


def choose(results: Sequence[ArmResult], candidates: int, confidence: float) -> Arm:
    """Picks the arm whose gain is beyond doubt, or real data only.

    Args:
        results: The results of all arms.
        candidates: How many arms were begun, real data only not counted.
        confidence: Level of the intervals.

    Returns:
        The arm.
    """
    p_values = _p_values(results)
    proven = holm_rejected(p_values, 2 * candidates, (1.0 - confidence) / 2.0)
    chosen = next(result for result in results if result.arm.name == REAL_ONLY)
    best = (0.0, 0.0)
    for result in results:
        accuracy, log_loss = result.accuracy_gain, result.log_loss_gain
        if accuracy is None or log_loss is None:
            continue
        name = result.arm.name
        gains = (accuracy.mean, log_loss.mean)
        helps = bool({f"{name}:accuracy", f"{name}:log_loss"} & proven) and min(gains) >= 0.0
        if helps and gains > best and not broken(result.scores):
            chosen, best = result, gains
    return chosen.arm


def surviving(gains: dict[str, tuple[float, float]], pairs: int) -> set[str]:
    """Which arms go on: sequential halving of those that have gained nothing.

    Args:
        gains: Arm -> mean gains in accuracy and in log-loss so far.
        pairs: Pairs so far.

    Returns:
        The names of the arms that go on. In the lower half by log-loss, an arm whose gains are
        both not above zero is given up; so is a single last one, after three pairs.
    """
    if pairs < 2:
        return set(gains)
    ranked = sorted(gains, key=lambda name: gains[name][1])
    lower = ranked[: len(ranked) // 2] if len(ranked) > 1 else ranked[: int(pairs >= 3)]
    return {name for name in gains if name not in lower or max(gains[name]) > 0.0}


def broken(scores: Sequence[Score]) -> bool:
    """Whether a pool's classes have nothing to do with what its samples show.

    Noise and shuffled labels are told by this, without a doubt and at once; a weak generator,
    whose samples may be of use in spite of many wrong ones, is far from it.

    Args:
        scores: The scores of an arm.

    Returns:
        True if the mean agreement of the pairs' teachers with the classes is next to chance.
    """
    known = [score.agreement for score in scores if score.agreement is not None]
    return bool(known) and float(np.mean(known)) < LEAST_AGREEMENT


def _run(
    comparison: PairedComparison, candidates: Sequence[Arm], pairs: int
) -> dict[str, list[Score]]:
    """Scores real data only and the arms that are still in the race, pair by pair."""
    scores: dict[str, list[Score]] = {REAL_ONLY: [], **{arm.name: [] for arm in candidates}}
    running = list(candidates)
    total = pairs * (1 + len(candidates))
    for pair in range(pairs):
        for index, arm in enumerate([Arm(REAL_ONLY), *running]):
            done = pair * (1 + len(candidates)) + index
            comparison.report(done, total, f"pair {pair + 1}, {arm.name}")
            scores[arm.name].append(comparison.arm_score(arm, pair))
        means = {
            arm.name: _mean_gains(scores[arm.name], scores[REAL_ONLY])
            for arm in running
            if pair == 0 or not broken(scores[arm.name])
        }
        kept = surviving(means, pair + 1)
        running = [arm for arm in running if arm.name in kept]
        if candidates and not running:
            break
    comparison.report(total, total, "done")
    return scores


def _gains(own: Sequence[Score], base: Sequence[Score]) -> tuple[list[float], list[float]]:
    pairs = list(zip(own, base, strict=False))
    accuracy = [mine.accuracy - theirs.accuracy for mine, theirs in pairs]
    return accuracy, [theirs.log_loss - mine.log_loss for mine, theirs in pairs]


def _mean_gains(own: Sequence[Score], base: Sequence[Score]) -> tuple[float, float]:
    accuracy, log_loss = _gains(own, base)
    return float(np.mean(accuracy)), float(np.mean(log_loss))


def _results(
    scores: dict[str, list[Score]],
    candidates: Sequence[Arm],
    pairs: int,
    folds: int,
    confidence: float,
) -> list[ArmResult]:
    """The arms with their tests; first at full correction, then each at its step of Holm's."""
    base = scores[REAL_ONLY]
    seconds = sum(score.seconds for score in base)
    results = [ArmResult(Arm(REAL_ONLY), tuple(base), None, None, False, seconds)]
    hypotheses = max(2 * len(candidates), 1)

    def tested(arm: Arm, levels: dict[str, float]) -> ArmResult:
        own = scores[arm.name]
        tests: list[PairedTest | None] = [None, None]
        if len(own) >= 2:
            for index, measure in enumerate(("accuracy", "log_loss")):
                divisor = levels.get(f"{arm.name}:{measure}", hypotheses)
                tests[index] = paired_test(
                    _gains(own, base)[index],
                    folds=folds,
                    confidence=1.0 - (1.0 - confidence) / divisor,
                )
        spent = arm.seconds + sum(score.seconds for score in own)
        return ArmResult(arm, tuple(own), tests[0], tests[1], len(own) < pairs, spent)

    first = [tested(arm, {}) for arm in candidates]
    levels = holm_levels(_p_values(first), hypotheses)
    return [*results, *(tested(arm, levels) for arm in candidates)]


def _p_values(results: Sequence[ArmResult]) -> dict[str, float]:
    """One per arm and measure, of the arms that took part in enough pairs."""
    p_values = {}
    for result in results:
        if result.accuracy_gain is None or result.log_loss_gain is None:
            continue
        if len(result.scores) >= LEAST_PAIRS and not result.dropped:
            p_values[f"{result.arm.name}:accuracy"] = result.accuracy_gain.p_value
            p_values[f"{result.arm.name}:log_loss"] = result.log_loss_gain.p_value
    return p_values
