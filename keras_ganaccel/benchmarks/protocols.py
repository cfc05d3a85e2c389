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
from keras_ganaccel.generated.candidates import Pool, joined, most_doubted, unasked
from keras_ganaccel.generated.coverage import LabelMixing
from keras_ganaccel.generated.filters import Filter, TeacherAgreement
from keras_ganaccel.generated.sources import GanSource, Source
from keras_ganaccel.generated.statistical import PCAGaussian, Smote
from keras_ganaccel.seeds import derive_seed

# Drawn for every sample that is kept where the student's doubts choose.
_CHOICE = 4
_SHARE_OF_BASELINE = 0.98
# What the student's doubts choose from, in equal shares.
_CHOSEN_FROM = {
    "gan": ("gan", "gan_between"),
    "pca": ("pca",),
    "gan_and_pca": ("gan", "gan_between", "gan_early", "pca"),
}


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
        "pca": lambda: PCAGaussian.fit(subject.x, subject.y, seed=seed),
        "smote": lambda: Smote.fit(subject.x, subject.y, seed=seed),
    }


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
            name, _, way = arm.partition("_")
            keep = TeacherAgreement(subject.teacher) if way else None
            samples, found = students.mixed(
                subject.pool(_sources(subject)[name]()),
                keep,
                "generated_first" if way == "filtered_first" else "constant",
            )
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
            samples, found = students.mixed(*self._pool(arm))
        figures = students.averaged(recipe, samples, labels_only=arm.startswith("labels"))
        return {**found, "step_seconds": students.step_seconds, **figures}

    def _longer(self) -> Recipe:
        """The recipe with the GAN's seconds as more steps."""
        recipe = self._subject.settings.recipe
        if self._students.step_seconds == 0.0:
            self._students.train(recipe, self._students.real(recipe))
        more = self._subject.gan_facts["gan_seconds"] / self._students.step_seconds
        return self._subject.with_recipe(steps=recipe.steps + round(more))

    def _pool(self, arm: str) -> tuple[Pool, Filter | None]:
        subject = self._subject
        if arm == "oracle":
            return Pool(subject.withheld, np.full(len(subject.withheld), -1)), None
        size = subject.settings.pool_size
        if arm == "gan_filtered":
            return self._drawn("gan", size), TeacherAgreement(subject.teacher)
        if not arm.endswith("_disagreement"):
            pool = self._drawn(arm, size)
            # Hardly any of the early generator's samples show the class that was asked for.
            return (unasked(pool) if arm == "gan_early" else pool), None
        chosen = _CHOSEN_FROM[arm.removesuffix("_disagreement")]
        each = _CHOICE * size // len(chosen)
        pool = joined(*(self._drawn(name, each) for name in chosen))
        student, teacher = self._student_in_doubt(), subject.teacher
        return most_doubted(pool, teacher, student, 1 / _CHOICE, subject.seed), None

    def _drawn(self, name: str, size: int) -> Pool:
        """A source's first samples, which are the same for all arms: drawn once."""
        drawn = self._pools.get(name)
        if drawn is None or len(drawn.y) < size:
            drawn = self._pools[name] = self._subject.pool(_sources(self._subject)[name](), size)
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
        subject, name = self._subject, arm.partition("_")[0]
        trained = float(subject.gan_facts["gan_seconds"]) if name == "gan" else 0.0
        began = time.perf_counter()
        pool = subject.pool(_sources(subject)[name]())
        keep = TeacherAgreement(subject.teacher) if arm == "gan_filtered" else None
        samples, found = self._students.mixed(pool, keep)
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
        name, _, way = arm.partition("_")
        source = _sources(subject)[name]()
        if not way:
            return np.concatenate([x, source.sample(wanted, 0)]), np.concatenate([y, wanted]), {}
        many = np.repeat(wanted, _CHOICE)
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
