"""SavedModels and `.keras` files that lie, or reach for what is none of theirs."""

import io
import json
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_ganaccel.errors import GanAccelError, InvalidInputError, UnsafeModelError
from keras_ganaccel.export.artifact import open_artifact
from keras_ganaccel.export.saved_model import METADATA_FILE, export_saved_model
from keras_ganaccel.export.verify import verify

pytestmark = pytest.mark.train
KERNEL = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)


def plain(module, image):
    return tf.reshape(image, [-1, 64]) @ module.kernel


def saved(folder, call=plain, prepare=None, **weights):
    module = tf.Module()
    for name, value in (weights or {"kernel": KERNEL}).items():
        setattr(module, name, tf.Variable(value, name=name))
    if prepare is not None:
        prepare(module)
    signature = [tf.TensorSpec([None, 8, 8, 1], tf.float32, name="image")]
    module.serve = tf.function(lambda image: {"logits": call(module, image)}, signature)
    tf.saved_model.save(module, folder, signatures=module.serve.get_concrete_function())
    return folder


def writes_a_file(module, image):
    tf.print("seen", output_stream="file:///dev/null")
    return plain(module, image)


def saves_elsewhere(module, image):
    tf.raw_ops.SaveV2(prefix="x", tensor_names=["x"], shape_and_slices=[""], tensors=[image])
    return plain(module, image)


def restores_from_elsewhere(module, image):
    (found,) = tf.raw_ops.RestoreV2(
        prefix="x", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )
    return plain(module, image) + found


def reads_lines(module, image):
    lines = tf.data.TextLineDataset("x").reduce(0.0, lambda count, _: count + 1.0)
    return plain(module, image) + lines


@pytest.mark.parametrize(
    "call", [writes_a_file, saves_elsewhere, restores_from_elsewhere, reads_lines]
)
def test_graphs_that_reach_for_files(call, tmp_path):
    with pytest.raises(UnsafeModelError, match="reaches beyond its tensors"):
        open_artifact(saved(tmp_path / "m", call))


def test_answers_that_change_from_call_to_call(tmp_path):
    def counting(module, image):
        return plain(module, image) * module.calls.assign_add(1.0)

    def drawn(module, image):
        return plain(module, image) + tf.random.normal([10])

    for name, call in (("counting", counting), ("drawn", drawn)):
        with pytest.raises(InvalidInputError, match="must answer by its input alone"):
            open_artifact(saved(tmp_path / name, call, kernel=KERNEL, calls=0.0))


def test_weights_are_those_that_the_answers_are_computed_from(tmp_path, data):
    def with_others(module):
        # What the answers never see.
        module.variables_ = tf.Variable(np.zeros((1000, 10), np.float32), name="other/kernel")

    opened = open_artifact(saved(tmp_path / "others", prepare=with_others))
    assert opened.parameters == sum(kernel.elements for kernel in opened.kernels) == 640
    assert opened.kernels[0].zeros == 0

    def frozen(module, image):
        return tf.reshape(image, [-1, 64]) @ tf.constant(KERNEL)

    found = verify(saved(tmp_path / "frozen", frozen), data, latency_repeats=0)
    assert found.parameters == 640
    assert any(note.startswith("640 weights of frozen are in no kernel") for note in found.notes)


def test_folders_that_are_not_of_plain_files(tmp_path):
    folder = saved(tmp_path / "m")
    shutil.move(folder / "variables", tmp_path / "elsewhere")
    (folder / "variables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GanAccelError, match=r"plain files.*variables"):
        open_artifact(folder)
    folder = saved(tmp_path / "pipe")
    os.mkfifo(folder / "fingerprint")
    with pytest.raises(GanAccelError, match=r"plain files.*fingerprint"):
        open_artifact(folder)


def test_parts_of_a_size_that_no_model_has(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    folder = export_saved_model(model, tmp_path / "m", class_names=tuple(map(str, range(64))))
    with open(folder / METADATA_FILE, "wb") as file:
        file.truncate(2**33)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        open_artifact(folder)
    folder = saved(tmp_path / "splat", lambda module, image: plain(module, image) + tf.reduce_sum(
        tf.constant(0.5, shape=[7, 7])
    ))  # fmt: skip
    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for function in graph.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            shape = node.attr["value"].tensor.tensor_shape
            if node.op == "Const" and [side.size for side in shape.dim] == [7, 7]:
                for side in shape.dim:
                    side.size = 200_000
    (folder / "saved_model.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(GanAccelError, match=r"constants of 3200000\d+ bytes"):
        open_artifact(folder)


# Keras files.


@pytest.fixture
def forged_keras(tmp_path):
    """Makes a `.keras` file whose configuration and weights went through functions."""
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential(layers).save(tmp_path / "plain.keras")

    def forge(configure=None, weigh=None):
        path = tmp_path / "forged.keras"
        with zipfile.ZipFile(tmp_path / "plain.keras") as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if configure is not None and name == "config.json":
                    config = json.loads(content)
                    content = json.dumps(configure(config) or config).encode()
                if weigh is not None and name.endswith(".h5"):
                    buffer = io.BytesIO(content)
                    with h5py.File(buffer, "r+") as file:
                        names: list[str] = []
                        file.visit(names.append)
                        weigh(file, next(n for n in names if isinstance(file[n], h5py.Dataset)))
                    content = buffer.getvalue()
                new.writestr(name, content)
        return path

    return forge


def of_too_many_units(config):
    config["config"]["layers"][2]["config"]["units"] = 2 * 10**9


def of_huge_samples(config):
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**6, 10**6, 1]


def a_saved_model_beside_it(config):
    config["config"]["layers"][2] = {
        "module": "keras.layers", "class_name": "TFSMLayer", "registered_name": None,
        "config": {"filepath": "elsewhere", "call_endpoint": "serve", "name": "layer"},
    }  # fmt: skip


def words_beside_it(config):
    config["config"]["layers"][2] = {
        "module": "keras.layers", "class_name": "StringLookup", "registered_name": None,
        "config": {"vocabulary": "/etc/hostname", "name": "layer"},
    }  # fmt: skip


def a_command(config):
    config["config"]["layers"][2].update(module="os", class_name="system")


def nested(config):
    for _ in range(200):
        config = {"class_name": "Sequential", "config": {"layers": [config], "name": "x"}}
    return config


@pytest.mark.parametrize(
    "lie",
    [of_too_many_units, of_huge_samples, a_saved_model_beside_it, words_beside_it, a_command,
     nested],
)  # fmt: skip
def test_configurations_that_lie(lie, forged_keras):
    with pytest.raises(GanAccelError) as caught:
        open_artifact(forged_keras(configure=lie))
    assert str(caught.value).isprintable()


def a_huge_one(file, name):
    del file[name]
    file.create_dataset(name, shape=(10**6, 10**6), chunks=(1000, 1000), dtype="f4")


def bytes_of_another_file(file, name):
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, "f4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def a_link_to_another_file(file, name):
    del file[name]
    file[name] = h5py.ExternalLink("another.h5", "weights")


@pytest.mark.parametrize("lie", [a_huge_one, bytes_of_another_file, a_link_to_another_file])
def test_weights_that_lie_elsewhere(lie, forged_keras):
    with pytest.raises(GanAccelError) as caught:
        open_artifact(forged_keras(weigh=lie))
    assert str(caught.value).isprintable()


def test_weights_that_are_no_numbers(forged_keras, data):
    def spoil(file, name):
        file[name][...] = np.nan

    with pytest.raises(GanAccelError, match="Outputs must be numbers"):
        verify(forged_keras(weigh=spoil), data, latency_repeats=0)
