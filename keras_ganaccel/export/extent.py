"""How far a flatbuffer reaches and what it unpacks into, found out before anything is unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema

# What a table takes at least, with the reference to it.
_TABLE_BYTES = 8
# What is found behind the last known part may be an operator's options and padding.
_SLACK = 1024
# Each becomes an object of Python's, and is looked at several times.
_MOST_TABLES = 100_000
_ZIP = b"PK\x03\x04"


class _Extent:
    """Counts what tables and vectors take together, and how far the last one reaches."""

    def __init__(self, content: bytes) -> None:
        self._most = 2 * len(content) + 4096
        self._spent = 0
        self._tables = 0
        self.reach = 0

    def spend(self, size: int) -> None:
        self._spent += size
        if self._spent > self._most:
            raise ValueError("its tables overlap")

    def table(self) -> None:
        """Counts a table."""
        self._tables += 1
        if self._tables > _MOST_TABLES:
            raise ValueError(f"more than {_MOST_TABLES} tables")

    def vector(self, table: Any, slot: int, size: int = _TABLE_BYTES) -> int:
        """Counts a vector or string of a table, and returns its length."""
        offset = table._tab.Offset(slot)
        if not offset:
            return 0
        length = table._tab.VectorLen(offset)
        self.spend(4 + length * size)
        end = table._tab.Vector(offset) + length * min(size, 4 if size == _TABLE_BYTES else size)
        self.reach = max(self.reach, end)
        return length


def _tables(
    extent: _Extent, owner: Any, slot: int, get: Any, counted: bool = False
) -> Iterator[Any]:
    offset = owner._tab.Offset(slot)
    length = owner._tab.VectorLen(offset) if offset else 0
    if not counted:
        extent.vector(owner, slot)
    for index in range(length):
        extent.table()
        yield get(index)


def check_extent(content: bytes) -> None:
    """Walks over a flatbuffer's tables before anything is made of them.

    Tables and vectors may be shared, so that a small file unpacks into a huge one; and bytes behind
    the last one belong to nothing. Only the files that TFLite Metadata appends, in an archive, do.
    """
    extent = _Extent(content)
    model = schema.Model.GetRootAs(content, 0)
    if model.ExternalBuffersLength() or model.ExternalBufferGroupsLength():
        raise ValueError("weights in other files")
    extent.vector(model, 12)
    extent.vector(model, 10, 1)
    extent.vector(model, 14, 4)
    for code in _tables(extent, model, 6, model.OperatorCodes):
        extent.vector(code, 6, 1)
    for subgraph in _tables(extent, model, 8, model.Subgraphs):
        _walk_subgraph(extent, subgraph)
    for buffer in _tables(extent, model, 12, model.Buffers, counted=True):
        extent.vector(buffer, 4, 1)
        if buffer.Offset() > 1:
            extent.reach = max(extent.reach, buffer.Offset() + buffer.Size())
    for entry in _tables(extent, model, 16, model.Metadata):
        extent.vector(entry, 4, 1)
    for signature in _tables(extent, model, 18, model.SignatureDefs):
        extent.vector(signature, 8, 1)
        for slot, maps in ((4, signature.Inputs), (6, signature.Outputs)):
            for item in _tables(extent, signature, slot, maps):
                extent.vector(item, 4, 1)
    rest = content[extent.reach :]
    if len(rest) > _SLACK and _ZIP not in rest[: _SLACK + len(_ZIP)]:
        raise ValueError(f"{len(rest)} bytes behind its end belong to nothing")


def _walk_subgraph(extent: _Extent, subgraph: Any) -> None:
    for slot, size in ((6, 4), (8, 4), (12, 1)):
        extent.vector(subgraph, slot, size)
    for tensor in _tables(extent, subgraph, 4, subgraph.Tensors):
        for slot, size in ((4, 4), (10, 1), (18, 4)):
            extent.vector(tensor, slot, size)
        quantization, sparsity = tensor.Quantization(), tensor.Sparsity()
        if quantization is not None:
            for slot, size in ((4, 4), (6, 4), (8, 4), (10, 8)):
                extent.vector(quantization, slot, size)
        if sparsity is not None:
            for slot in (4, 6):
                extent.vector(sparsity, slot, 4)
            for _ in _tables(extent, sparsity, 8, sparsity.DimMetadata):
                pass
        for _ in _tables(extent, tensor, 22, tensor.VariantTensors):
            pass
    for operator in _tables(extent, subgraph, 10, subgraph.Operators):
        for slot, size in ((6, 4), (8, 4), (14, 1), (18, 1), (20, 4)):
            extent.vector(operator, slot, size)
