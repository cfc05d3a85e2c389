"""What fine-tuning must not change: zeros and clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganaccel.compression.kernels import kernel_table
from keras_ganaccel.compression.prepare import Prepared, spread_scale


@dataclass(frozen=True)
class KeptKernel:
    """What stays of one kernel.

    Args:
        kernel: The kernel's variable.
        mask: Where it may differ from zero; None if zeros need not stay.
        groups: For each element the number of its cluster; None if it is not clustered.
        scale: What folding a batch norm multiplied it with: clusters are shared before that.
    """

    kernel: Any
    mask: np.ndarray | None = None
    groups: np.ndarray | None = None
    scale: np.ndarray | None = None


@dataclass(frozen=True)
class Preserved:
    """The kernels of a prepared model whose structure stays.

    Args:
        kernels: By their names in the prepared model.
    """

    kernels: Mapping[str, KeptKernel]

    def constraints(self, variables: Mapping[int, Any]) -> list[Callable[[], None]]:
        """Makes the functions that restore the structure after each step.

        Args:
            variables: The tf_keras variable for each kernel, by the id of the Keras 3 one.

        Returns:
            Functions to call in the training graph.
        """
        return [
            _constraint(kept, variables[id(kept.kernel)])
            for kept in self.kernels.values()
            if kept.mask is not None or kept.groups is not None
        ]


def preserved(
    prepared: Prepared,
    *,
    zeros: frozenset[str] = frozenset(),
    clusters: frozenset[str] = frozenset(),
) -> Preserved:
    """Finds out what must stay from the kernels as they are.

    Args:
        prepared: A prepared model.
        zeros: Names (in the original) of the layers whose zeros stay.
        clusters: Names of the layers whose clusters stay.

    Returns:
        The structure to preserve.
    """
    kernels = {}
    layers = {layer.name: layer for layer in prepared.model.layers}
    for kernel in kernel_table(prepared.model):
        origin = prepared.origins.get(kernel.layer)
        if origin is None or kernel.refusal:
            continue
        scale = None
        if origin.scale is not None:
            scale = spread_scale(origin.scale, layers[kernel.layer])
        kernels[kernel.name] = _kept(
            kernel.variable, kernel.value, origin.source in zeros, origin.source in clusters, scale
        )
    return Preserved(kernels)


def keep(variable: Any, *, zeros: bool, clusters: bool) -> Callable[[], None]:
    """Makes the function that restores the structure of one weight after each step.

    Args:
        variable: The tf_keras variable, with the values whose structure stays.
        zeros: Whether its zeros stay.
        clusters: Whether equal values stay equal.
    """
    return _constraint(_kept(variable, variable.numpy(), zeros, clusters, None), variable)


def _kept(
    variable: Any, value: np.ndarray, zeros: bool, clusters: bool, scale: np.ndarray | None
) -> KeptKernel:
    mask = (value != 0).astype(np.float32) if zeros else None
    groups = None
    if clusters:
        groups = _groups(value if scale is None else value / np.where(scale == 0, 1, scale))
    return KeptKernel(variable, mask, groups, scale)


def _groups(values: np.ndarray) -> np.ndarray:
    """Numbers the distinct values; folding has left rounding errors between equal ones."""
    flat = values.reshape(-1).astype(np.float64)
    order = np.argsort(flat)
    tolerance = 1e-5 * max(float(np.abs(flat).max()), 1e-12)
    steps = np.diff(flat[order], prepend=flat[order[0]]) > tolerance
    groups = np.empty(len(flat), np.int32)
    groups[order] = np.cumsum(steps)
    return groups.reshape(values.shape)


def _constraint(kept: KeptKernel, variable: Any) -> Callable[[], None]:
    shape = variable.shape

    def apply() -> None:
        value = tf.convert_to_tensor(variable)
        if kept.groups is not None:
            scale = tf.ones(shape) if kept.scale is None else tf.zeros(shape) + kept.scale
            unscaled = tf.reshape(tf.math.divide_no_nan(value, scale), [-1])
            groups = kept.groups.reshape(-1)
            count = int(groups.max()) + 1
            centres = tf.math.unsorted_segment_mean(unscaled, groups, count)
            value = tf.reshape(tf.gather(centres, groups), shape) * scale
        if kept.mask is not None:
            value *= kept.mask
        variable.assign(value)

    return apply
