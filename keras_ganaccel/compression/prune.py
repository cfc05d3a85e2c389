"""Magnitude pruning: which weights become zero, and the training that makes up for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import keras
import numpy as np

from keras_ganaccel.compression.bridge import from_tf_keras, to_tf_keras
from keras_ganaccel.compression.finetune import FineTuner, Progress, quick_statistics
from keras_ganaccel.compression.graph import flatten
from keras_ganaccel.compression.tfmot import load_tfmot, rewrapped
from keras_ganaccel.errors import InvalidInputError, nearest

SCHEDULES = ("polynomial", "constant")
POLICIES = ("uniform", "global", "latency")

# A kernel with fewer than this share of all kernel elements stays dense: its zeros would save
# nothing, and the first layer of a small network bears them badly.
SMALL_SHARE = 0.01
# No single kernel is thinned out further than this.
_MOST = 0.98
_ATTRIBUTES: Mapping[type, str] = {
    keras.layers.Conv1D: "kernel",
    keras.layers.Conv2D: "kernel",
    keras.layers.Conv3D: "kernel",
    keras.layers.Conv2DTranspose: "kernel",
    keras.layers.Conv3DTranspose: "kernel",
    keras.layers.Dense: "kernel",
    keras.layers.Embedding: "embeddings",
    keras.layers.SeparableConv1D: "pointwise_kernel",
    keras.layers.SeparableConv2D: "pointwise_kernel",
}


def kernels(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns every kernel of a model: all that layers multiply their inputs with.

    Args:
        model: A built Keras 3 model.

    Returns:
        Values by ``"layer/weight"``, with the layer names of the flattened graph.
    """
    found = {}
    for name, layer in flatten(model).layers().items():
        for variable in layer.variables:
            if "kernel" in variable.name or "embeddings" in variable.name:
                found[f"{name}/{variable.name}"] = np.asarray(variable.value)
    return found


def prunable_kernels(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the kernels that TF-MOT prunes and clusters, by layer name in the flattened graph.

    Depthwise kernels are not among them.

    Args:
        model: A built Keras 3 model.
    """
    return {
        name: np.asarray(getattr(layer, _ATTRIBUTES[type(layer)]).value)
        for name, layer in flatten(model).layers().items()
        if layer.trainable and type(layer) in _ATTRIBUTES
    }


def sparsity_of(model: keras.Model) -> float:
    """The share of zeros among all kernel elements of a Keras 3 model, in [0, 1]."""
    values = list(kernels(model).values())
    size = sum(value.size for value in values)
    return 1.0 - sum(int(np.count_nonzero(v)) for v in values) / size if size else 0.0


def prune_plan(
    model: keras.Model, sparsity: float, policy: str | Mapping[str, float] = "global"
) -> dict[str, float]:
    """Decides how sparse each layer shall become.

    The target is the share of zeros among all kernel elements of the model, so that layers which
    stay dense (depthwise kernels, kernels below 1 % of all elements) are made up for by the others.

    Args:
        model: A built Keras 3 model.
        sparsity: The target, in [0, 1).
        policy: ``"uniform"``: the same share in each layer; ``"global"``: whichever weights of the
            whole model matter least by their LAMP score, so that layers get different shares;
            ``"latency"``: only 1x1 convolutions, where the XNNPACK delegate has sparse kernels
            (Elsen et al., arXiv 1911.09723); or a mapping from layer names (wildcards allowed) to
            the share of that layer, all others staying dense.

    Returns:
        The share of zeros by layer name; layers that stay dense are left out.

    Raises:
        InvalidInputError: The target cannot be reached, the policy is unknown or does not fit.
    """
    if not 0.0 <= sparsity < 1.0:
        raise InvalidInputError(
            f"`sparsity` must be in [0, 1). Received: {sparsity}. 0.5 makes half the weights zero."
        )
    sizes = {name: value.size for name, value in kernels(model).items()}
    prunable = prunable_kernels(model)
    if isinstance(policy, Mapping):
        return _matched(policy, prunable)
    if policy not in POLICIES:
        raise InvalidInputError(
            f"Unknown pruning policy. Received: {policy!r}. {nearest(policy, POLICIES)}"
        )
    total = sum(sizes.values())
    if policy == "latency":
        chosen = _allowed_for_latency(model)
    else:
        chosen = {n: v for n, v in prunable.items() if v.size >= SMALL_SHARE * total}
    available = sum(value.size for value in chosen.values())
    if sparsity * total > _MOST * available:
        raise InvalidInputError(
            f"`sparsity` cannot be reached with the policy {policy!r}. Received: {sparsity}. "
            f"At most {math.floor(100 * _MOST * available / max(total, 1)) / 100} is possible."
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
    samples: np.ndarray | None = None,
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
    sparsity = load_tfmot().sparsity.keras
    twin = to_tf_keras(model, samples=samples)
    wrappers: list[Any] = []

    def wrap(layer: Any) -> Any:
        if layer.name not in plan:
            return layer
        pruning_schedule = _schedule(sparsity, schedule, _reached(layer, plan), steps)
        wrappers.append(sparsity.prune_low_magnitude(layer, pruning_schedule=pruning_schedule))
        return wrappers[-1]

    # The wrappers hold the twin's own layers, so that training them trains the twin.
    wrapped = rewrapped(twin, wrap)
    for wrapper in wrappers:
        wrapper.pruning_step.assign(0)
    with quick_statistics(twin):
        tuner.run(wrapped, steps=steps, learning_rate=learning_rate, on_progress=on_progress)
    for wrapper in wrappers:
        # The last gradient step has moved weights that the mask had set to zero.
        wrapper.pruning_obj.weight_mask_op()
    return from_tf_keras(twin, model)


def _reached(layer: Any, plan: Mapping[str, float]) -> float:
    """The share that makes TF-MOT, which rounds to nearest, keep no weight too many."""
    size = max(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
    return min(math.ceil(plan[layer.name] * size - 1e-6) / size, 1.0)


def _schedule(sparsity: Any, name: str, share: float, steps: int) -> Any:
    end = max(2 * steps // 3, 1)
    if name == "constant":
        return sparsity.ConstantSparsity(share, begin_step=0, frequency=max(end // 20, 1))
    return sparsity.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=share,
        begin_step=0,
        end_step=end,
        frequency=max(end // 20, 1),
    )


def _matched(policy: Mapping[str, float], prunable: Mapping[str, np.ndarray]) -> dict[str, float]:
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


def _allowed_for_latency(model: keras.Model) -> dict[str, np.ndarray]:
    policy = load_tfmot().sparsity.keras.PruneForLatencyOnXNNPack()
    twin = to_tf_keras(model)
    try:
        policy.ensure_model_supports_pruning(twin)
    except ValueError as error:
        raise InvalidInputError(
            f"The model does not fit the policy 'latency': {str(error).splitlines()[0]} "
            f"Received: {model.name!r}. Use 'uniform' or 'global'."
        ) from error
    allowed = {layer.name for layer in twin.layers if policy.allow_pruning(layer)}
    return {name: value for name, value in prunable_kernels(model).items() if name in allowed}


def _global_shares(chosen: Mapping[str, np.ndarray], share: float) -> dict[str, float]:
    """Shares of zeros under one threshold on all LAMP scores (Lee et al., arXiv 2010.07611).

    The score of a weight is its square over the sum of the squares of all weights in its layer
    that are at least as large: what its removal costs relative to what remains.
    """
    scores = {name: _lamp(value) for name, value in chosen.items()}
    ranked = np.sort(np.concatenate(list(scores.values())))
    threshold = ranked[min(math.ceil(share * len(ranked)), len(ranked) - 1)]
    shares = {name: float((score < threshold).mean()) for name, score in scores.items()}
    return {name: min(value, _MOST) for name, value in shares.items() if value > 0.0}


def _lamp(kernel: np.ndarray) -> np.ndarray:
    squares = np.sort(np.square(kernel.astype(np.float64)).reshape(-1))
    remaining = np.cumsum(squares[::-1])[::-1]
    return squares / np.maximum(remaining, 1e-300)
