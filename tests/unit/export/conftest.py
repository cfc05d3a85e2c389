import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from sklearn.datasets import load_digits

from keras_ganaccel.export import flatbuffer
from keras_ganaccel.export.metadata import ENTRY
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.export.tflite_schema import operator_name
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.load import load_data

FORMATS = ("float32", "float16", "dynamic_range", "int8", "int16x8")
SPEC = DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0))
PUBLISHED = Path(__file__).parents[3] / "saved_models" / "digits"


class Forged:
    """A published file, unpacked, to be changed by hand and written again."""

    def __init__(self, quantization="float32"):
        content = (PUBLISHED / f"student_{quantization}.tflite").read_bytes()
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self.main = self.model.subgraphs[0]

    def write(self, path):
        path.write_bytes(flatbuffer.pack(self.model))
        return path

    def entry(self):
        """The entry of our metadata."""
        return next(e for e in self.model.metadata if e.name == ENTRY.encode())

    def describe(self, **change):
        """Lets the metadata say something else."""
        buffer = self.model.buffers[self.entry().buffer]
        values = {**json.loads(bytes(buffer.data)), **change}
        buffer.data = np.frombuffer(json.dumps(values).encode(), np.uint8)
        return self

    def operators(self, name):
        return [op for op in self.main.operators if operator_name(self.model, op) == name]

    def kernel(self, name="CONV_2D"):
        """The tensor of the first kernel of operators of a name."""
        return self.main.tensors[self.operators(name)[0].inputs[1]]

    def add_buffer(self, values):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def add_tensor(self, shape, values=None, name=b"planted", dtype="FLOAT32", graph=0):
        tensor = schema.TensorT()
        tensor.shape, tensor.name = list(shape), name
        tensor.type = getattr(schema.TensorType, dtype)
        tensor.buffer = 0 if values is None else self.add_buffer(values)
        self.model.subgraphs[graph].tensors.append(tensor)
        return len(self.model.subgraphs[graph].tensors) - 1

    def add_constant(self, values):
        kinds = {"f4": "FLOAT32", "i4": "INT32", "b1": "BOOL"}
        values = np.asarray(values)
        return self.add_tensor(values.shape, values, dtype=kinds[values.dtype.str[1:]])

    def add_code(self, name, custom=None):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version, code.customCode = 1, custom
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def add_operator(self, name, inputs, outputs, options=None, place=None, graph=0, **values):
        operator = schema.OperatorT()
        operator.opcodeIndex = self.add_code(name)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            operator.builtinOptions = getattr(schema, f"{options}OptionsT")()
            vars(operator.builtinOptions).update(values)
        operators = self.model.subgraphs[graph].operators
        operators.insert(len(operators) if place is None else place, operator)
        return operator

    def add_subgraph(self, of=None):
        graph = schema.SubGraphT() if of is None else copy.deepcopy(of)
        if of is None:
            graph.tensors, graph.operators = [], []
        self.model.subgraphs.append(graph)
        return len(self.model.subgraphs) - 1

    def put_out(self, index):
        """Makes a tensor the file's output."""
        self.main.outputs = [index]
        self.model.signatureDefs[0].outputs[0].tensorIndex = index


@pytest.fixture(scope="session")
def forged():
    return Forged


@pytest.fixture(scope="session")
def published():
    """The folder of the published models of the digits."""
    return PUBLISHED


@pytest.fixture(scope="session")
def data():
    """The digits that the published files are for."""
    return load_data("digits")


def classifier(prefix="", activation=None):
    """A small convolutional classifier; `prefix` changes every layer's name."""
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(12, 3, padding="same", name=f"{prefix}conv")(image)
    x = keras.layers.BatchNormalization(name=f"{prefix}norm")(x)
    x = keras.layers.ReLU(name=f"{prefix}relu")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name=f"{prefix}depth")(x)
    x = keras.layers.Conv2D(24, 1, activation="relu", name=f"{prefix}point")(x)
    x = keras.layers.Flatten(name=f"{prefix}flat")(x)
    outputs = keras.layers.Dense(10, activation=activation, name=f"{prefix}logits")(x)
    return keras.Model(image, outputs, name=f"{prefix}classifier")


@dataclass(frozen=True)
class Digits:
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@pytest.fixture(scope="session")
def digits():
    bunch = load_digits()
    x = (bunch.images / 16).astype(np.float32)[..., None]
    return Digits(x[:1200], bunch.target[:1200], x[1200:], bunch.target[1200:])


@pytest.fixture(scope="session")
def trained(digits):
    keras.utils.set_random_seed(0)
    model = classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(5e-3), loss)
    model.fit(digits.x, digits.y, batch_size=64, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="session")
def files(trained, digits, tmp_path_factory) -> dict[str, Path]:
    """The trained classifier in every TFLite format."""
    folder = tmp_path_factory.mktemp("files")
    return {
        name: export_tflite(
            trained,
            folder / f"{name}.tflite",
            name,
            representative_dataset=digits.x[:200] if name.startswith("int") else None,
            spec=SPEC,
        )
        for name in FORMATS
    }
