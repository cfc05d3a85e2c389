"""Paired comparisons: the same folds, teacher, real samples and first weights for every arm."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import StratifiedKFold

from keras_ganaccel.classifier.members import ask
from keras_ganaccel.classifier.outputs import probability_logits
from keras_ganaccel.classifier.recipe import Recipe
from keras_ganaccel.classifier.trainee import Trainee
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gate.arms import Arm, arm_pool, chosen, with_pool
from keras_ganaccel.gate.statistics import calibrated_log_loss
from keras_ganaccel.generated.candidates import class_agreement
from keras_ganaccel.json_files import read_sealed_json, write_sealed_json
from keras_ganaccel.seeds import derive_seed

logger = logging.getLogger(__name__)

MOST_FOLDS = 10
# Results of a comparison that trained in another order are not gone on with.
_ENGINE = 2
TEACHER = "teacher"
LABELS_ONLY = "labels_only"

TeacherFactory = Callable[[np.ndarray, np.ndarray, int], Any]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Score:
    """What a student, or a teacher, reached on the held-out part of one pair.

    Args:
        accuracy: In [0, 1].
        log_loss: At its best temperature, see `calibrated_log_loss`.
        seconds: Spent on it.
        agreement: How far the pair's teacher agrees with the pool's classes, see
            `class_agreement`.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.Score(accuracy=0.9, log_loss=0.4, seconds=1.5).accuracy
        0.9
    """

    accuracy: float
    log_loss: float
    seconds: float
    agreement: float | None = None


@dataclass(frozen=True, eq=False)
class _Pair:
    """What all arms of a pair share."""

    training: np.ndarray
    held_out: np.ndarray
    teacher: Any
    real: TransferSet
    seconds: float


def paired_rows(y: np.ndarray, pair: int, folds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a pair in repeated stratified cross-validation.

    Args:
        y: Integer labels ``(n,)``, every class at least twice.
        pair: Its number; the first `folds` pairs are the folds of the first repetition.
        folds: Number of folds, see `num_folds`.
        seed: Seed of the folds.

    Returns:
        Row numbers for training and held out.
    """
    repetition, fold = divmod(pair, folds)
    splitter = StratifiedKFold(
        folds, shuffle=True, random_state=derive_seed(seed, "gate", "folds", repetition)
    )
    return list(splitter.split(np.zeros(len(y)), y))[fold]


def num_folds(y: np.ndarray, pairs: int) -> int:
    """One fold per pair, but no more than ten, nor than the rarest class has samples.

    Args:
        y: Integer labels ``(n,)``.
        pairs: How many pairs there shall be.

    Returns:
        The folds of one repetition.

    Raises:
        InvalidInputError: A class has one sample only, or there is one class only.
    """
    counts = np.unique(y, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        raise InvalidInputError(
            "The gate needs two classes and two samples of each. Received: "
            f"{counts.tolist()} samples a class. Label more."
        )
    return min(MOST_FOLDS, pairs, int(counts.min()))


def check_pairs(pairs: int, least: int) -> None:
    """Refuses fewer pairs than can tell anything."""
    if pairs < least:
        raise InvalidInputError(
            f"`pairs` must be at least {least}. Received: {pairs}. Fewer cannot tell anything."
        )


class PairedComparison:
    """Scores arms on paired folds, each (arm, pair) once, remembered in a state file.

    For every pair a teacher is trained on the training part alone and labels everything that the
    arms of the pair learn from: a teacher of all labels would carry the held-out ones over. All
    arms share it, so it costs once.

    Args:
        student: The classifier; after `close` it has the weights that it came with.
        teacher: ``(x, y, seed) -> teacher``, trains a teacher, see `members.ask`.
        x: float32 ``(n, height, width, channels)`` in [0, 1].
        y: Integer labels ``(n,)``; rows with -1 are left out.
        num_classes: The number of classes.
        recipe: How each student is trained.
        pairs: How many pairs there shall be.
        seed: Seed of everything random.
        reinitialize: Each pair starts from new weights instead of the student's own.
        from_logits: What the student puts out; None looks at its last layer.
        state_file: Where results are kept. One of another comparison is begun anew.
        progress: Called as ``progress(done, total, text)``.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: TeacherFactory,
        x: np.ndarray,
        y: np.ndarray,
        *,
        num_classes: int,
        recipe: Recipe,
        pairs: int,
        seed: int,
        reinitialize: bool = False,
        from_logits: bool | None = None,
        state_file: str | Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        labelled = np.asarray(y) >= 0
        self.x = np.asarray(x, np.float32)[labelled]
        self.y = np.asarray(y)[labelled].astype(np.int64)
        self.folds = num_folds(self.y, pairs)
        self.num_classes = num_classes
        self.recipe = recipe
        self.seed = seed
        self._make_teacher = teacher
        self._reinitialize = reinitialize
        self._progress = progress
        self._trainee = Trainee(student, recipe, from_logits=from_logits)
        self._pair: tuple[int, _Pair] | None = None
        self._path = None if state_file is None else Path(state_file)
        self._fingerprint = self._computed_fingerprint(student)
        self._results = self._read_results()

    def close(self) -> None:
        """Gives the student its own weights back."""
        self._trainee.reset()

    def report(self, done: int, total: int, text: str) -> None:
        """Passes the progress on, if anybody asked for it."""
        if self._progress is not None:
            self._progress(done, total, text)

    def teacher_score(self, pair: int) -> Score:
        """Scores the pair's own teacher."""
        return self._remembered(TEACHER, pair, lambda shared: self._measured_teacher(shared))

    def labels_score(self, pair: int) -> Score:
        """Scores the student that is trained on the pair's labels, without the teacher."""
        return self._remembered(
            LABELS_ONLY, pair, lambda shared: self._trained(shared.real, shared, pair, True)
        )

    def arm_score(self, arm: Arm, pair: int) -> Score:
        """Scores the student of an arm, distilled from the pair's teacher."""

        def measure(shared: _Pair) -> Score:
            if arm.pool is None:
                return self._trained(shared.real, shared, pair, False)
            begun = time.perf_counter()
            samples, agreement = self._samples(arm, shared, pair)
            making = time.perf_counter() - begun
            score = self._trained(samples, shared, pair, False)
            return replace(score, seconds=score.seconds + making, agreement=agreement)

        return self._remembered(f"{arm.name}:{arm.digest()}", pair, measure)

    def _remembered(self, name: str, pair: int, measure: Callable[[_Pair], Score]) -> Score:
        key = f"{name}:{pair}"
        if key not in self._results:
            self._results[key] = measure(self._shared(pair))
            self._write_results()
        return self._results[key]

    def _shared(self, pair: int) -> _Pair:
        if self._pair is None or self._pair[0] != pair:
            self._pair = None  # frees the samples of the pair before
            self._pair = (pair, self._prepared(pair))
        return self._pair[1]

    def _prepared(self, pair: int) -> _Pair:
        begun = time.perf_counter()
        training, held_out = paired_rows(self.y, pair, self.folds, self.seed)
        x, y = self.x[training], self.y[training]
        teacher = self._make_teacher(x, y, derive_seed(self.seed, "gate", "teacher", pair))
        own_seed = derive_seed(self.seed, "gate", "real", pair)
        real = TransferSet.for_recipe(
            self.recipe, teacher, x, y, num_classes=self.num_classes, seed=own_seed
        )
        return _Pair(training, held_out, teacher, real, time.perf_counter() - begun)

    def _samples(self, arm: Arm, shared: _Pair, pair: int) -> tuple[TransferSet, float | None]:
        seed = derive_seed(self.seed, "gate", "pool", arm.name, pair)
        x, y = self.x[shared.training], self.y[shared.training]
        pool = arm_pool(arm, x, y, seed, held_out=self.x[shared.held_out])
        agreement = class_agreement(pool, shared.teacher)

        def doubting() -> Any:
            self._fit(shared.real, pair, False)
            return self._trainee.probabilities

        pool = chosen(arm, pool, shared.teacher, doubting, seed)
        samples = with_pool(shared.real, arm, pool, shared.teacher, self.recipe.samples, seed)
        return samples, agreement

    def _trained(self, samples: TransferSet, shared: _Pair, pair: int, labels_only: bool) -> Score:
        begun = time.perf_counter()
        self._fit(samples, pair, labels_only)
        logits = self._trainee.logits(self.x[shared.held_out])
        return self._score(logits, shared, time.perf_counter() - begun)

    def _fit(self, samples: TransferSet, pair: int, labels_only: bool) -> None:
        seed = derive_seed(self.seed, "gate", "weights", pair) if self._reinitialize else None
        self._trainee.reset(seed)
        self._trainee.train(samples, labels_only=labels_only)

    def _measured_teacher(self, shared: _Pair) -> Score:
        logits = probability_logits(ask(shared.teacher, self.x[shared.held_out]))
        return self._score(logits, shared, shared.seconds)

    def _score(self, logits: np.ndarray, shared: _Pair, seconds: float) -> Score:
        y = self.y[shared.held_out]
        accuracy = float(np.mean(logits.argmax(axis=1) == y))
        return Score(accuracy, calibrated_log_loss(logits, y), seconds)

    def _computed_fingerprint(self, student: keras.Model) -> str:
        digest = hashlib.sha256()
        for array in (self.x, self.y, *student.get_weights()):
            digest.update(np.ascontiguousarray(array).tobytes())
        described = [_ENGINE, asdict(self.recipe), self.folds, self.seed, self._reinitialize]
        digest.update(json.dumps(described, sort_keys=True).encode())
        return digest.hexdigest()

    def _read_results(self) -> dict[str, Score]:
        if self._path is None or not self._path.exists():
            return {}
        state = read_sealed_json(self._path)
        if state["fingerprint"] != self._fingerprint:
            logger.warning("%s is of another comparison; beginning anew.", self._path)
            return {}
        return {key: Score(**row) for key, row in state["results"].items()}

    def _write_results(self) -> None:
        if self._path is not None:
            results = {key: asdict(score) for key, score in self._results.items()}
            write_sealed_json(self._path, {"fingerprint": self._fingerprint, "results": results})
