import numpy as np
import pytest

from keras_ganaccel.errors import GanAccelError, InvalidInputError, MissingFileError
from keras_ganaccel.export import flatbuffer
from keras_ganaccel.export.inspect import inspect_tflite


@pytest.mark.train
def test_packing_what_was_parsed_changes_nothing(files):
    for path in files.values():
        content = path.read_bytes()
        assert flatbuffer.pack(flatbuffer.parse(content)) == content


def test_metadata_entries_round_trip(files):
    model = flatbuffer.parse(files["int8"].read_bytes())
    flatbuffer.set_metadata_entry(model, "more", b"\x00\xffvalue")
    again = flatbuffer.parse(flatbuffer.pack(model))
    assert flatbuffer.metadata_entry(again, "more") == b"\x00\xffvalue"
    assert flatbuffer.metadata_entry(again, "less") is None


def changed(content, change):
    model = flatbuffer.parse(content)
    change(model)
    return flatbuffer.pack(model)


def dangling_tensor(model):
    model.subgraphs[0].operators[0].inputs = [999, 1, 2]


def dangling_buffer(model):
    model.subgraphs[0].tensors[1].buffer = 999


def dangling_operator(model):
    model.subgraphs[0].operators[0].opcodeIndex = 99


def wrong_size(model):
    constants = (t for t in model.subgraphs[0].tensors if model.buffers[t.buffer].data is not None)
    next(constants).shape = [3, 3]


def wrong_version(model):
    model.version = 2


def no_outputs(model):
    model.subgraphs[0].outputs = []


@pytest.mark.parametrize(
    "change",
    [dangling_tensor, dangling_buffer, dangling_operator, wrong_size, wrong_version, no_outputs],
)
def test_inconsistent_files_are_refused(change, files):
    content = changed(files["int8"].read_bytes(), change)
    with pytest.raises(InvalidInputError, match="not a valid TFLite flatbuffer"):
        flatbuffer.parse(content)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"no flatbuffer at all, only text", bytes(64)])
def test_other_bytes_are_refused(content, tmp_path):
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"m\.tflite is not a valid TFLite flatbuffer"):
        inspect_tflite(tmp_path / "m.tflite")
    with pytest.raises(MissingFileError, match="cannot be read"):
        inspect_tflite(tmp_path / "none.tflite")


def test_a_truncated_file_is_refused(files, tmp_path):
    content = files["int8"].read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / "m.tflite").write_bytes(content[: int(share * len(content))])
        with pytest.raises(InvalidInputError):
            inspect_tflite(tmp_path / "m.tflite")


@pytest.mark.train
def test_damaged_files_end_in_no_other_error(files, tmp_path):
    rng = np.random.default_rng(0)
    content = files["int8"].read_bytes()
    messages = []
    for _ in range(40):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= rng.integers(1, 256)
        (tmp_path / "m.tflite").write_bytes(damaged)
        try:
            inspect_tflite(tmp_path / "m.tflite")
        except GanAccelError as error:
            messages.append(str(error))
    assert len(messages) > 3
    assert not any("\n" in message for message in messages)
