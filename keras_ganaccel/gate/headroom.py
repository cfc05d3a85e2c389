"""Headroom: is there anything that a generated pool could gain?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.gate.arms import REAL_ONLY, Arm
from keras_ganaccel.gate.compare import (
    PairedComparison,
    Progress,
    Score,
    TeacherFactory,
    check_pairs,
)
from keras_ganaccel.gate.statistics import PairedTest, paired_test
from keras_ganaccel.words import FEW_ROWS, interval, percent, points

# Half a point: what a generated pool must have to gain before one is made.
LEAST_HEADROOM = 0.005


@dataclass(frozen=True)
class Headroom:
    """How far the student stays behind its teacher.

    Args:
        teacher: Scores of the pairs' teachers, one per pair.
        labels_only: Scores of the student, trained on the labels with augmentation.
        distilled: Scores of the student, distilled on augmented real samples.
        gap: The teacher's accuracy less the distilled student's, and its interval.
        least: The gap from which on a pool can be worth its while.
        rows: Labelled rows, each of which is held out once in a round of folds.
        seconds: Spent.

    Example:
        >>> import keras_ganaccel as ga
        >>> behind = ga.paired_test([0.05, 0.06, 0.04])
        >>> of_teacher, of_student = (ga.Score(0.98, 0.1, 1.0),), (ga.Score(0.93, 0.3, 1.0),)
        >>> measured = of_teacher, of_student, of_student
        >>> found = ga.Headroom(*measured, gap=behind, least=0.005, rows=400, seconds=3.0)
        >>> found.present
        True
    """

    teacher: tuple[Score, ...]
    labels_only: tuple[Score, ...]
    distilled: tuple[Score, ...]
    gap: PairedTest
    least: float
    rows: int
    seconds: float

    @property
    def present(self) -> bool:
        """Whether a transfer set could help: the mean gap is large enough."""
        return self.gap.mean >= self.least

    @staticmethod
    def mean_accuracy(scores: Sequence[Score]) -> float:
        """The mean over the pairs."""
        return float(np.mean([score.accuracy for score in scores]))

    def finding(self) -> str:
        """Says it in one sentence, with what it was counted on."""
        teacher, distilled = map(self.mean_accuracy, (self.teacher, self.distilled))
        counted = f"Over {len(self.teacher)} folds of {self.rows:,} labelled rows"
        if self.rows < FEW_ROWS:
            counted += " (too few to tell much)"
        side = "behind it" if self.gap.mean >= 0 else "ahead of it"
        verdict = (
            "there may be something to gain"
            if self.present
            else "no more than half a point is to be gained by generated data; choose a better "
            "teacher or an abler student first"
        )
        return (
            f"{counted} the teacher reaches {percent(teacher)}, the student distilled from it on "
            f"real data {percent(distilled)}, {points(self.gap.mean)} {side} "
            f"(95 % interval: {interval(-self.gap.high, -self.gap.low, 1)}): {verdict}."
        )


def headroom(
    student: keras.Model,
    teacher: TeacherFactory,
    x: np.ndarray,
    y: np.ndarray,
    *,
    num_classes: int,
    recipe: Recipe | None = None,
    pairs: int = 5,
    least: float = LEAST_HEADROOM,
    confidence: float = 0.95,
    seed: int = 0,
    reinitialize: bool = False,
    from_logits: bool | None = None,
    state_file: str | Path | None = None,
    progress: Progress | None = None,
) -> Headroom:
    """Compares teacher and student by cross-validation, before any generator is trained.

    Where the student distilled on real samples already reaches its teacher, no transfer set can
    help: it can only bring the student nearer to the teacher.

    Args:
        student: As in `utility_gate`; likewise all others that are not explained here. With the
            same state file, `utility_gate` takes over what was measured here.
        teacher: Trains a teacher.
        x: Samples.
        y: Labels.
        num_classes: The number of classes.
        recipe: How each student is trained.
        pairs: Folds that are measured, at least two.
        least: The gap in accuracy that counts as headroom.
        confidence: Level of the gap's interval.
        seed: Seed of everything random.
        reinitialize: Each pair starts from new weights.
        from_logits: What the student puts out.
        state_file: Where results are kept.
        progress: Called as ``progress(done, total, text)``.

    Returns:
        The scores and the gap.

    Raises:
        InvalidInputError: Too few pairs, or a class with one sample only.

    Example:
        >>> import keras_ganaccel as ga
        >>> import keras
        >>> data = ga.load_data("digits", labels_per_class=10)
        >>> x, y = data.arrays("train")
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        >>> student = keras.Sequential(layers)
        >>> def teacher(x, y, seed):
        ...     return ga.build_teacher(data.spec, x, y, members=("svm",), seed=seed)
        >>> recipe = ga.Recipe(steps=1, augmentation=())
        >>> found = ga.headroom(student, teacher, x, y, num_classes=10, recipe=recipe, pairs=2)
        >>> found.rows, found.gap.mean > 0
        (80, True)
    """
    check_pairs(pairs, 2)
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
    real_only = Arm(REAL_ONLY)
    rows = []
    with closing(comparison):
        for pair in range(pairs):
            comparison.report(pair, pairs, f"headroom, pair {pair + 1}")
            rows.append(
                (
                    comparison.teacher_score(pair),
                    comparison.labels_score(pair),
                    comparison.arm_score(real_only, pair),
                )
            )
    comparison.report(pairs, pairs, "headroom")
    teachers, labels_only, distilled = (tuple(column) for column in zip(*rows, strict=True))
    gap = paired_test(
        [best.accuracy - own.accuracy for best, own in zip(teachers, distilled, strict=True)],
        folds=comparison.folds,
        confidence=confidence,
    )
    seconds = sum(score.seconds for row in rows for score in row)
    return Headroom(teachers, labels_only, distilled, gap, least, len(comparison.y), seconds)
