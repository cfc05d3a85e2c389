"""Files that are made to take for ever, or all memory: each look at one has an end."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.errors import InvalidInputError, VerificationError
from keras_ganaccel.export import probe
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.verify import verify


class Once:
    """A table that is written once, however often it is referred to."""

    def __init__(self, table):
        self.table, self.offset = table, None

    def Pack(self, builder):
        self.offset = self.offset or self.table.Pack(builder)
        return self.offset


def tables_that_overlap(file):
    file.main.tensors = [Once(table) for table in file.main.tensors[:1]] * 50_000
    file.model.subgraphs = [Once(file.main)] * 50_000


def tables_without_number(file):
    empty = Once(schema.TensorT())
    # Each is a reference and a table of its own, of which nothing is known but that it is there.
    file.main.tensors += [empty] * 90_000
    file.model.buffers += [Once(schema.BufferT())] * 90_000
    file.model.description = b"x" * 2**21


def constants_that_are_shared(file):
    buffer = file.add_buffer(np.zeros(2**20, np.float32))
    for _ in range(30):
        file.main.tensors[file.add_tensor([2**10, 2**10])].buffer = buffer


@pytest.mark.train
@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (tables_that_overlap, "its tables overlap"),
        (tables_without_number, "more than 100000 tables"),
        (constants_that_are_shared, "share the same constants too often"),
    ],
)
def test_small_files_that_unpack_into_huge_ones(lie, message, forged, tmp_path):
    file = forged()
    lie(file)
    path = file.write(tmp_path / "m.tflite")
    assert path.stat().st_size < 8_000_000
    with pytest.raises(InvalidInputError, match=message):
        inspect_tflite(path)


@pytest.mark.train
def test_a_loop_that_ends_on_zeros_alone(forged, data, tmp_path, monkeypatch):
    file = forged()
    logits = int(file.main.outputs[0])
    for name, dtype in (("GREATER", "BOOL"), ("ADD", "FLOAT32")):
        number = file.add_subgraph()
        graph = file.model.subgraphs[number]
        value = file.add_tensor([], graph=number)
        zero = file.add_tensor([], np.float32(0), graph=number)
        result = file.add_tensor([], dtype=dtype, graph=number)
        graph.inputs, graph.outputs = [value], [result]
        file.add_operator(name, [value, zero], [result], name.capitalize(), graph=number)
    axes = file.add_constant(np.int32([0, 1, 2, 3]))
    total, left, moved = file.add_tensor([]), file.add_tensor([]), file.add_tensor([1, 10])
    image = int(file.main.inputs[0])
    file.add_operator("SUM", [image, axes], [total], "Reducer", place=0, keepDims=False)
    file.add_operator("WHILE", [total], [left], "While", condSubgraphIndex=1, bodySubgraphIndex=2)
    file.add_operator("ADD", [logits, left], [moved], "Add")
    file.put_out(moved)
    path = file.write(tmp_path / "loop.tflite")
    assert inspect_tflite(path).loops
    x, y = (part[:3] for part in data.arrays("test"))
    assert verify(path, (0 * x, y), spec=data.spec, latency_repeats=0).accuracy < 1
    monkeypatch.setattr(probe, "_SECONDS", 2)
    with pytest.raises(VerificationError, match=r"loop\.tflite must run"):
        verify(path, (x, y), spec=data.spec, latency_repeats=0)
