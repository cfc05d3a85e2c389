"""Files that lie: they are refused in one line, or what is said of them is true all the same."""

import copy
import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.errors import GanAccelError, InvalidInputError, VerificationError
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.predict import predict, predict_files
from keras_ganaccel.export.tflite_schema import constant
from keras_ganaccel.export.verify import verify


def measured(path, data):
    return verify(path, data, latency_repeats=0)


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
def test_lies_of_the_metadata(change, message, forged, data, tmp_path):
    path = forged().describe(**change).write(tmp_path / "lie.tflite")
    with pytest.raises(GanAccelError, match=message) as caught:
        measured(path, data)
    assert str(caught.value).isprintable()


def test_names_in_another_order_contradict_labels_that_are_numbers(forged, data, tmp_path):
    lie = forged().describe(class_names=list("1023456789"))
    with pytest.raises(InvalidInputError, match="class 0 is '1'"):
        measured(lie.write(tmp_path / "lie.tflite"), data.arrays("test"))


def test_arrays_do_not_confirm_a_value_range(forged, data, tmp_path, caplog):
    lie = forged().describe(value_range=[0, 255])
    found = measured(lie.write(tmp_path / "lie.tflite"), data.arrays("test"))
    assert found.input == {"shape": [1, 8, 8, 1], "scale": None, "offset": None}
    assert "0,255 is its own word" in caplog.text


def test_where_the_user_overrides_it_is_said(forged, data, tmp_path, caplog):
    lie = forged().describe(value_range=[0, 255]).write(tmp_path / "lie.tflite")
    found = verify(lie, data, value_range=(0, 16), latency_repeats=0)
    assert found.accuracy > 0.98
    assert found.notes == ("value_range 0,16 is used as given; lie.tflite says 0,255",)
    assert found.notes[0] in caplog.text


def test_verify_and_predict_take_the_files_own_input_range(forged, published, data, tmp_path):
    # The same network for samples in [-1, 1]: its input is halved and moved.
    file = forged().describe(input_range=[-1, 1])
    image, half = int(file.main.inputs[0]), file.add_constant(np.float32([0.5]))
    scaled, moved = (file.add_tensor([1, 8, 8, 1], name=n) for n in (b"scaled", b"moved"))
    for operator in file.main.operators:
        operator.inputs = [moved if i == image else i for i in operator.inputs]
    file.add_operator("MUL", [image, half], [scaled], "Mul", place=0)
    file.add_operator("ADD", [scaled, half], [moved], "Add", place=1)
    path = file.write(tmp_path / "signed.tflite")
    found, plain = measured(path, data), measured(published / "student_float32.tflite", data)
    assert found.accuracy == plain.accuracy > 0.98
    assert found.input["scale"] == 2 / 16
    assert found.notes == ()
    np.save(tmp_path / "raw.npy", data.x[data.splits.test])
    labels = [int(row["label"]) for row in predict_files(path, tmp_path / "raw.npy")]
    assert np.mean(labels == data.y[data.splits.test]) == found.accuracy
    wrong = verify(path, data, input_range=(0.0, 1.0), latency_repeats=0)
    assert wrong.notes == ("input_range 0,1 is used as given; signed.tflite says -1,1",)


@pytest.mark.parametrize("name", ["\ud800", "dog\u202egod", "cat\u2028dog", "x" * 2000])
def test_names_that_a_terminal_cannot_show(name, forged, data, tmp_path):
    file = forged().describe(class_names=[name, *"123456789"])
    with pytest.raises(InvalidInputError, match="must be short strings") as caught:
        predict(file.write(tmp_path / "lie.tflite"), data.arrays("test")[0][:3])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


# What the graph says.


def test_costs_are_those_of_the_shapes_that_are_computed(forged, data, tmp_path):
    file = forged()
    for operator in (*file.operators("CONV_2D"), *file.operators("DEPTHWISE_CONV_2D")):
        tensor = file.main.tensors[operator.outputs[0]]
        tensor.shape = [1, 1, 1, list(tensor.shape)[3]]
    found = measured(file.write(tmp_path / "lie.tflite"), data)
    plain = inspect_tflite(forged().write(tmp_path / "plain.tflite"))
    assert found.macs == plain.macs == 105600
    assert found.accuracy > 0.98


def dead_operator(file):
    kernel = file.add_constant(np.zeros((64, 64), np.float32))
    rows, result = file.add_tensor([1, 64]), file.add_tensor([1, 64])
    flat = file.add_constant(np.int32([1, 64]))
    file.add_operator("RESHAPE", [file.main.inputs[0], flat], [rows])
    file.add_operator("FULLY_CONNECTED", [rows, kernel, -1], [result], "FullyConnected")


def unreached_subgraph(file):
    file.add_subgraph(file.main)


def signature_of_another_graph(file):
    unreached_subgraph(file)
    file.model.signatureDefs[0].subgraphIndex = 1


def signature_of_other_tensors(file):
    inner = int(file.main.operators[0].outputs[0])
    file.model.signatureDefs[0].outputs[0].tensorIndex = inner


def signature_twice(file):
    file.model.signatureDefs.append(copy.deepcopy(file.model.signatureDefs[0]))


def call_of_itself(file):
    result = file.add_tensor([1, 10])
    file.add_operator("CALL", file.main.inputs, [result], "Call", subgraph=0)
    file.put_out(result)


def missing_subgraph(file):
    call_of_itself(file)
    file.main.operators[-1].builtinOptions.subgraph = 7


def negative_size(file):
    file.main.tensors[-1].shape = [-1, 10]


def huge_size(file):
    file.main.tensors[file.main.operators[0].outputs[0]].shape = [2**31 - 1] * 4


def said_size(file):
    file.main.tensors[file.main.inputs[0]].shapeSignature = [1, 16, 16, 1]


def no_batch_axis(file):
    file.main.tensors[file.main.inputs[0]].shape = []


def kernel_of(file, value):
    values = np.array(constant(file.model, file.kernel())).view(np.float32)
    values[3] = value
    file.kernel().buffer = file.add_buffer(values)


def kernel_of_nan(file):
    kernel_of(file, np.nan)


def kernel_of_infinity(file):
    kernel_of(file, np.inf)


def custom_operator_of_a_builtins_name(file):
    file.operators("CONV_2D")[0].opcodeIndex = file.add_code("CUSTOM", b"CONV_2D")


def random_operator(file):
    file.operators("CONV_2D")[0].opcodeIndex = file.add_code("RANDOM_UNIFORM")


def buffer_of_a_negative_number(file):
    file.main.tensors[3].buffer = 2**32 - 1


def data_in_buffer_0(file):
    file.model.buffers[0].data = np.zeros(4, np.uint8)


def weights_elsewhere(file):
    file.model.externalBuffers = [schema.ExternalBufferT()]


def tensor_elsewhere(file):
    file.kernel().externalBuffer = 1


def metadata_twice(file):
    file.model.metadata.append(copy.deepcopy(file.entry()))


def order_reversed(file):
    file.main.operators.reverse()


def two_outputs(file):
    file.main.outputs = [*file.main.outputs, file.main.operators[0].outputs[0]]
    file.model.signatureDefs = None


def more_numbers_than_names(file):
    file.describe(class_names=list("012345678"))
    file.main.tensors[file.main.outputs[0]].shapeSignature = [-1, -1]


LIES = [
    dead_operator, unreached_subgraph, signature_of_another_graph, signature_of_other_tensors,
    signature_twice, call_of_itself, missing_subgraph, negative_size, huge_size, said_size,
    no_batch_axis, kernel_of_nan, kernel_of_infinity, custom_operator_of_a_builtins_name,
    random_operator, buffer_of_a_negative_number, data_in_buffer_0, weights_elsewhere,
    tensor_elsewhere, metadata_twice, order_reversed, two_outputs, more_numbers_than_names,
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_lies_of_the_graph(lie, forged, data, tmp_path):
    file = forged()
    lie(file)
    path = file.write(tmp_path / "lie.tflite")
    for use in (lambda: measured(path, data), lambda: predict(path, data.arrays("test")[0])):
        with pytest.raises(GanAccelError, match=r"lie\.tflite") as caught:
            use()
        assert str(caught.value).isprintable()


def zero_scale(quantization):
    quantization.scale = [0.0]


def scale_of_nan(quantization):
    quantization.scale = [np.nan]


def far_zero_point(quantization):
    quantization.zeroPoint = [1000]


def scales_of_its_own(quantization):
    quantization.detailsType = schema.QuantizationDetails.CustomQuantization
    quantization.details = schema.CustomQuantizationT()


@pytest.mark.parametrize("lie", [zero_scale, scale_of_nan, far_zero_point, scales_of_its_own])
@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_lies_of_the_quantization(lie, end, forged, tmp_path):
    file = forged("int8")
    lie(file.main.tensors[getattr(file.main, end)[0]].quantization)
    with pytest.raises(InvalidInputError, match="not a valid TFLite flatbuffer"):
        inspect_tflite(file.write(tmp_path / "lie.tflite"))


def test_a_builtins_name_does_not_make_a_builtin(forged, tmp_path):
    file = forged()
    custom_operator_of_a_builtins_name(file)
    allowed = inspect_tflite(forged().write(tmp_path / "plain.tflite")).operators
    with pytest.raises(InvalidInputError, match="Received: CUSTOM CONV_2D"):
        inspect_tflite(file.write(tmp_path / "m.tflite"), allowed_operators=allowed)


def test_bytes_behind_the_end(published, tmp_path):
    content = (published / "student_int8.tflite").read_bytes()
    path = tmp_path / "long.tflite"
    path.write_bytes(content + b"\xaa" * 5000)
    with pytest.raises(InvalidInputError, match="behind its end belong to nothing"):
        inspect_tflite(path)
    # TFLite Metadata appends its files in an archive.
    path.write_bytes(content + b"PK\x03\x04" + b"\xaa" * 5000)
    assert inspect_tflite(path).bytes == len(content) + 5004


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder.tflite").mkdir()
    for name in ("folder.tflite", "none.tflite"):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            inspect_tflite(tmp_path / name)
    with open(tmp_path / "large.tflite", "wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(InvalidInputError, match="2147483649 bytes"):
        inspect_tflite(tmp_path / "large.tflite")


# What it answers.


def test_outputs_that_are_no_numbers(forged, data, tmp_path):
    file = forged()
    for index in file.operators("FULLY_CONNECTED")[0].inputs[1:]:
        tensor = file.main.tensors[index]
        tensor.buffer = file.add_buffer(np.full(math.prod(tensor.shape), 3e38, np.float32))
    with pytest.raises(VerificationError, match="Outputs must be numbers"):
        measured(file.write(tmp_path / "m.tflite"), data)


def test_samples_that_are_no_numbers(published, data):
    x, y = data.arrays("test")
    x[7, 0, 0, 0] = np.nan
    with pytest.raises(InvalidInputError, match=r"finite numbers.*1 of 540"):
        verify(published / "student_float32.tflite", (x, y), latency_repeats=0)


def test_a_file_that_answers_well_in_large_batches_alone(forged, data, tmp_path):
    """It turns its logits round where it is given no more than two samples."""
    file = forged()
    logits = int(file.main.outputs[0])
    shape, count = file.add_tensor([2], dtype="INT32"), file.add_tensor([1], dtype="INT32")
    first, one, two = (file.add_constant(np.int32([n])) for n in (0, 1, 2))
    many, share, twice = file.add_tensor([1], dtype="BOOL"), *(file.add_tensor([1]) for _ in "ab")
    sign, turned = file.add_tensor([1]), file.add_tensor([1, 10])
    file.add_operator("SHAPE", [logits], [shape], "Shape", outType=schema.TensorType.INT32)
    file.add_operator("SLICE", [shape, first, one], [count])
    file.add_operator("GREATER", [count, two], [many], "Greater")
    file.add_operator("CAST", [many], [share], "Cast", inDataType=schema.TensorType.BOOL)
    file.add_operator("MUL", [share, file.add_constant(np.float32([2]))], [twice], "Mul")
    file.add_operator("SUB", [twice, file.add_constant(np.float32([1]))], [sign], "Sub")
    file.add_operator("MUL", [logits, sign], [turned], "Mul")
    file.put_out(turned)
    # What a device is given is one sample a call.
    assert measured(file.write(tmp_path / "m.tflite"), data).accuracy < 0.02


def test_what_is_kept_between_calls_does_not_change_the_answers(forged, data, tmp_path):
    file = forged()
    logits, state = int(file.main.outputs[0]), file.add_tensor([1, 30])
    file.main.tensors[state].isVariable = True
    # The sum of these logits and, three times as large, those of the call before.
    features = file.add_constant(np.eye(10, dtype=np.float32))
    times = file.add_constant(np.float32(np.tile([0, 3, 1], (10, 1))))
    mixed = file.add_tensor([1, 10])
    file.add_operator("SVDF", [logits, features, times, -1, state], [mixed], "SVDF", rank=1)
    file.put_out(mixed)
    found = measured(file.write(tmp_path / "m.tflite"), data)
    assert found.accuracy > 0.98
    assert "keeps something between calls" in found.notes[0]
