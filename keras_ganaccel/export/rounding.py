"""How far apart two forms of a model may answer before quantization no longer explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Allowance:
    """How far a form may lie from what it stands for; the largest of the three counts.

    Args:
        steps: Quantization steps of the output. An output that takes up few of them, as of an
            untrained model, is judged by these.
        share: Of how much the output varies over the samples.
        shaken: Multiples of what half a quantization step on every input changes. A deep network
            enlarges each rounding from layer to layer, and no form of it rounds like another.
    """

    steps: float
    share: float
    shaken: float

    def comes_to(self, expected: np.ndarray, shaken: np.ndarray, scales: Sequence[float]) -> float:
        """Returns the root mean square that is allowed.

        Args:
            expected: What the form stands for answers, ``(n, ...)``.
            shaken: What it answers to samples that were moved by half a step, see `shake`.
            scales: The quantization of the output; empty if that is float.

        Example:
            >>> answers = np.array([[0.0], [2.0]])
            >>> Allowance(steps=4.0, share=0.1, shaken=1.5).comes_to(answers, answers, [0.5])
            2.0
        """
        # Of an output in float32, what eight bits would have.
        step = scales[0] if scales else max(float(np.ptp(expected)), 1e-6) / 255.0
        # Over few samples an output hardly varies; its own values then do.
        center = expected.mean(axis=0 if len(expected) >= _FEW else None)
        varies = rms(expected - center)
        return max(
            self.steps * step,
            self.share * varies,
            min(self.shaken * rms(shaken - expected), _MOST_SHAKEN * varies),
        )


# Integer arithmetic rounds once more per layer than its simulation: rarely two steps of the output.
FILE = Allowance(steps=4.0, share=0.1, shaken=1.5)
# The float model does not round at all: what rounding changes in all layers shows here.
FLOAT = Allowance(steps=8.0, share=0.3, shaken=2.0)
# Where rounding decides more than this of what varies, no form stands for another one.
_MOST_SHAKEN = 0.5
_FEW = 8


def rms(values: np.ndarray) -> float:
    """Returns the root mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def shake(samples: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Moves samples at random by up to half a step of eight bits; whole numbers stay.

    Args:
        samples: An array ``(n, ...)`` for each input.
    """
    generator = np.random.default_rng(0)
    found = []
    for array in samples:
        if array.dtype.kind == "f":
            half = np.ptp(array) / 255.0 / 2.0
            array = (array + generator.uniform(-half, half, array.shape)).astype(array.dtype)
        found.append(array)
    return found


def same_answers(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the share of samples that two forms put into the same class."""
    return float(np.mean(_classes(one) == _classes(other)))


def _classes(outputs: np.ndarray) -> np.ndarray:
    return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else outputs > np.median(outputs)
