"""What each protocol trains: its arms, as the samples that they come down to, and their figures."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
from sklearn.metrics import f1_score, recall_score

from keras_ganaccel.benchmarks.students import Figures, Students, nobody
from keras_ganaccel.benchmarks.subject import RARE_CLASSES, Subject
from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.clones import clone
from keras_ganaccel.gate.arm_registry import CHOICE, PoolFactory, build_arm, plan_of
from keras_ganaccel.gate.arms import Arm
from keras_ganaccel.generated.candidates import Pool
from keras_ganaccel.generated.coverage import LabelMixing
from keras_ganaccel.generated.filters import TeacherAgreement
from keras_ganaccel.generated.sources import GanSource, Source
from keras_ganaccel.generated.statistical import PCAGaussian, Smote
from keras_ganaccel.seeds import derive_seed

_SHARE_OF_BASELINE = 0.98


def _sources(subject: Subject) -> Mapping[str, Callable[[], Source]]:
    seed = derive_seed(subject.seed, "source")
    return {
        "gan": lambda: GanSource(subject.generator(), seed=seed),
        "gan_early": lambda: GanSource(subject.generator(early=True), seed=seed),
        "gan_between": lambda: LabelMixing(
            GanSource(subject.generator(), seed=derive_seed(seed, "between")),
            subject.spec.num_classes,
            seed=seed,
        ),
        "pca_gaussian": lambda: PCAGaussian.fit(subject.x, subject.y, seed=seed),
        "smote": lambda: Smote.fit(subject.x, subject.y, seed=seed),
    }


def _arm(subject: Subject, name: str, draw: Callable[[str, int], Pool]) -> Arm:
    """An arm of the registry whose pools are drawn when they are needed.

    Args:
        subject: The subject.
        name: The arm's name.
        draw: From a source's name and a size to the pool.
    """
    plan, size = plan_of(name), subject.settings.pool_size
    each = CHOICE * size // len(plan.sources) if plan.doubted else size

    def pool_of(source: str) -> PoolFactory:
        return lambda x, y, seed: draw(source, each)

    arm = build_arm(
        name,
        {source: pool_of(source) for source in plan.sources},
        generated_fraction=subject.settings.fraction,
        judge=TeacherAgreement,
    )
    assert arm is not None, "each of its sources was given"
    return arm


class Augmentation:
    """P1: a student on labels alone, with augmentation and with pools."""

    arms = ("real", "shift", "shift_cutout", "shift_mixup", "augmented", "gan", "gan_filtered",
            "gan_filtered_first", "pca", "smote")  # fmt: skip
    baseline = "augmented"
    figures = ("accuracy", "int8_accuracy", "log_loss")

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._students = Students(subject, labels_only=True)

    def measure(self, arm: str) -> Figures:
        """Trains and measures the student of an arm."""
        subject, students = self._subject, self._students
        recipe = subject.settings.recipe
        found: Figures = {}
        policies = {
            "real": (),
            "shift": ("shift",),
            "shift_cutout": ("shift", "cutout"),
            "shift_mixup": ("shift", "mixup"),
            self.baseline: recipe.augmentation,
        }
        if arm in policies:
            recipe = subject.with_recipe(augmentation=policies[arm])
            samples = students.real(recipe)
        else:
            samples, found = students.mixed(_arm(subject, arm, subject.drawn(_sources(subject))))
        return {**found, **students.averaged(recipe, samples)}


class Distillation:
    """P2: a student of at most 10,000 parameters, distilled on real samples and on pools."""

    arms = ("labels", "labels_augmented", "kd_plain", "kd", "kd_longer", "gan", "gan_filtered",
            "gan_early", "gan_disagreement", "gan_and_pca_disagreement", "pca",
            "pca_disagreement", "smote", "oracle")  # fmt: skip
    baseline = "kd"
    figures = ("int8_accuracy", "accuracy", "log_loss")

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._students = Students(subject)
        self._doubting: keras.Model | None = None
        self._pools: dict[str, Pool] = {}

    def measure(self, arm: str) -> Figures:
        """Trains and measures the student of an arm."""
        students, recipe = self._students, self._subject.settings.recipe
        found: Figures = {}
        if arm == "kd_longer":
            recipe = self._longer()
            found = {"steps": recipe.steps}
        if arm in ("labels", "kd_plain"):
            recipe = self._subject.with_recipe(augmentation=())
        if arm in ("labels", "labels_augmented", "kd_plain", "kd", "kd_longer"):
            samples = students.real(recipe)
        else:
            built = _arm(self._subject, arm, self._drawn)
            samples, found = students.mixed(built, self._student_in_doubt)
        figures = students.averaged(recipe, samples, labels_only=arm.startswith("labels"))
        return {**found, "step_seconds": students.step_seconds, **figures}

    def _longer(self) -> Recipe:
        """The recipe with the GAN's seconds as more steps."""
        recipe = self._subject.settings.recipe
        if self._students.step_seconds == 0.0:
            self._students.train(recipe, self._students.real(recipe))
        more = self._subject.gan_facts["gan_seconds"] / self._students.step_seconds
        return self._subject.with_recipe(steps=recipe.steps + round(more))

    def _drawn(self, name: str, size: int) -> Pool:
        """A source's first samples, which are the same for all arms: drawn once."""
        if name == "unlabelled":
            return Pool(self._subject.withheld, np.full(len(self._subject.withheld), -1))
        drawn = self._pools.get(name)
        if drawn is None or len(drawn.y) < size:
            drawn = self._pools[name] = self._subject.drawn(_sources(self._subject))(name, size)
        return Pool(drawn.x[:size], drawn.y[:size])

    def _student_in_doubt(self) -> keras.Model:
        """The student that was distilled on real samples, whose doubts choose."""
        if self._doubting is None:
            recipe = self._subject.settings.recipe
            student = self._students.train(recipe, self._students.real(recipe)).student
            self._doubting = clone(student)
        return self._doubting


class TimeToAccuracy:
    """P3: how soon a student reaches what the baseline ends at, nearly."""

    arms = ("kd", "gan", "gan_filtered", "pca")
    baseline = "kd"
    figures = ("seconds_to_target", "steps_to_target", "reached", "accuracy", "pool_seconds")

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._students = Students(subject)

    def measure(self, arm: str) -> Figures:
        """Trains the student of an arm and looks when it reaches the target.

        ``pool_seconds`` are all that the pool has cost, its generator's training included. A step
        counts as the baseline's: student and batches are the same, the machine's moods are not.
        """
        curve, step_seconds = self._baseline
        target = _SHARE_OF_BASELINE * curve[-1][1]
        found: Figures = {}
        if arm != self.baseline:
            samples, found = self._with_pool(arm)
            curve = self._students.curve(self._subject.settings.recipe, samples)
        steps = next((step for step, accuracy in curve if accuracy >= target), None)
        return {
            **found,
            "target": target,
            "reached": float(steps is not None),
            "steps_to_target": steps,
            "step_seconds": step_seconds,
            "seconds_to_target": None if steps is None else steps * step_seconds,
            "accuracy": curve[-1][1],
        }

    @functools.cached_property
    def _baseline(self) -> tuple[list[tuple[int, float]], float]:
        recipe = self._subject.settings.recipe
        curve = self._students.curve(recipe, self._students.real(recipe))
        return curve, self._students.step_seconds

    def _with_pool(self, arm: str) -> tuple[TransferSet, Figures]:
        subject = self._subject
        of_gan = "gan" in plan_of(arm).sources
        trained = float(subject.gan_facts["gan_seconds"]) if of_gan else 0.0
        began = time.perf_counter()
        built = _arm(subject, arm, subject.drawn(_sources(subject)))
        samples, found = self._students.mixed(built)
        return samples, {**found, "pool_seconds": trained + time.perf_counter() - began}


class Imbalance:
    """P4: three classes have few labels; ways to make up for it."""

    arms = ("plain", "class_weights", "oversampling", "smote", "pca", "gan", "gan_filtered")
    baseline = "plain"
    figures = ("minority_recall", "macro_f1", "accuracy")

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._students = Students(subject, labels_only=True)
        counts = np.bincount(subject.y, minlength=subject.spec.num_classes)
        self._missing = counts.max() - counts
        self._counts = counts
        self.minority = np.sort(np.argsort(counts, kind="stable")[:RARE_CLASSES])

    def measure(self, arm: str) -> Figures:
        """Trains and measures the student of an arm."""
        subject = self._subject
        recipe = subject.with_recipe(augmentation=("shift",))
        x, y, found = self._balanced(arm)
        classes = subject.spec.num_classes
        seed = derive_seed(subject.seed, "real")
        weight = None
        if arm == "class_weights":
            weight = (len(subject.y) / (classes * self._counts))[y]
        samples = TransferSet.for_recipe(
            recipe, nobody(subject), x, y, num_classes=classes, seed=seed, weight=weight
        )
        return {**found, **self._students.averaged(recipe, samples, look=self._of_rare_classes)}

    def _of_rare_classes(self, trained: Trainee) -> Figures:
        x, y = self._subject.test
        seen = trained.logits(x).argmax(axis=1)
        classes = np.arange(self._subject.spec.num_classes)
        recalls = recall_score(y, seen, labels=classes, average=None, zero_division=0.0)
        return {
            "minority_recall": float(recalls[self.minority].mean()),
            "macro_f1": float(f1_score(y, seen, average="macro")),
        }

    def _balanced(self, arm: str) -> tuple[np.ndarray, np.ndarray, Figures]:
        """The labelled samples with what an arm adds to the rare classes."""
        subject = self._subject
        x, y = subject.x, subject.y
        if arm in ("plain", "class_weights"):
            return x, y, {}
        wanted = np.repeat(np.arange(len(self._missing)), self._missing)
        if arm == "oversampling":
            rows = [
                np.resize(np.flatnonzero(y == label), missing)
                for label, missing in enumerate(self._missing)
            ]
            chosen = np.concatenate(rows)
            return np.concatenate([x, x[chosen]]), np.concatenate([y, y[chosen]]), {}
        plan = plan_of(arm)
        source = _sources(subject)[plan.sources[0]]()
        if not plan.filtered:
            return np.concatenate([x, source.sample(wanted, 0)]), np.concatenate([y, wanted]), {}
        many = np.repeat(wanted, CHOICE)
        made = source.sample(many, 0)
        seen = ask(subject.teacher, made).argmax(axis=1) == many
        kept = [np.flatnonzero(seen & (many == label))[:missing]
                for label, missing in enumerate(self._missing)]  # fmt: skip
        chosen = np.concatenate(kept)
        return (
            np.concatenate([x, made[chosen]]),
            np.concatenate([y, many[chosen]]),
            {"acceptance": float(seen.mean())},
        )


PROTOCOLS: Mapping[str, type[Augmentation | Distillation | TimeToAccuracy | Imbalance]] = {
    "P1": Augmentation,
    "P2": Distillation,
    "P3": TimeToAccuracy,
    "P4": Imbalance,
}
