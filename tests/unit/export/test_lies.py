"""Files that lie: they are refused in one line, or what is said of them is true all the same."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.data.sources import load_data
from keras_ganaccel.errors import GanAccelError, InvalidInputError, VerificationError
from keras_ganaccel.export import flatbuffer
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.metadata import ENTRY
from keras_ganaccel.export.predict import predict, predict_files
from keras_ganaccel.export.tflite_schema import constant, operator_name
from keras_ganaccel.export.verify import verify

PUBLISHED = Path(__file__).parents[3] / "saved_models" / "digits"
FLOAT, INT8 = PUBLISHED / "student_float32.tflite", PUBLISHED / "student_int8.tflite"


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


def unpacked(source=FLOAT):
    return schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0)


def entry_of(model):
    return next(e for e in model.metadata if e.name == ENTRY.encode())


def described(model, **change):
    buffer = model.buffers[entry_of(model).buffer]
    values = {**json.loads(bytes(buffer.data)), **change}
    buffer.data = np.frombuffer(json.dumps(values).encode(), np.uint8)
    return model


def written(model, path):
    path.write_bytes(flatbuffer.pack(model))
    return path


def measured(path, data):
    return verify(path, data, latency_repeats=0)


def operators(model, name):
    return [op for op in model.subgraphs[0].operators if operator_name(model, op) == name]


def kernel_tensor(model, name="CONV_2D"):
    return model.subgraphs[0].tensors[operators(model, name)[0].inputs[1]]


def add_tensor(model, shape, values=None, name=b"planted", dtype=schema.TensorType.FLOAT32):
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.name = list(shape), dtype, name
    tensor.buffer = 0
    if values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def add_operator(model, builtin, inputs, outputs, place=None, custom=None):
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, 127)
    code.version, code.customCode = 1, custom
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = list(inputs), list(outputs)
    place = len(model.subgraphs[0].operators) if place is None else place
    model.subgraphs[0].operators.insert(place, operator)
    return operator


# What the metadata say.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": list("9876543210")}, "class 0 is '9' in the file and '0' in the data"),
        ({"class_names": list("012345678")}, "a name for each of 10 classes"),
        ({"class_names": [f"n{i}" for i in range(10)]}, "class 0 is 'n0'"),
        ({"class_names": ["a"] * 10}, "must be different"),
        ({"value_range": [0, 255]}, "0,255 in the file and 0,16 in the data"),
        ({"value_range": [16, 0]}, "the lower first"),
        ({"quantization": "int8"}, "Received: 'int8', and tensors of 'float32'"),
        ({"output": "softmax"}, r"must lie in \[0, 1\]"),
        ({"output": "binary_logit"}, "'binary_logit' with 10 numbers"),
        ({"output": "samples"}, "Only a classifier's output"),
    ],
)
def test_lies_of_the_metadata(change, message, data, tmp_path):
    path = written(described(unpacked(), **change), tmp_path / "lie.tflite")
    with pytest.raises(GanAccelError, match=message) as caught:
        measured(path, data)
    assert str(caught.value).isprintable()


def test_names_in_another_order_contradict_labels_that_are_numbers(data, tmp_path):
    lie = described(unpacked(), class_names=list("1023456789"))
    with pytest.raises(InvalidInputError, match="class 0 is '1'"):
        measured(written(lie, tmp_path / "lie.tflite"), data.arrays("test"))


def test_arrays_do_not_confirm_a_value_range(data, tmp_path, caplog):
    lie = described(unpacked(), value_range=[0, 255])
    found = measured(written(lie, tmp_path / "lie.tflite"), data.arrays("test"))
    assert found.input == {"shape": [1, 8, 8, 1], "scale": None, "offset": None}
    assert "0,255 is its own word" in caplog.text


def test_where_the_user_overrides_it_is_said(data, tmp_path, caplog):
    lie = written(described(unpacked(), value_range=[0, 255]), tmp_path / "lie.tflite")
    found = verify(lie, data, value_range=(0, 16), latency_repeats=0)
    assert found.accuracy > 0.98
    assert found.notes == ("value_range 0,16 is used as given; lie.tflite says 0,255",)
    assert found.notes[0] in caplog.text


def test_verify_and_predict_take_the_files_own_input_range(data, tmp_path):
    # The same network for samples in [-1, 1]: its first kernel halved, its bias moved.
    model = described(unpacked(), input_range=[-1, 1])
    main = model.subgraphs[0]
    image = main.inputs[0]
    half = add_tensor(model, [1], np.float32([0.5]))
    scaled, moved = (add_tensor(model, [1, 8, 8, 1], name=n) for n in (b"scaled", b"moved"))
    for operator in main.operators:
        operator.inputs = [moved if i == image else i for i in operator.inputs]
    for place, (builtin, sources, result, options) in enumerate(
        [
            (schema.BuiltinOperator.MUL, [image, half], scaled, "Mul"),
            (schema.BuiltinOperator.ADD, [scaled, half], moved, "Add"),
        ]
    ):
        operator = add_operator(model, builtin, sources, [result], place)
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
        operator.builtinOptions = getattr(schema, f"{options}OptionsT")()
    path = written(model, tmp_path / "signed.tflite")
    found, plain = measured(path, data), measured(FLOAT, data)
    assert found.accuracy == plain.accuracy > 0.98
    assert found.input["scale"] == 2 / 16
    assert found.notes == ()
    np.save(tmp_path / "raw.npy", data.x[data.splits.test])
    labels = [int(row["label"]) for row in predict_files(path, tmp_path / "raw.npy")]
    assert np.mean(labels == data.y[data.splits.test]) == found.accuracy
    wrong = verify(path, data, input_range=(0.0, 1.0), latency_repeats=0)
    assert wrong.notes == ("input_range 0,1 is used as given; signed.tflite says -1,1",)


# What the graph says.


def shrunk_shapes(model):
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        for operator in operators(model, name):
            tensor = model.subgraphs[0].tensors[operator.outputs[0]]
            tensor.shape = [1, 1, 1, list(tensor.shape)[3]]


def test_costs_are_those_of_the_shapes_that_are_computed(data, tmp_path):
    model = unpacked()
    shrunk_shapes(model)
    found = measured(written(model, tmp_path / "lie.tflite"), data)
    assert found.macs == inspect_tflite(FLOAT).macs == 105600
    assert found.accuracy > 0.98


def dead_operator(model):
    main = model.subgraphs[0]
    kernel = add_tensor(model, [64, 64], np.zeros((64, 64), np.float32))
    rows = add_tensor(model, [1, 64])
    flat = add_tensor(model, [2], np.int32([1, 64]), dtype=schema.TensorType.INT32)
    result = add_tensor(model, [1, 64])
    add_operator(model, schema.BuiltinOperator.RESHAPE, [main.inputs[0], flat], [rows])
    operator = add_operator(
        model, schema.BuiltinOperator.FULLY_CONNECTED, [rows, kernel, -1], [result]
    )
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()


def unreached_subgraph(model):
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))


def signature_of_another_graph(model):
    unreached_subgraph(model)
    model.signatureDefs[0].subgraphIndex = 1


def signature_of_other_tensors(model):
    model.signatureDefs[0].outputs[0].tensorIndex = int(model.subgraphs[0].operators[0].outputs[0])


def signature_twice(model):
    model.signatureDefs.append(copy.deepcopy(model.signatureDefs[0]))


def call_of_itself(model):
    main = model.subgraphs[0]
    result = add_tensor(model, [1, 10])
    operator = add_operator(model, schema.BuiltinOperator.CALL, main.inputs, [result])
    operator.builtinOptionsType = schema.BuiltinOptions.CallOptions
    operator.builtinOptions = schema.CallOptionsT()
    operator.builtinOptions.subgraph = 0
    main.outputs = [result]
    model.signatureDefs = None


def missing_subgraph(model):
    call_of_itself(model)
    model.subgraphs[0].operators[-1].builtinOptions.subgraph = 7


def negative_size(model):
    model.subgraphs[0].tensors[-1].shape = [-1, 10]


def huge_size(model):
    computed = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].outputs[0]]
    computed.shape = [2**31 - 1] * 4


def said_size(model):
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shapeSignature = [1, 16, 16, 1]


def kernel_of_nan(model):
    buffer = model.buffers[kernel_tensor(model).buffer]
    values = np.frombuffer(bytes(buffer.data), np.float32).copy()
    values[3] = np.nan
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)


def kernel_of_infinity(model):
    buffer = model.buffers[kernel_tensor(model).buffer]
    values = np.frombuffer(bytes(buffer.data), np.float32).copy()
    values[3] = np.inf
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)


def computed_kernel(model):
    """kernel = 1 * constant: the interpreter computes it, so that nobody sees its values."""
    operator = operators(model, "CONV_2D")[0]
    kernel = int(operator.inputs[1])
    one = add_tensor(model, [1], np.float32([1]))
    hidden = add_tensor(model, list(model.subgraphs[0].tensors[kernel].shape))
    operator.inputs = [operator.inputs[0], hidden, *operator.inputs[2:]]
    product = add_operator(model, schema.BuiltinOperator.MUL, [kernel, one], [hidden], 0)
    product.builtinOptionsType = schema.BuiltinOptions.MulOptions
    product.builtinOptions = schema.MulOptionsT()


def custom_operator_of_a_builtins_name(model):
    operator = operators(model, "CONV_2D")[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.deprecatedBuiltinCode, code.customCode, code.version = 32, b"CONV_2D", 1
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1


def random_operator(model):
    operators(model, "CONV_2D")[0].opcodeIndex = len(model.operatorCodes)
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = schema.BuiltinOperator.RANDOM_UNIFORM, 1
    code.deprecatedBuiltinCode = 127
    model.operatorCodes.append(code)


def data_in_buffer_0(model):
    model.buffers[0].data = np.zeros(4, np.uint8)


def weights_elsewhere(model):
    model.externalBuffers = [schema.ExternalBufferT()]


def metadata_twice(model):
    model.metadata.append(copy.deepcopy(entry_of(model)))


def order_reversed(model):
    model.subgraphs[0].operators.reverse()


def two_outputs(model):
    main = model.subgraphs[0]
    main.outputs = [*main.outputs, main.operators[0].outputs[0]]
    model.signatureDefs = None


LIES = [
    dead_operator, unreached_subgraph, signature_of_another_graph, signature_of_other_tensors,
    signature_twice, call_of_itself, missing_subgraph, negative_size, huge_size, said_size,
    kernel_of_nan, kernel_of_infinity, computed_kernel, custom_operator_of_a_builtins_name,
    random_operator, data_in_buffer_0, weights_elsewhere, metadata_twice, order_reversed,
    two_outputs,
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_lies_of_the_graph(lie, data, tmp_path):
    model = unpacked()
    lie(model)
    path = written(model, tmp_path / "lie.tflite")
    for use in (lambda: measured(path, data), lambda: predict(path, data.arrays("test")[0])):
        with pytest.raises(GanAccelError, match=r"lie\.tflite") as caught:
            use()
        assert str(caught.value).isprintable()


def zero_scale(model, index):
    model.subgraphs[0].tensors[index].quantization.scale = [0.0]


def scale_of_nan(model, index):
    model.subgraphs[0].tensors[index].quantization.scale = [np.nan]


def far_zero_point(model, index):
    model.subgraphs[0].tensors[index].quantization.zeroPoint = [1000]


@pytest.mark.parametrize("lie", [zero_scale, scale_of_nan, far_zero_point])
@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_lies_of_the_quantization(lie, end, tmp_path):
    model = unpacked(INT8)
    lie(model, getattr(model.subgraphs[0], end)[0])
    with pytest.raises(InvalidInputError, match="not a valid TFLite flatbuffer"):
        inspect_tflite(written(model, tmp_path / "lie.tflite"))


def test_a_builtins_name_does_not_make_a_builtin(tmp_path):
    model = unpacked()
    custom_operator_of_a_builtins_name(model)
    allowed = inspect_tflite(FLOAT).operators
    with pytest.raises(InvalidInputError, match="Received: CUSTOM CONV_2D"):
        inspect_tflite(written(model, tmp_path / "m.tflite"), allowed_operators=allowed)


def test_zero_points_of_kernels_do_not_make_zeros(tmp_path):
    model = unpacked(INT8)
    tensor = kernel_tensor(model)
    values = np.asarray(constant(model, tensor)).view(np.int8)
    common = int(np.bincount(values.astype(int) + 128).argmax()) - 128
    common = common or int(values[values != 0][0])
    tensor.quantization.zeroPoint = [common] * len(tensor.quantization.scale)
    with pytest.raises(InvalidInputError, match="a zero point other than 0"):
        inspect_tflite(written(model, tmp_path / "lie.tflite"))


def test_kernels_behind_a_reshape_are_counted(tmp_path):
    model = unpacked()
    operator = operators(model, "FULLY_CONNECTED")[0]
    tensor = model.subgraphs[0].tensors[operator.inputs[1]]
    shape = [int(n) for n in tensor.shape]
    flat = copy.deepcopy(tensor)
    flat.shape, flat.name = [math.prod(shape)], b"flat"
    flat.shapeSignature = None
    model.subgraphs[0].tensors.append(flat)
    flat_index = len(model.subgraphs[0].tensors) - 1
    sizes = add_tensor(model, [2], np.int32(shape), dtype=schema.TensorType.INT32)
    result = add_tensor(model, shape)
    operator.inputs = [operator.inputs[0], result, *operator.inputs[2:]]
    add_operator(model, schema.BuiltinOperator.RESHAPE, [flat_index, sizes], [result], 0)
    found, plain = inspect_tflite(written(model, tmp_path / "m.tflite")), inspect_tflite(FLOAT)
    assert sum(k.elements for k in found.kernels) == sum(k.elements for k in plain.kernels)
    assert (found.sparsity, found.macs) == (plain.sparsity, plain.macs)


def test_bytes_behind_the_end(data, tmp_path):
    content = INT8.read_bytes()
    path = tmp_path / "long.tflite"
    path.write_bytes(content + b"\xaa" * 5000)
    with pytest.raises(InvalidInputError, match="behind its end belong to nothing"):
        inspect_tflite(path)
    # TFLite Metadata appends its files in an archive.
    path.write_bytes(content + b"PK\x03\x04" + b"\xaa" * 5000)
    assert inspect_tflite(path).bytes == len(content) + 5004


class Once:
    """A table that is written once, however often it is referred to."""

    def __init__(self, table):
        self.table, self.offset = table, None

    def Pack(self, builder):
        self.offset = self.offset or self.table.Pack(builder)
        return self.offset


def test_tables_that_overlap_are_refused_before_they_are_unpacked(tmp_path):
    model = unpacked()
    model.subgraphs[0].tensors = [Once(t) for t in model.subgraphs[0].tensors[:1]] * 50_000
    model.subgraphs = [Once(model.subgraphs[0])] * 50_000
    path = written(model, tmp_path / "m.tflite")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InvalidInputError, match="its tables overlap"):
        inspect_tflite(path)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder.tflite").mkdir()
    for name in ("folder.tflite", "none.tflite"):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            inspect_tflite(tmp_path / name)
    with open(tmp_path / "large.tflite", "wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(InvalidInputError, match="2147483649 bytes"):
        inspect_tflite(tmp_path / "large.tflite")


def test_outputs_that_are_no_numbers(data, tmp_path):
    model = described(unpacked())
    bias = model.subgraphs[0].tensors[operators(model, "FULLY_CONNECTED")[0].inputs[2]]
    values = np.full(10, 3e38, np.float32)
    kernel = model.subgraphs[0].tensors[operators(model, "FULLY_CONNECTED")[0].inputs[1]]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    bias.buffer = len(model.buffers) - 1
    huge = schema.BufferT()
    huge.data = np.frombuffer(
        np.full(math.prod(kernel.shape), 3e38, np.float32).tobytes(), np.uint8
    )
    model.buffers.append(huge)
    kernel.buffer = len(model.buffers) - 1
    with pytest.raises(VerificationError, match="Outputs must be numbers"):
        measured(written(model, tmp_path / "m.tflite"), data)


def test_samples_that_are_no_numbers(data):
    x, y = data.arrays("test")
    x[7, 0, 0, 0] = np.nan
    with pytest.raises(InvalidInputError, match=r"finite numbers.*1 of 540"):
        verify(FLOAT, (x, y), latency_repeats=0)


# Mutations of every kind.


def mutated(content, rng):
    """Changes bytes, or fields of the object tree."""
    if rng.random() < 0.5:
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        return bytes(damaged)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for _ in range(rng.integers(1, 3)):
        mutate_field(model, rng)
    return flatbuffer.pack(model)


def mutate_field(node, rng, depth=0):
    fields = [key for key, value in vars(node).items() if value is not None]
    key = fields[rng.integers(len(fields))]
    value = getattr(node, key)
    if hasattr(value, "__dict__"):
        return mutate_field(value, rng, depth + 1)
    if isinstance(value, list) and value and hasattr(value[0], "__dict__"):
        if rng.random() < 0.8:
            return mutate_field(value[rng.integers(len(value))], rng, depth + 1)
        return setattr(node, key, value[: rng.integers(len(value))])
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return setattr(node, key, int(rng.choice([0, 1, abs(value - 1), value + 1])))
    if isinstance(value, float):
        return setattr(node, key, float(rng.choice([0.0, -value, np.nan, np.inf])))
    if isinstance(value, bool):
        return setattr(node, key, not value)
    if isinstance(value, bytes):
        return setattr(node, key, bytes(rng.integers(256, size=3, dtype=np.uint8)))
    array = np.array(value)
    if array.size and np.issubdtype(array.dtype, np.number):
        place = rng.integers(array.size)
        array[place] = rng.choice([0, 1, array[place] // 2, array[place] + 1]).astype(array.dtype)
        return setattr(node, key, array)
    return None


def recounted(path, data):
    """Accuracy and costs by the interpreter alone, which reads nothing of ours."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    x, y = data
    right = 0
    for sample, label in zip(x, y, strict=True):
        values = sample[None]
        if given["dtype"] != np.float32:
            scale, zero = given["quantization"]
            limits = np.iinfo(given["dtype"])
            values = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
        interpreter.set_tensor(given["index"], values.astype(given["dtype"]))
        interpreter.invoke()
        right += interpreter.get_tensor(result["index"])[0].argmax() == label
    macs = 0
    for op in interpreter._get_ops_details():
        shape = lambda i: interpreter._get_tensor_details(i, 0)["shape"]  # noqa: E731
        if op["op_name"] in ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):
            kernel, out = shape(op["inputs"][1]), shape(op["outputs"][0])
            each = kernel[1:3] if op["op_name"] == "DEPTHWISE_CONV_2D" else kernel[1:]
            macs += int(np.prod(out) * np.prod(each))
    return right / len(y), macs


@pytest.mark.parametrize("source", [FLOAT, INT8], ids=["float32", "int8"])
def test_mutations_are_refused_or_the_figures_are_true(source, data, tmp_path):
    rng = np.random.default_rng(20261127)
    x, y = (part[:40] for part in data.arrays("test"))
    content, path = source.read_bytes(), tmp_path / "m.tflite"
    refused, true = 0, 0
    for _ in range(25):
        path.write_bytes(mutated(content, rng))
        try:
            found = verify(path, (x, y), spec=data.spec, latency_repeats=0)
        except GanAccelError as error:
            assert str(error).isprintable()  # noqa: PT017
            refused += 1
            continue
        accuracy, macs = recounted(path, (x, y))
        assert abs(found.accuracy - accuracy) <= 1 / len(y)
        assert found.macs == macs
        assert found.bytes == path.stat().st_size
        assert found.format == source.stem.removeprefix("student_")
        true += 1
    assert refused > 5
    assert true > 5
