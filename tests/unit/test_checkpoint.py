import keras
import numpy as np
import pytest

from keras_ganaccel.checkpoint import (
    load_newest,
    model_state,
    restore_model_state,
    save_state,
)
from keras_ganaccel.errors import CheckpointError

pytestmark = pytest.mark.train

ARRAYS = {"a/b": np.arange(6.0).reshape(2, 3), "file": np.int64(3), "empty": np.zeros((0, 2))}


def test_round_trip_keeps_values_dtypes_and_meta(tmp_path):
    save_state(tmp_path / "new", 7, ARRAYS, {"best": None, "rows": [1, 2]})
    state = load_newest(tmp_path / "new")
    assert state.step == 7
    assert state.meta == {"best": None, "rows": [1, 2]}
    assert state.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert state.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(state.arrays[name], array)


def test_no_folder_is_no_state(tmp_path):
    assert load_newest(tmp_path / "none") is None


def test_two_newest_are_kept(tmp_path):
    for step in (100, 20, 300, 1000):
        save_state(tmp_path, step, ARRAYS)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "state-0000000300.ckpt",
        "state-0000001000.ckpt",
    ]


def test_a_given_up_future_is_removed(tmp_path):
    save_state(tmp_path, 100, ARRAYS)
    save_state(tmp_path, 200, ARRAYS)
    save_state(tmp_path, 150, ARRAYS)
    assert load_newest(tmp_path).step == 150


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_newest_is_passed_over(tmp_path, caplog, share):
    save_state(tmp_path, 1, ARRAYS)
    path = save_state(tmp_path, 2, ARRAYS)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert load_newest(tmp_path).step == 1
    assert "damaged" in caplog.text


def test_any_flipped_bit_is_noticed(tmp_path):
    save_state(tmp_path, 1, ARRAYS)
    path = save_state(tmp_path, 2, ARRAYS)
    content = path.read_bytes()
    for position in np.linspace(0, len(content) - 1, 40).astype(int):
        flipped = bytearray(content)
        flipped[position] ^= 4
        path.write_bytes(bytes(flipped))
        assert load_newest(tmp_path).step == 1


def test_only_damaged_ones_are_an_error(tmp_path):
    save_state(tmp_path, 1, ARRAYS).write_bytes(b"")
    with pytest.raises(CheckpointError, match="Every checkpoint is damaged"):
        load_newest(tmp_path)


def test_temporary_files_are_not_read(tmp_path):
    (tmp_path / ".state-0000000009.ckpt.1.tmp").write_bytes(b"half")
    assert load_newest(tmp_path) is None


def _model(units=2):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, name="d")], name="m")
    model.compile("adam", loss="mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.zeros((4, units)), verbose=0)
    return model


def test_a_models_whole_state_is_restored():
    model, other = _model(), _model()
    other.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    state = model_state(model)
    assert any(name.startswith("optimizer/") for name in state)
    assert any(name.startswith("metrics/") for name in state)
    restore_model_state(other, state)
    for name, array in model_state(other).items():
        np.testing.assert_array_equal(array, state[name])


def test_another_models_state_changes_nothing():
    model = _model()
    before = model_state(model)
    with pytest.raises(CheckpointError, match="another model"):
        restore_model_state(model, model_state(_model(units=5)))
    for name, array in model_state(model).items():
        np.testing.assert_array_equal(array, before[name])


def _built_anew(*layers):
    """A model whose layers have whatever names Keras gives them this time."""
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])
    model.compile("adam", loss="mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.zeros((4, 2)), verbose=0)
    return model


def test_automatic_names_do_not_matter():
    first, again = (
        _built_anew(keras.layers.Dense(3), keras.layers.BatchNormalization()) for _ in range(2)
    )
    assert first.layers[0].name != again.layers[0].name
    state = model_state(first)
    restore_model_state(again, state)
    for name, array in model_state(again).items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ([keras.layers.Dense(3), keras.layers.LayerNormalization()], "layer_normalization/gamma"),
        ([keras.layers.Dense(3)], r"model/2/sequential/batch_normalization/gamma \(3,\)"),
        ([keras.layers.Dense(4), keras.layers.BatchNormalization()], r"kernel \(3, 4\)"),
    ],
)
def test_the_first_difference_of_another_architecture_is_named(other, difference):
    state = model_state(_built_anew(keras.layers.Dense(3), keras.layers.BatchNormalization()))
    with pytest.raises(CheckpointError, match=difference) as refused:
        restore_model_state(_built_anew(*other), state)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_more_variables_is_of_another_model():
    model = _model()
    longer = {**model_state(model), "model/2/m/more/kernel": np.zeros((2, 2))}
    with pytest.raises(CheckpointError, match=r"m/more/kernel \(2, 2\), .* has nothing"):
        restore_model_state(model, longer)


def test_names_of_older_checkpoints_are_understood():
    first, again = (_built_anew(keras.layers.Dense(3)) for _ in range(2))
    state = model_state(first)
    optimizer = {
        f"optimizer/{index}/{variable.name}": state[f"optimizer/{index}/{path}"]
        for index, (variable, path) in enumerate(
            (variable, name.split("/", 2)[2])
            for variable, name in zip(
                first.optimizer.variables,
                [name for name in state if name.startswith("optimizer/")],
                strict=True,
            )
        )
    }
    older = {
        "/".join([*name.split("/", 2)[:2], name.rpartition("/")[2]]): array
        for name, array in state.items()
        if not name.startswith("optimizer/")
    }
    restore_model_state(again, {**older, **optimizer})
    for name, array in model_state(again).items():
        np.testing.assert_array_equal(array, state[name])


def test_objects_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="'odd'"):
        save_state(tmp_path, 1, {"odd": np.array([None, {}], dtype=object)})
    assert not list(tmp_path.glob("*"))
