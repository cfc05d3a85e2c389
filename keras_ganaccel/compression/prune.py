"""Magnitude pruning: which weights become zero, and the training that makes up for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.compression.bridge import from_tf_keras, to_tf_keras
from keras_ganaccel.compression.finetune import FineTuner, Progress, quick_statistics
from keras_ganaccel.compression.kernels import (
    Kernel,
    kernel_table,
    total_size,
    trained_variables,
    twin_variables,
    workable,
)
from keras_ganaccel.compression.tfmot import load_tfmot, magnitude_pruning
from keras_ganaccel.errors import InvalidInputError, nearest, reason_of

SCHEDULES = ("polynomial", "constant")
POLICIES = ("uniform", "global", "latency")

# A kernel with fewer than this share of all kernel elements stays dense: its zeros would save
# nothing, and the first layer of a small network bears them badly.
SMALL_SHARE = 0.01
# No single kernel is thinned out further than this.
_MOST = 0.98
_NAMED = 3


def prune_plan(
    model: keras.Model,
    sparsity: float,
    policy: str | Mapping[str, float] = "global",
    *,
    uncounted: int = 0,
) -> dict[str, float]:
    """Decides how sparse each layer shall become.

    The target is the share of zeros among all kernel elements of the model, so that layers which
    stay dense (depthwise and frozen kernels, those below 1 % of all elements) are made up for by
    the others.

    Args:
        model: A built Keras 3 model.
        sparsity: The target, in [0, 1).
        policy: ``"uniform"``: the same share in each layer; ``"global"``: whichever weights of the
            whole model matter least by their LAMP score, so that layers get different shares;
            ``"latency"``: only 1x1 convolutions, where the XNNPACK delegate has sparse kernels
            (Elsen et al., arXiv 1911.09723); or a mapping from layer names (wildcards allowed) to
            the share of that layer, all others staying dense.
        uncounted: Kernel elements that the exported model will have beyond those of `model`, such
            as of a batch norm that becomes a convolution.

    Returns:
        The share of zeros by layer name, of each of its kernels that can be pruned; layers that
        stay dense are left out.

    Raises:
        InvalidInputError: The target cannot be reached, the policy is unknown or does not fit.
    """
    if not 0.0 <= sparsity < 1.0:
        raise InvalidInputError(
            f"`sparsity` must be in [0, 1). Received: {sparsity}. 0.5 makes half the weights zero."
        )
    table = kernel_table(model)
    prunable = workable(table)
    if isinstance(policy, Mapping):
        return _matched(policy, prunable)
    if policy not in POLICIES:
        raise InvalidInputError(
            f"Unknown pruning policy. Received: {policy!r}. {nearest(policy, POLICIES)}"
        )
    total = total_size(table) + uncounted
    if policy == "latency":
        chosen = _allowed_for_latency(model, prunable)
    else:
        chosen = {n: ks for n, ks in prunable.items() if total_size(ks) >= SMALL_SHARE * total}
    available = sum(map(total_size, chosen.values()))
    if sparsity * total > _MOST * available:
        raise InvalidInputError(
            f"`sparsity` cannot be reached with the policy {policy!r}. Received: {sparsity}. "
            f"At most {math.floor(100 * _MOST * available / max(total, 1)) / 100} is possible"
            f"{_staying(table, chosen)}."
        )
    share = sparsity * total / max(available, 1)
    if share == 0.0:
        return {}
    if policy == "global":
        return _global_shares(chosen, share)
    return dict.fromkeys(chosen, share)


def prune(
    model: keras.Model,
    tuner: FineTuner,
    plan: Mapping[str, float],
    *,
    schedule: str = "polynomial",
    steps: int = 600,
    learning_rate: float = 1e-3,
    samples: Any = None,
    on_progress: Progress | None = None,
) -> keras.Model:
    """Prunes by magnitude while fine-tuning, with TF-MOT (Zhu and Gupta, arXiv 1710.01878).

    Args:
        model: A built Keras 3 model in float32. It is not changed.
        tuner: Data and loss.
        plan: The share of zeros by layer name; see `prune_plan`.
        schedule: ``"polynomial"`` reaches the share after two thirds of the steps;
            ``"constant"`` has it from the first step on.
        steps: Optimiser steps.
        learning_rate: Adam's first one.
        samples: Real samples for the proof that the bridge carries the model over.
        on_progress: Called with the steps done and their total.

    Returns:
        A Keras 3 model whose kernels hold exact zeros: at least the planned share each.

    Raises:
        InvalidInputError: The schedule is unknown.
    """
    if schedule not in SCHEDULES:
        raise InvalidInputError(
            f"Unknown pruning schedule. Received: {schedule!r}. {nearest(schedule, SCHEDULES)}"
        )
    twin = to_tf_keras(model, samples=samples)
    twins = twin_variables(model, twin)
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    targets = [
        (twins[id(kernel.variable)], math.ceil(share * kernel.value.size - 1e-6))
        for name, share in plan.items()
        for kernel in workable(kernel_table(model))[name]
    ]
    masks = [_mask(weight, zeros, step, schedule, steps) for weight, zeros in targets]

    def apply_masks() -> None:
        step.assign_add(1)
        for mask in masks:
            with tf.control_dependencies([mask.conditional_mask_update()]):
                mask.weight_mask_op()

    with quick_statistics(twin):
        tuner.run(
            twin,
            variables=trained_variables(model, twin),
            steps=steps,
            learning_rate=learning_rate,
            after_step=[apply_masks],
            on_progress=on_progress,
        )
    for weight, zeros in targets:
        weight.assign(_cut(weight.numpy(), zeros))
    return from_tf_keras(twin, model)


def _mask(weight: tf.Variable, zeros: int, step: tf.Variable, schedule: str, steps: int) -> Any:
    """The mask of one weight, which follows the schedule to the number of zeros."""
    share = zeros / max(int(np.prod(weight.shape)), 1)
    own = (
        weight,
        tf.Variable(tf.ones_like(weight), trainable=False),
        tf.Variable(0.0, trainable=False),
    )
    planned = _schedule(load_tfmot().sparsity.keras, schedule, share, steps)
    return magnitude_pruning()(lambda: step, [own], planned, (1, 1), "AVG")


def _cut(value: np.ndarray, zeros: int) -> np.ndarray:
    """Makes the smallest weights zero: ties, which TF-MOT keeps, and where no step was trained."""
    flat = value.reshape(-1).copy()
    flat[np.argsort(np.abs(flat), kind="stable")[:zeros]] = 0.0
    return flat.reshape(value.shape)


def _schedule(sparsity: Any, name: str, share: float, steps: int) -> Any:
    end = max(2 * steps // 3, 1)
    frequency = max(end // 20, 1)
    end -= end % frequency  # the last change is the one to the full share
    if name == "constant":
        return sparsity.ConstantSparsity(share, begin_step=0, frequency=frequency)
    return sparsity.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=share,
        begin_step=0,
        end_step=end,
        frequency=frequency,
    )


def _staying(table: Sequence[Kernel], chosen: Mapping[str, Any]) -> str:
    """Names what keeps its weights, and why, for the refusal of a target."""
    dense = {k.layer: k.refusal or "too small" for k in table if k.layer not in chosen or k.refusal}
    if not dense:
        return ""
    named = ", ".join(f"{name!r} ({why})" for name, why in list(dense.items())[:_NAMED])
    return f": {named}{' and others' if len(dense) > _NAMED else ''} stay dense"


def _matched(policy: Mapping[str, float], prunable: Mapping[str, Any]) -> dict[str, float]:
    plan = {}
    for pattern, share in policy.items():
        names = [name for name in prunable if fnmatchcase(name, pattern)]
        if not names:
            raise InvalidInputError(
                f"No prunable layer has the name {pattern!r}. Received: a policy for it. "
                f"{nearest(pattern, prunable)}"
            )
        if not 0.0 <= share <= _MOST:
            raise InvalidInputError(
                f"The sparsity of {pattern!r} must be in [0, {_MOST}]. Received: {share}. "
                "Choose a value inside."
            )
        plan.update(dict.fromkeys(names, share))
    return {name: share for name, share in plan.items() if share > 0.0}


def _allowed_for_latency(
    model: keras.Model, prunable: Mapping[str, list[Kernel]]
) -> dict[str, list[Kernel]]:
    policy = load_tfmot().sparsity.keras.PruneForLatencyOnXNNPack()
    twin = to_tf_keras(model)
    try:
        policy.ensure_model_supports_pruning(twin)
    except ValueError as error:
        raise InvalidInputError(
            f"The model does not fit the policy 'latency': {reason_of(error)} "
            f"Received: {model.name!r}. Use 'uniform' or 'global'."
        ) from error
    allowed = {layer.name for layer in twin.layers if policy.allow_pruning(layer)}
    return {name: kernels for name, kernels in prunable.items() if name in allowed}


def _global_shares(chosen: Mapping[str, list[Kernel]], share: float) -> dict[str, float]:
    """Shares of zeros under one threshold on all LAMP scores (Lee et al., arXiv 2010.07611).

    The score of a weight is its square over the sum of the squares of all weights in its kernel
    that are at least as large: what its removal costs relative to what remains. No layer goes
    beyond what leaves it alive; the others make up for that.
    """
    scores = {
        name: np.concatenate([_lamp(kernel.value) for kernel in kernels])
        for name, kernels in chosen.items()
    }
    missing = math.ceil(share * sum(map(len, scores.values())) - 1e-6)
    shares: dict[str, float] = {}
    while scores:
        ranked = np.sort(np.concatenate(list(scores.values())))
        threshold = ranked[min(missing, len(ranked) - 1)]
        found = {name: float((score < threshold).mean()) for name, score in scores.items()}
        full = [name for name, value in found.items() if value > _MOST]
        if not full:
            # Equal scores straddle the threshold: all layers together give what is still missing.
            taken = sum(found[name] * len(score) for name, score in scores.items())
            rest = sum((_MOST - found[name]) * len(score) for name, score in scores.items())
            more = max(missing - taken, 0.0) / max(rest, 1e-12)
            shares |= {name: value + more * (_MOST - value) for name, value in found.items()}
            break
        for name in full:
            shares[name] = _MOST
            missing -= math.floor(_MOST * len(scores.pop(name)))
    return {name: min(value, _MOST) for name, value in shares.items() if value > 0.0}


def _lamp(kernel: np.ndarray) -> np.ndarray:
    squares = np.sort(np.square(kernel.astype(np.float64)).reshape(-1))
    remaining = np.cumsum(squares[::-1])[::-1]
    return squares / np.maximum(remaining, 1e-300)
