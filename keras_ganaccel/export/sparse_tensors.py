"""Whether the tables of a sparsely stored tensor lead to its values, each to a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.export.tflite_schema import shape_of


def check_tables(tensor: Any, stored: int) -> None:
    """Checks a tensor's sparsity tables, along which the interpreter places values unchecked.

    Args:
        tensor: A tensor that is stored sparsely.
        stored: How many values it stores.

    Raises:
        ValueError: Two values share a place, one lies outside, or there are more or fewer.
    """
    table, shape = tensor.sparsity, shape_of(tensor)
    order, blocks, levels = (
        [] if each is None else list(each)
        for each in (table.traversalOrder, table.blockMap, table.dimMetadata)
    )
    rank = len(shape)
    if (
        sorted(order) != list(range(rank + len(blocks)))
        or len(levels) != len(order)
        or len(set(blocks)) < len(blocks)
        or not set(blocks) <= set(range(rank))
    ):
        raise ValueError("sparsity tables that are not those of its shape")
    sizes = _sizes(shape, order, blocks, levels)
    places = 1
    for axis, level in zip(order, levels, strict=True):
        if level.format == schema.DimensionType.DENSE:
            if level.denseSize != sizes[axis]:
                raise ValueError("sparsity tables of another size")
            places *= sizes[axis]
        else:
            places = _entries(level, places, sizes[axis])
    if places != stored:
        raise ValueError(f"sparsity tables for {places} values, {stored} stored")


def _sizes(
    shape: Sequence[int], order: Sequence[int], blocks: Sequence[int], levels: Sequence[Any]
) -> list[int]:
    """The sizes of the axes: those of the shape in blocks, and those of a block."""
    sizes = list(shape)
    for number, axis in enumerate(blocks):
        level = levels[order.index(len(shape) + number)]
        dense = level.format == schema.DimensionType.DENSE
        if not dense or level.denseSize < 1 or sizes[axis] % level.denseSize:
            raise ValueError("sparsity tables with blocks that do not fit")
        sizes[axis] //= level.denseSize
        sizes.append(level.denseSize)
    return sizes


def _entries(level: Any, places: int, size: int) -> int:
    """Checks one level of compressed rows, and returns how many entries it has."""
    ends, indices = (_values(each) for each in (level.arraySegments, level.arrayIndices))
    if len(ends) != places + 1 or ends[0] != 0 or ends[-1] != len(indices):
        raise ValueError("sparsity tables whose rows do not end where its entries do")
    lengths = np.diff(ends)
    if (lengths < 0).any() or (len(indices) and not 0 <= indices.min() <= indices.max() < size):
        raise ValueError("sparsity tables that lead outside")
    # Within a row, each entry lies behind the one before it.
    rows = np.repeat(np.arange(places), lengths)
    if (np.diff(rows * size + indices) <= 0).any():
        raise ValueError("sparsity tables in which two values share a place")
    return len(indices)


def _values(vector: Any) -> np.ndarray:
    if vector is None or vector.values is None:
        return np.zeros(0, np.int64)
    return np.asarray(vector.values, np.int64)
