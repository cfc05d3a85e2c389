import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_ganaccel.classifier.build import architectures, build_classifier
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.spec import DataSpec

TEN = tuple("0123456789")
OWN = ("separable", "convnet", "mlp", "resnet8")


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
def test_tiny_separable_has_at_most_ten_thousand_parameters(shape):
    assert build_classifier(DataSpec(*shape, TEN)).count_params() <= 10_000


def test_resnet8_is_the_one_of_mlperf_tiny():
    model = build_classifier(DataSpec(32, 32, 3, TEN), "resnet8")
    # Parameter count of the reference model, batch norm statistics included.
    assert model.count_params() == 78_666
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers) == 9


@pytest.mark.parametrize("architecture", OWN)
@pytest.mark.parametrize("shape", [(5, 9, 1), (32, 32, 3)])
def test_own_structures_take_any_shape_and_name_every_layer(architecture, shape):
    model = build_classifier(DataSpec(*shape, ("a", "b", "c")), architecture, dropout=0.1)
    again = build_classifier(DataSpec(*shape, ("a", "b", "c")), architecture, dropout=0.1)
    assert model.input.name == "image"
    assert model(np.zeros((2, *shape), "float32")).shape == (2, 3)
    # Automatic names would count up from model to model.
    assert [layer.name for layer in model.layers] == [layer.name for layer in again.layers]


@pytest.mark.parametrize("architecture", OWN)
def test_sizes_grow(architecture):
    spec = DataSpec(28, 28, 1, TEN)
    counts = [build_classifier(spec, architecture, size).count_params()
              for size in ("tiny", "small", "base")]  # fmt: skip
    assert counts == sorted(counts)
    assert len(set(counts)) == 3


def test_weights_are_a_function_of_the_seed_alone():
    spec = DataSpec(8, 8, 1, TEN)
    random.seed(1)
    state = random.getstate()
    first = build_classifier(spec, seed=3).get_weights()
    assert random.getstate() == state
    random.seed(2)
    again, other = (build_classifier(spec, seed=seed).get_weights() for seed in (3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_relu6_caps_every_activation():
    model = build_classifier(DataSpec(8, 8, 1, TEN), "convnet", activation="relu6")
    limits = {layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)}
    assert limits == {6.0}


@pytest.mark.train
def test_full_int8_conversion_uses_builtin_ops_and_keeps_the_answers(tmp_path):
    spec = DataSpec(8, 8, 1, TEN)
    model = build_classifier(spec, seed=0)
    x = np.random.default_rng(0).random((100, 8, 8, 1)).astype("float32")
    model.export(tmp_path / "model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "model"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    given, taken = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    expected, received = model(x).numpy(), []
    for row in x:
        scale, zero = given["quantization"]
        quantized = np.clip(np.round(row[None] / scale + zero), -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], quantized)
        interpreter.invoke()
        scale, zero = taken["quantization"]
        received.append((interpreter.get_tensor(taken["index"])[0].astype(float) - zero) * scale)
    assert np.corrcoef(expected.ravel(), np.ravel(received))[0, 1] > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "seperable"}, "separable"),
        ({"architecture": "ResNet5"}, "ResNet50"),
        ({"size": "huge"}, "size"),
        ({"activation": "gelu"}, "activation"),
        ({"dropout": 1.0}, "dropout"),
        ({"weights": "imagenet"}, "weights"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        build_classifier(DataSpec(8, 8, 1, TEN), **arguments)
    assert "\n" not in str(caught.value)


def test_architectures_lists_own_and_known_backbones():
    assert set(OWN) < set(architectures())
    assert {"ResNet50", "DenseNet121", "MobileNetV3Small"} < set(architectures())
