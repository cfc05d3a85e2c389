"""Tries a fixed list of techniques and keeps those that no other one beats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from keras_ganaccel.compression.compress import Compressed, compress
from keras_ganaccel.errors import GanAccelError, InvalidInputError, RunFailedError, nearest
from keras_ganaccel.seeds import derive_seed

_LOGGER = logging.getLogger(__name__)

Evaluate = Callable[[Compressed], Mapping[str, Any]]

# From mild to strong. The first one is what every export has for nothing.
COMBINATIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("ptq", {}),
    ("qat", {}),
    ("pqat", {"sparsity": 0.5}),
    ("pqat", {"sparsity": 0.8}),
    ("cqat", {"number_of_clusters": 16}),
    ("pcqat", {"sparsity": 0.5, "number_of_clusters": 16}),
    ("structured_qat", {"macs_fraction": 0.5}),
    ("structured_pqat", {"macs_fraction": 0.5, "sparsity": 0.5}),
)
TARGETS: Mapping[str, str] = {"size": "gzip_bytes", "latency": "latency_ms"}


@dataclass(frozen=True)
class Candidate:
    """One combination, measured on the file that was exported from it.

    Args:
        technique: Its name.
        options: The arguments of `compress` that it was made with.
        compressed: The model; None if it failed.
        measured: What `evaluate` returned: ``accuracy``, ``bytes``, ``gzip_bytes``, ``latency_ms``.
        accepted: Whether it keeps within the allowed drop.
        failure: Why it could not be made; empty otherwise.
    """

    technique: str
    options: Mapping[str, Any]
    compressed: Compressed | None
    measured: Mapping[str, Any]
    accepted: bool
    failure: str = ""


@dataclass(frozen=True)
class ParetoFront:
    """What `compress_auto` found.

    Args:
        best: The accepted candidate that is smallest or fastest, whichever was asked for.
        points: The accepted candidates that no other accepted one beats in accuracy and in the
            target, the most accurate first.
        tried: All candidates, in the order of `COMBINATIONS`.
        target: The measure that was minimised.
    """

    best: Candidate
    points: tuple[Candidate, ...]
    tried: tuple[Candidate, ...]
    target: str


def compress_auto(
    model: keras.Model,
    data: Any,
    evaluate: Evaluate,
    *,
    baseline_accuracy: float,
    max_accuracy_drop: float = 0.005,
    target: str = "size",
    seed: int = 0,
    **options: Any,
) -> ParetoFront:
    """Compresses a model with every combination of `COMBINATIONS` and weighs the results.

    Args:
        model: A built, trained Keras 3 classifier. It is not changed.
        data: Training data; see `compress`.
        evaluate: Exports a compressed model and measures the file: returns ``accuracy`` (on data
            that were not trained on), ``bytes``, ``gzip_bytes`` and ``latency_ms``.
        baseline_accuracy: The accuracy of `model` on the same data.
        max_accuracy_drop: How much accuracy may be lost, such as 0.005 for half a point.
        target: ``"size"`` (of the gzipped file) or ``"latency"``.
        seed: Each combination gets one of its own, derived from it.
        **options: Other arguments of `compress`, such as `teacher` and `steps`. Those that define a
            combination are its own.

    Returns:
        The front of what was measured.

    Raises:
        InvalidInputError: An unknown target, or a drop outside [0, 1).
        RunFailedError: No combination keeps within the allowed drop.
    """
    if target not in TARGETS:
        raise InvalidInputError(f"Unknown target. Received: {target!r}. {nearest(target, TARGETS)}")
    if not 0.0 <= max_accuracy_drop < 1.0:
        raise InvalidInputError(
            f"`max_accuracy_drop` must be in [0, 1). Received: {max_accuracy_drop}. "
            "0.005 allows half a point."
        )
    least = baseline_accuracy - max_accuracy_drop
    tried = tuple(
        _try(model, data, evaluate, technique, {**options, **own}, least, derive_seed(seed, number))
        for number, (technique, own) in enumerate(COMBINATIONS)
    )
    points = pareto_front([c for c in tried if c.accepted], TARGETS[target])
    if not points:
        raise RunFailedError(
            f"No technique keeps the accuracy within {max_accuracy_drop}. Received: "
            + ", ".join(f"{c.technique} {c.measured.get('accuracy', c.failure)}" for c in tried)
            + ". Allow a larger drop, or fine-tune for more steps."
        )
    return ParetoFront(points[-1], points, tried, TARGETS[target])


def pareto_front(candidates: list[Candidate], measure: str) -> tuple[Candidate, ...]:
    """Keeps the candidates that no other one beats.

    Args:
        candidates: Measured candidates.
        measure: The key to minimise; accuracy is maximised.

    Returns:
        The front, the most accurate first; of equal ones the first.
    """
    ranked = sorted(candidates, key=lambda c: (-c.measured["accuracy"], c.measured[measure]))
    front: list[Candidate] = []
    for candidate in ranked:
        if not front or candidate.measured[measure] < front[-1].measured[measure]:
            front.append(candidate)
    return tuple(front)


def _try(
    model: keras.Model,
    data: Any,
    evaluate: Evaluate,
    technique: str,
    options: Mapping[str, Any],
    least: float,
    seed: int,
) -> Candidate:
    """Makes and measures one candidate; one that does not fit the model is only noted."""
    try:
        compressed = compress(model, data, technique=technique, seed=seed, **options)
        measured = evaluate(compressed)
    except GanAccelError as error:
        _LOGGER.warning("%s is left out: %s", technique, error)
        return Candidate(technique, options, None, {}, False, str(error))
    return Candidate(technique, options, compressed, measured, measured["accuracy"] >= least)
