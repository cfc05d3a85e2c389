"""Weights behind operators, in called graphs and sparse encodings: counted, refused, or told of."""

import copy
import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.errors import GanAccelError, InvalidInputError, VerificationError
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.tflite_schema import constant
from keras_ganaccel.export.verify import verify


@pytest.fixture(scope="module")
def plain(published):
    return inspect_tflite(published / "student_float32.tflite")


def elements(facts):
    return sum(kernel.elements for kernel in facts.kernels)


def dense_of(file):
    """The last operator, and the numbers of its input, kernel and bias."""
    (operator,) = file.operators("FULLY_CONNECTED")
    return operator, *map(int, operator.inputs)


def behind_reshape(file, operator, **quantization):
    """Puts a RESHAPE, which changes nothing, before an operator's kernel."""
    kernel = int(operator.inputs[1])
    tensor = copy.deepcopy(file.main.tensors[kernel])
    tensor.buffer, tensor.name = 0, b"reshaped"
    for key, value in quantization.items():
        setattr(tensor.quantization, key, value)
    file.main.tensors.append(tensor)
    result = len(file.main.tensors) - 1
    shape = file.add_constant(np.int32([int(size) for size in tensor.shape]))
    file.add_operator("RESHAPE", [kernel, shape], [result], place=0)
    operator.inputs = [operator.inputs[0], result, *operator.inputs[2:]]


# Those that can be counted are.


def test_kernels_behind_a_reshape_are_counted(forged, plain, tmp_path):
    file = forged()
    operator, _, kernel, _ = dense_of(file)
    flat = copy.deepcopy(file.main.tensors[kernel])
    shape = [int(size) for size in flat.shape]
    flat.shape, flat.shapeSignature = [math.prod(shape)], None
    file.main.tensors.append(flat)
    source, result = len(file.main.tensors) - 1, file.add_tensor(shape)
    operator.inputs = [operator.inputs[0], result, *operator.inputs[2:]]
    sizes = file.add_constant(np.int32(shape))
    file.add_operator("RESHAPE", [source, sizes], [result], place=0)
    found = inspect_tflite(file.write(tmp_path / "m.tflite"))
    assert (elements(found), found.parameters) == (elements(plain), plain.parameters)
    assert (found.sparsity, found.macs) == (plain.sparsity, plain.macs)


def in_a_graph_of_its_own(file):
    """Moves the last layer into a graph that is given the kernel, and calls it in a branch."""
    operator, features, kernel, bias = dense_of(file)
    inner = file.add_subgraph()
    graph = file.model.subgraphs[inner]
    graph.inputs = [
        file.add_tensor(file.main.tensors[index].shape, graph=inner)
        for index in (features, kernel, bias)
    ]
    graph.outputs = [file.add_tensor([1, 10], graph=inner)]
    moved = copy.deepcopy(operator)
    moved.inputs, moved.outputs = list(graph.inputs), list(graph.outputs)
    graph.operators = [moved]
    other = file.add_subgraph(graph)
    file.main.operators.remove(operator)
    yes = file.add_constant(np.bool_(True))
    file.add_operator(
        "IF", [yes, features, kernel, bias], operator.outputs, "If",
        thenSubgraphIndex=inner, elseSubgraphIndex=other,
    )  # fmt: skip


def test_kernels_that_a_branch_is_given_are_counted(forged, plain, tmp_path):
    file = forged()
    in_a_graph_of_its_own(file)
    found = inspect_tflite(file.write(tmp_path / "m.tflite"))
    assert (elements(found), found.parameters) == (elements(plain), plain.parameters)
    assert found.further_weights == 0
    # How often a branch is taken is not in the file.
    assert found.macs is None


def test_constants_that_a_branch_puts_out_are_parameters(forged, plain, tmp_path):
    file = forged()
    logits = int(file.main.outputs[0])
    for _ in range(2):
        graph = file.model.subgraphs[file.add_subgraph()]
        number = len(file.model.subgraphs) - 1
        values = np.ones((10, 10), np.float32)
        graph.inputs, graph.outputs = [], [file.add_tensor([10, 10], values, graph=number)]
    yes, factor, mixed = (
        file.add_constant(np.bool_(True)),
        *(file.add_tensor(shape) for shape in ([10, 10], [1, 10])),
    )
    file.add_operator("IF", [yes], [factor], "If", thenSubgraphIndex=1, elseSubgraphIndex=2)
    file.add_operator("BATCH_MATMUL", [logits, factor], [mixed], "BatchMatMul")
    file.put_out(mixed)
    path = file.write(tmp_path / "m.tflite")
    with pytest.raises(InvalidInputError, match="the kernel of BATCH_MATMUL is computed by IF"):
        inspect_tflite(path)
    # As factors they are no kernel, and told of.
    file.operators("BATCH_MATMUL")[0].opcodeIndex = file.add_code("MUL")
    file.main.operators[-1].builtinOptionsType = schema.BuiltinOptions.MulOptions
    file.main.operators[-1].builtinOptions = schema.MulOptionsT()
    file.main.tensors[mixed].shape = [10, 10]
    found = inspect_tflite(file.write(path))
    assert found.further_weights == 200
    assert found.parameters == plain.parameters + 200


# Those that cannot be counted are refused, or told of.


def product_with_one(file):
    """kernel = 1 * constant: the interpreter computes it, so that nobody sees its values."""
    operator = file.operators("CONV_2D")[0]
    kernel = int(operator.inputs[1])
    hidden = file.add_tensor(file.main.tensors[kernel].shape)
    operator.inputs = [operator.inputs[0], hidden, *operator.inputs[2:]]
    one = file.add_constant(np.float32([1]))
    file.add_operator("MUL", [kernel, one], [hidden], "Mul", place=0)


def data_in_two_places(file):
    """The interpreter takes what is inside; zeros are said to lie behind the end."""
    file.model.buffers[file.kernel().buffer].offset = 64
    file.model.buffers[file.kernel().buffer].size = 4


def integers_taken_as_they_are(file):
    """Zero at 128, and then cast: not a single zero is left."""
    operator, _, kernel, _ = dense_of(file)
    shape = [int(size) for size in file.main.tensors[kernel].shape]
    full = file.add_tensor(shape, np.full(shape, 128, np.uint8), dtype="UINT8")
    quantization = file.main.tensors[full].quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [1.0], [128]
    hidden = file.add_tensor(shape)
    file.add_operator("CAST", [full], [hidden], "Cast", place=0, inDataType=3)
    operator.inputs = [operator.inputs[0], hidden, *operator.inputs[2:]]


@pytest.mark.parametrize("lie", [product_with_one, data_in_two_places, integers_taken_as_they_are])
def test_kernels_that_nobody_can_count(lie, forged, data, tmp_path):
    file = forged()
    lie(file)
    path = file.write(tmp_path / "lie.tflite")
    for use in (inspect_tflite, lambda path: verify(path, data, latency_repeats=0)):
        with pytest.raises(GanAccelError, match=r"lie\.tflite is not a valid"):
            use(path)


def test_zero_points_of_kernels_do_not_make_zeros(forged, tmp_path):
    file = forged("int8")
    values = np.asarray(constant(file.model, file.kernel())).view(np.int8)
    common = int(np.bincount(values.astype(int) + 128).argmax()) - 128
    common = common or int(values[values != 0][0])
    quantization = file.kernel().quantization
    quantization.zeroPoint = [common] * len(quantization.scale)
    with pytest.raises(InvalidInputError, match="a zero point other than 0"):
        inspect_tflite(file.write(tmp_path / "lie.tflite"))


def test_zero_points_do_not_change_on_the_way_to_a_kernel(forged, tmp_path):
    file = forged("int8")
    operator = dense_of(file)[0]
    behind_reshape(file, operator)
    assert inspect_tflite(file.write(tmp_path / "m.tflite")).macs == 105600
    other = forged("int8")
    operator = dense_of(other)[0]
    channels = len(other.main.tensors[operator.inputs[1]].quantization.scale)
    behind_reshape(other, operator, zeroPoint=[7] * channels)
    with pytest.raises(InvalidInputError, match=r"RESHAPE gives the values of .* another meaning"):
        inspect_tflite(other.write(tmp_path / "lie.tflite"))


def as_factor_and_sum(file):
    """A dense layer without any: its kernel is multiplied by its input, and summed up."""
    operator, features, kernel, bias = dense_of(file)
    file.main.operators.remove(operator)
    products, sums, row = (file.add_tensor(shape) for shape in ([10, 64], [10], [1, 10]))
    axis, shape = file.add_constant(np.int32([1])), file.add_constant(np.int32([1, 10]))
    file.add_operator("MUL", [features, kernel], [products], "Mul")
    file.add_operator("SUM", [products, axis], [sums], "Reducer", keepDims=False)
    file.add_operator("RESHAPE", [sums, shape], [row])
    file.add_operator("ADD", [row, bias], operator.outputs, "Add")


def as_sum_with_nothing(file):
    """kernel = constant + 0 * sum(input): computed from the input, so it seems."""
    operator, _, kernel, _ = dense_of(file)
    axes, zero = file.add_constant(np.int32([0, 1, 2, 3])), file.add_constant(np.float32(0))
    total, nothing = file.add_tensor([]), file.add_tensor([])
    hidden = file.add_tensor(file.main.tensors[kernel].shape)
    image = int(file.main.inputs[0])
    file.add_operator("SUM", [image, axes], [total], "Reducer", place=0, keepDims=False)
    file.add_operator("MUL", [total, zero], [nothing], "Mul", place=1)
    file.add_operator("ADD", [kernel, nothing], [hidden], "Add", place=2)
    operator.inputs = [operator.inputs[0], hidden, *operator.inputs[2:]]


@pytest.mark.train
@pytest.mark.parametrize("lie", [as_factor_and_sum, as_sum_with_nothing])
def test_weights_in_no_kernel_are_told_of_and_keep_no_promise(lie, forged, plain, data, tmp_path):
    file = forged()
    lie(file)
    path = file.write(tmp_path / "lie.tflite")
    found = verify(path, data, latency_repeats=0)
    assert found.accuracy > 0.98
    assert inspect_tflite(path).further_weights == 640
    assert found.parameters >= plain.parameters
    assert found.notes[0].startswith("640 weights of lie.tflite are in no kernel")
    for promise in ({"sparsity": 0.0}, {"number_of_clusters": 10**6}):
        with pytest.raises(VerificationError, match="640 weights are in no kernel"):
            verify(path, data, promises=promise, latency_repeats=0)
