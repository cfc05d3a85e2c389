"""Sparse encodings: the tables of any matrix are taken, and what leads elsewhere is refused."""

import copy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.sparse_tensors import check_tables

DENSE, ROWS = schema.DimensionType.DENSE, schema.DimensionType.SPARSE_CSR


def level(size=None, ends=(), indices=()):
    made = schema.DimensionMetadataT()
    made.format, made.denseSize = (ROWS, 0) if size is None else (DENSE, size)
    if size is None:
        made.arraySegmentsType = made.arrayIndicesType = schema.SparseIndexVector.Int32Vector
        made.arraySegments, made.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
        made.arraySegments.values = np.array(ends, np.int32)
        made.arrayIndices.values = np.array(indices, np.int32)
    return made


def sparse(matrix, block=1):
    """A tensor of compressed rows, of single values or of blocks along them; and the values."""
    rows, columns = matrix.shape
    groups = matrix.reshape(rows, columns // block, block)
    kept = np.abs(groups).sum(axis=2) > 0
    tensor, table = schema.TensorT(), schema.SparsityParametersT()
    ends = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    table.dimMetadata = [level(rows), level(None, ends, np.nonzero(kept)[1])]
    table.traversalOrder, table.blockMap = np.array([0, 1], np.int32), None
    if block > 1:
        table.dimMetadata.append(level(block))
        table.traversalOrder = np.array([0, 1, 2], np.int32)
        table.blockMap = np.array([1], np.int32)
    tensor.name, tensor.shape, tensor.sparsity = b"kernel", [rows, columns], table
    return tensor, groups[kept].ravel()


@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from([1, 2, 4]), st.integers(0, 2**32 - 1))
def test_tables_of_any_matrix_are_taken_and_of_another_number_of_values_not(r, c, block, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-2, 3, (r, c * block)) * (rng.random((r, c * block)) < 0.5)
    tensor, values = sparse(matrix.astype(np.float32), block)
    check_tables(tensor, len(values))
    with pytest.raises(ValueError, match="values"):
        check_tables(tensor, len(values) + 1)


MATRIX = np.array([[0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 0, 0]], np.float32)


def changed(**values):
    def change(tensor):
        for name, value in values.items():
            vector = getattr(tensor.sparsity.dimMetadata[1], name)
            vector.values = np.array(value, np.int32)

    return change


def another_size(tensor):
    tensor.sparsity.dimMetadata[0].denseSize = 2


def another_order(tensor):
    tensor.sparsity.traversalOrder = np.array([0, 0], np.int32)


def a_block(tensor):
    tensor.sparsity.traversalOrder = np.array([0, 1, 2], np.int32)
    tensor.sparsity.blockMap = np.array([1], np.int32)
    tensor.sparsity.dimMetadata.append(level(3))


LIES = {
    "outside": changed(arrayIndices=[1, 4, 0]),
    "below": changed(arrayIndices=[-1, 3, 0]),
    "same place": changed(arrayIndices=[1, 1, 0]),
    "rows too long": changed(arraySegments=[0, 2, 3, 9]),
    "rows backwards": changed(arraySegments=[0, 3, 2, 3]),
    "a row too few": changed(arraySegments=[0, 2, 3]),
    "another size": another_size,
    "another order": another_order,
    "a block": a_block,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_tables_that_lead_elsewhere_are_refused(lie):
    tensor, values = sparse(MATRIX)
    tensor = copy.deepcopy(tensor)
    lie(tensor)
    with pytest.raises(ValueError, match="sparsity tables"):
        check_tables(tensor, len(values))


@pytest.mark.parametrize("lie", [None, LIES["outside"]], ids=["true", "false"])
def test_a_file_with_a_sparse_kernel(lie, forged, tmp_path):
    file = forged()
    (operator,) = file.operators("FULLY_CONNECTED")
    kernel = file.main.tensors[int(operator.inputs[1])]
    dense = file.model.buffers[kernel.buffer].data.view(np.float32).reshape(kernel.shape).copy()
    dense[:, 1::2] = 0.0
    tensor, values = sparse(dense)
    if lie is not None:
        tensor.sparsity.dimMetadata[1].arrayIndices.values[0] = dense.shape[1] + 5
    kernel.sparsity = tensor.sparsity
    file.model.buffers[kernel.buffer].data = values.view(np.uint8)
    result = file.add_tensor([int(size) for size in kernel.shape])
    file.add_operator("DENSIFY", [int(operator.inputs[1])], [result], "Densify", place=0)
    operator.inputs = [operator.inputs[0], result, *operator.inputs[2:]]
    path = file.write(tmp_path / "m.tflite")
    if lie is not None:
        with pytest.raises(InvalidInputError, match="sparsity tables that lead outside"):
            inspect_tflite(path)
        return
    found = next(
        each for each in inspect_tflite(path).kernels if each.operator == "FULLY_CONNECTED"
    )
    assert (found.elements, found.zeros) == (dense.size, int((dense == 0).sum()))
