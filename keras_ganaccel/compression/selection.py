"""Chooses the channels whose removal saves most multiplications for the least damage."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_ganaccel.compression.channels import Channels, first_calls, is_producer
from keras_ganaccel.compression.graph import Graph, Step
from keras_ganaccel.errors import InvalidInputError


@dataclass(frozen=True)
class Space:
    """Channels that the same layers make: their width can be chosen.

    Args:
        groups: The channel groups, the least important one first.
        importance: The importance of each.
    """

    groups: tuple[int, ...]
    importance: tuple[float, ...]


def macs(graph: Graph) -> float:
    """Counts the multiplications of convolutions and dense layers for one sample.

    Args:
        graph: A flattened model; an open spatial size counts as one.

    Returns:
        The count.
    """
    return sum(_places(s) * _inputs(s) * (s.outputs[0].shape[-1] or 0) for s in _counted(graph))


def choose_channels(
    graph: Graph,
    channels: Channels,
    importance: Mapping[int, float],
    goal: float,
    multiple: int,
) -> set[int]:
    """Removes channel groups greedily until at most `goal` multiplications remain.

    Args:
        graph: A flattened model.
        channels: Its channels.
        importance: The damage that each group's removal does.
        goal: The multiplications to reach.
        multiple: Widths stay multiples of it, and of twice it while they are more than that.

    Returns:
        The groups to remove.

    Raises:
        InvalidInputError: So much cannot be removed.
    """
    budget = _Budget(graph, channels)
    spaces = _spaces(graph, channels, importance)
    taken = [0] * len(spaces)
    # A cut never gets cheaper by other cuts, so only the best candidate is looked at again.
    queue = [(0.0, index) for index in range(len(spaces))]
    while budget.total > goal:
        if not queue:
            raise InvalidInputError(
                f"`macs_fraction` cannot be reached. Received: a goal of {goal:.0f} "
                f"multiplications, {budget.total:.0f} must remain. Choose a larger fraction."
            )
        _, index = heapq.heappop(queue)
        space, first = spaces[index], taken[index]
        last = _next_cut(space, first, multiple)
        if last is None:
            continue
        cut = space.groups[first:last]
        saved = budget.saved_by(cut)
        if saved <= 0.0:
            continue
        price = sum(space.importance[first:last]) / saved
        if queue and price > queue[0][0]:
            heapq.heappush(queue, (price, index))
            continue
        budget.remove(cut)
        taken[index] = last
        heapq.heappush(queue, (price, index))
    return budget.removed


class _Budget:
    """The multiplications that remain while channels are removed."""

    def __init__(self, graph: Graph, channels: Channels) -> None:
        self.removed: set[int] = set()
        self._terms: list[tuple[float, np.ndarray, np.ndarray, bool]] = []
        self._terms_of: dict[int, list[int]] = {}
        for step in _counted(graph):
            out = channels.groups(step.outputs[0])
            into = channels.groups(step.inputs[0]) if is_producer(step) else out[:1]
            for group in {*out.tolist(), *(into.tolist() if is_producer(step) else ())}:
                self._terms_of.setdefault(group, []).append(len(self._terms))
            self._terms.append((_places(step), into, out, is_producer(step)))
        size = 1 + max(self._terms_of, default=0)
        self._alive = np.ones(size, bool)
        self.total = sum(self._term(i) for i in range(len(self._terms)))

    def saved_by(self, cut: Iterable[int]) -> float:
        """How many multiplications go away with these groups."""
        cut = list(cut)
        touched = {term for group in cut for term in self._terms_of.get(group, ())}
        before = sum(self._term(i) for i in touched)
        self._alive[cut] = False
        after = sum(self._term(i) for i in touched)
        self._alive[cut] = True
        return before - after

    def remove(self, cut: Iterable[int]) -> None:
        """Takes these groups away for good."""
        cut = list(cut)
        self.total -= self.saved_by(cut)
        self._alive[cut] = False
        self.removed |= set(cut)

    def _term(self, index: int) -> float:
        places, into, out, full = self._terms[index]
        inputs = float(self._alive[into].sum()) if full else 1.0
        return places * inputs * float(self._alive[out].sum())


def _counted(graph: Graph) -> list[Step]:
    return [
        step
        for step in graph.steps
        if is_producer(step) or isinstance(step.operation, keras.layers.DepthwiseConv2D)
    ]


def _places(step: Step) -> float:
    """Output places times kernel positions."""
    places = float(np.prod([size or 1 for size in step.outputs[0].shape[1:-1]]))
    return places * float(np.prod(getattr(step.operation, "kernel_size", ())))


def _inputs(step: Step) -> int:
    return (step.inputs[0].shape[-1] or 0) if is_producer(step) else 1


def _spaces(graph: Graph, channels: Channels, importance: Mapping[int, float]) -> list[Space]:
    """Gathers the removable groups that are made by the same layers."""
    makers: dict[int, list[str]] = {}
    for step in first_calls(graph):
        if is_producer(step):
            for group in dict.fromkeys(channels.groups(step.outputs[0]).tolist()):
                makers.setdefault(group, []).append(step.name)
    spaces: dict[tuple[str, ...], list[int]] = {}
    for group, names in makers.items():
        if channels.removable(group):
            spaces.setdefault(tuple(names), []).append(group)
    found = []
    for groups in spaces.values():
        groups.sort(key=lambda group: (importance[group], group))
        found.append(Space(tuple(groups), tuple(importance[group] for group in groups)))
    return found


def _next_cut(space: Space, taken: int, multiple: int) -> int | None:
    """How many groups of a space are gone after its next cut; None if it must stay."""
    remaining = len(space.groups) - taken
    # Where many remain, whole vectors of the processor go at once: fewer would save no time.
    multiple = 2 * multiple if remaining > 2 * multiple else multiple
    rest = remaining % multiple or multiple
    return taken + rest if remaining - rest >= multiple else None
