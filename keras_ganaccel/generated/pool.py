"""A pool: samples generated once, filtered, labelled by the teacher, and kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.classifier.members import answer_function, check_teacher
from keras_ganaccel.classifier.outputs import probability_logits
from keras_ganaccel.errors import DamagedFileError, InvalidInputError, MissingFileError
from keras_ganaccel.files import sha256
from keras_ganaccel.generated.filters import Chain, Filter
from keras_ganaccel.generated.shards import quantize, write_shard
from keras_ganaccel.generated.sources import Source
from keras_ganaccel.json_files import write_json
from keras_ganaccel.mixing.plan import Quota, class_targets, spread_labels
from keras_ganaccel.seeds import derive_seed

logger = logging.getLogger(__name__)
_SCHEMA = 1
_SHARD, _SHARD_BYTES = 8192, 2**26
_FACTS, _PROGRESS = "pool.json", "progress.json"


@dataclass(frozen=True)
class PoolFacts:
    """What ``pool.json`` says of a pool.

    Args:
        size: Samples.
        shape: ``(height, width, channels)``.
        num_classes: The number of classes.
        class_counts: Samples per class.
        teacher_logits: Classes of the stored teacher's logits; None without a teacher.
        seed: Seed of the order of the classes.
        source: What `Source.describe` says.
        filters: The filters' names, in order.
        acceptance: Filter -> share per class that it kept (None where it saw nothing).
        candidates: Samples drawn from the source.
        shards: ``{"file", "samples", "sha256"}`` of each file.
        fingerprint: SHA-256 over the shards' own.
        seconds: Time that writing took.
        schema: Version of this file.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> copies = ga.NearDuplicates(x)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     options = {"num_classes": 2, "filters": [copies]}
        ...     facts = ga.write_pool(f"{folder}/pool", ga.PCAGaussian.fit(x, y), 6, **options)
        >>> facts.filters, facts.class_counts
        (['near_duplicates'], [3, 3])
    """

    size: int
    shape: tuple[int, ...]
    num_classes: int
    class_counts: list[int]
    teacher_logits: int | None
    seed: int
    source: dict[str, Any]
    filters: list[str]
    acceptance: dict[str, list[float | None]]
    candidates: int
    shards: list[dict[str, Any]]
    fingerprint: str
    seconds: float
    schema: int = _SCHEMA


@dataclass
class _Progress:
    """Where an unfinished pool stands, after each shard."""

    request: dict[str, Any]
    shards: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def next_index(self) -> int:
        return self.shards[-1]["next_index"] if self.shards else 0


def write_pool(
    folder: str | Path,
    source: Source,
    size: int,
    *,
    num_classes: int,
    filters: Sequence[Filter] = (),
    teacher: Any = None,
    class_weights: Sequence[float] | None = None,
    chunk: int = 1024,
    shard_size: int | None = None,
    max_attempts: int = 50,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> PoolFacts:
    """Generates a pool into a folder, chunk by chunk; memory does not grow with its size.

    Called again after an interruption it goes on at the first shard that is missing, and the
    result is the same as without the interruption; called again on a finished pool it returns at
    once. Samples are stored as bytes (see `quantize`); filters and teacher judge the stored
    values. Classes are evenly spread over the pool, so that any stretch of it is balanced.

    Args:
        folder: Where the pool shall be; it is made if missing.
        source: Where the samples come from.
        size: Samples to keep.
        num_classes: The number of classes.
        filters: Applied in this order.
        teacher: Its logits are stored beside the samples: a Keras model, something with
            ``predict_proba``, or a callable that returns probabilities.
        class_weights: Relative share of each class; equal shares by default.
        chunk: Candidates to generate at a time.
        shard_size: Samples per file; None: 8,192, or as many as fit in 64 MB.
        max_attempts: Give up where more candidates than this are needed per accepted sample.
        seed: Seed of the order of the classes.
        progress: Called with the samples written and `size` after each shard.

    Returns:
        The contents of ``pool.json``.

    Raises:
        InvalidInputError: A number is out of range, or the folder holds another pool.
        RunFailedError: The filters accept hardly anything of a class.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     facts = ga.write_pool(f"{folder}/pool", ga.Smote.fit(x, y), 6, num_classes=2)
        >>> facts.size, facts.shape
        (6, (8, 8, 1))
    """
    _check_numbers(size=size, num_classes=num_classes, chunk=chunk, max_attempts=max_attempts)
    if shard_size is not None:
        _check_numbers(shard_size=shard_size)
    if teacher is not None:
        check_teacher(teacher)
    folder = Path(folder)
    chain = Chain(filters, num_classes)
    labels = spread_labels(
        class_targets(size, num_classes, class_weights), derive_seed(seed, "pool", "labels")
    )
    request = {
        "size": size,
        "num_classes": num_classes,
        "labels": hashlib.sha256(labels.tobytes()).hexdigest(),
        "source": source.describe(),
        "filters": chain.names(),
        "teacher": teacher is not None,
        "chunk": chunk,
        "shard_size": shard_size,
        "max_attempts": max_attempts,
        "seed": seed,
    }
    if (folder / _FACTS).exists():
        return _finished(folder, request)
    folder.mkdir(parents=True, exist_ok=True)
    state = _resume(folder, request)
    if state.shards:
        chain.passed[:] = state.shards[-1]["passed"]
        logger.info("Going on after %d shards of %s", len(state.shards), folder)

    if shard_size is None:
        shape = state.shards[-1]["shape"] if state.shards else source.sample(labels[:1], 0)[0].shape
        shard_size = int(np.clip(_SHARD_BYTES // (4 * math.prod(shape)), 1, _SHARD))

    writer = _ShardWriter(folder, source, chain, teacher, chunk, max_attempts)
    started = time.monotonic() - state.seconds
    for number in range(len(state.shards), -(-size // shard_size)):
        wanted = labels[number * shard_size : (number + 1) * shard_size]
        entry = writer.write(number, wanted, state.next_index)
        state.shards.append(entry)
        state.seconds = time.monotonic() - started
        write_json(folder / _PROGRESS, asdict(state))
        if progress is not None:
            progress(min((number + 1) * shard_size, size), size)
    return _finish(folder, request, state, chain, labels)


def read_facts(folder: str | Path) -> PoolFacts:
    """Reads ``pool.json`` and checks that the shards are there.

    Raises:
        MissingFileError: There is no finished pool, or a shard is missing.
        InvalidInputError: The file is not what `write_pool` writes.
    """
    folder = Path(folder)
    try:
        values = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except OSError:
        raise MissingFileError(
            f"No finished pool. Received: {str(folder)!r}. Name a folder that write_pool finished."
        ) from None
    except ValueError:
        values = None
    try:
        if values.pop("schema") != _SCHEMA:
            raise ValueError
        values.pop("request", None)
        facts = PoolFacts(**{**values, "shape": tuple(values["shape"])})
        files = [str(shard["file"]) for shard in facts.shards]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InvalidInputError(
            f"The pool cannot be read. Received: {str(folder / _FACTS)!r}. Write the pool anew."
        ) from None
    for shard in files:
        if not (folder / shard).is_file():
            raise MissingFileError(
                f"A shard of the pool is missing. Received: {str(folder / shard)!r}. "
                "Copy the folder whole, or write the pool anew."
            )
    return facts


class _ShardWriter:
    """Fills one shard after the other; a shard depends on its number and first index alone."""

    def __init__(
        self,
        folder: Path,
        source: Source,
        chain: Chain,
        teacher: Any,
        chunk: int,
        max_attempts: int,
    ) -> None:
        self._folder, self._source, self._chain = folder, source, chain
        self._answer = None if teacher is None else answer_function(teacher)
        self._chunk, self._max_attempts = chunk, max_attempts

    def write(self, number: int, wanted: np.ndarray, index: int) -> dict[str, Any]:
        """Writes the shard whose samples have the classes `wanted`, from candidate `index` on."""
        x, index = self._collect(wanted, index)
        logits = None
        if self._answer is not None:
            logits = probability_logits(self._answer(x))
        path = self._folder / f"shard-{number:05d}.tfrecord"
        write_shard(path, x, wanted, logits)
        return {
            "file": path.name,
            "samples": len(x),
            "sha256": sha256(path),
            "next_index": index,
            "passed": self._chain.passed.tolist(),
            "shape": list(x.shape[1:]),
            "teacher_logits": None if logits is None else logits.shape[1],
        }

    def _collect(self, wanted: np.ndarray, index: int) -> tuple[np.ndarray, int]:
        counts = np.bincount(wanted, minlength=self._chain.num_classes)
        quota = Quota(counts, chunk=self._chunk, max_attempts=self._max_attempts)
        samples, classes = [], []
        while not quota.done:
            labels = quota.next_labels()
            x = quantize(self._source.sample(labels, index))
            index += len(labels)
            taken = quota.record(labels, self._chain.mask(x, labels))
            samples.append(x[taken])
            classes.append(labels[taken])
        # The j-th accepted sample of a class goes to the j-th place of that class.
        accepted = np.argsort(np.concatenate(classes), kind="stable")
        places = np.argsort(wanted, kind="stable")
        rows = np.empty(len(wanted), np.int64)
        rows[places] = accepted
        return np.concatenate(samples)[rows], index


def _resume(folder: Path, request: dict[str, Any]) -> _Progress:
    """Reads how far an unfinished pool is, up to the last shard that is whole."""
    for leftover in folder.glob(".tmp*"):
        leftover.unlink()
    try:
        state = _Progress(**json.loads((folder / _PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Progress(request)
    if state.request != request:
        raise _other_pool(folder, state.request, request)
    for number, shard in enumerate(state.shards):
        path = folder / shard["file"]
        if not path.is_file() or sha256(path) != shard["sha256"]:
            del state.shards[number:]
            break
    return state


def _finish(
    folder: Path, request: dict[str, Any], state: _Progress, chain: Chain, labels: np.ndarray
) -> PoolFacts:
    entries = [{key: shard[key] for key in ("file", "samples", "sha256")} for shard in state.shards]
    hashes = "".join(entry["sha256"] for entry in entries)
    facts = PoolFacts(
        size=request["size"],
        shape=tuple(state.shards[-1]["shape"]),
        num_classes=request["num_classes"],
        class_counts=np.bincount(labels, minlength=request["num_classes"]).tolist(),
        teacher_logits=state.shards[-1]["teacher_logits"],
        seed=request["seed"],
        source=request["source"],
        filters=request["filters"],
        acceptance=chain.acceptance(),
        candidates=state.next_index,
        shards=entries,
        fingerprint=hashlib.sha256(hashes.encode()).hexdigest(),
        seconds=round(state.seconds, 3),
    )
    write_json(folder / _FACTS, {**asdict(facts), "request": request})
    (folder / _PROGRESS).unlink()
    return facts


def _finished(folder: Path, request: dict[str, Any]) -> PoolFacts:
    facts = read_facts(folder)
    held = json.loads((folder / _FACTS).read_text(encoding="utf-8"))["request"]
    if held != request:
        raise _other_pool(folder, held, request)
    for shard in facts.shards:
        if sha256(folder / shard["file"]) != shard["sha256"]:
            raise DamagedFileError(
                f"A shard of the pool is damaged. Received: {str(folder / shard['file'])!r}. "
                "Restore it, or delete the folder to have the pool written anew."
            )
    return facts


def _other_pool(folder: Path, held: dict[str, Any], asked: dict[str, Any]) -> InvalidInputError:
    different = sorted(key for key in asked if held.get(key) != asked[key])
    return InvalidInputError(
        f"The folder holds a pool that was asked for otherwise ({', '.join(different)}). "
        f"Received: {str(folder)!r}. Name another folder or delete this one."
    )


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise InvalidInputError(
                f"`{name}` must be 1 or more. Received: {number!r}. Choose a larger number."
            )
