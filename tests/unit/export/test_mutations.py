"""Random changes of published files: they are refused, or every figure is true all the same."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ganaccel.errors import GanAccelError
from keras_ganaccel.export import flatbuffer
from keras_ganaccel.export.verify import verify


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


@pytest.mark.train
@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_mutations_are_refused_or_the_figures_are_true(quantization, published, data, tmp_path):
    rng = np.random.default_rng(20261127)
    x, y = (part[:40] for part in data.arrays("test"))
    content = (published / f"student_{quantization}.tflite").read_bytes()
    path = tmp_path / "m.tflite"
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
        assert found.format == quantization
        true += 1
    assert refused > 5
    assert true > 5
