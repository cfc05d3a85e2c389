"""Errors, files, seeds, and the import of the package."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_ganaccel import errors
from keras_ganaccel.errors import GanAccelError, InvalidInputError
from keras_ganaccel.files import atomic_open, atomic_save, save_keras, sha256
from keras_ganaccel.json_files import write_json
from keras_ganaccel.seeds import derive_seed

pytestmark = pytest.mark.train


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        check=False,
    )


def test_every_error_is_ours_and_a_builtin_one():
    classes = [
        c for c in vars(errors).values() if isinstance(c, type) and c.__module__ == errors.__name__
    ]
    for cls in classes:
        # An interruption is no error: `except Exception` must let it through.
        if cls not in (GanAccelError, errors.RunInterrupted):
            assert issubclass(cls, GanAccelError)
            builtin = [base for base in cls.__mro__ if base.__module__ == "builtins"]
            assert set(builtin) - {Exception, BaseException, object}, cls
    assert InvalidInputError.exit_code == 2
    assert errors.VerificationError.exit_code == 1


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(RuntimeError), atomic_open(path, "w") as file:
        file.write("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_atomic_save_keeps_the_ending_and_cleans_up(tmp_path):
    seen = []

    def save(temporary):
        seen.append(temporary.suffix)
        temporary.write_bytes(b"whole")

    def fail(temporary):
        temporary.write_bytes(b"half")
        raise RuntimeError

    atomic_save(tmp_path / "m.keras", save)
    with pytest.raises(RuntimeError):
        atomic_save(tmp_path / "m.keras", fail)
    assert seen == [".keras"]
    assert (tmp_path / "m.keras").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["m.keras"]


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_seeds_are_stable_and_distinct():
    seeds = {derive_seed(s, *names) for s in range(50) for names in [("a",), ("a", 1), ("b", 1)]}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**31 for seed in seeds)
    # Pinned: a change would silently change every run that was ever recorded.
    assert derive_seed(0, "gan", 3) == 1342486134


def test_another_backend_is_refused_in_one_clear_error():
    result = run_python("import keras_ganaccel", KERAS_BACKEND="jax")
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode != 0
    assert "Received: KERAS_BACKEND=jax" in last
    assert "KERAS_BACKEND=tensorflow" in last


def test_import_stays_light_and_names_resolve():
    code = (
        "import sys, time; began = time.perf_counter(); import keras_ganaccel as ga;"
        "took = time.perf_counter() - began;"
        "assert 'tensorflow' not in sys.modules and 'sklearn' not in sys.modules;"
        "assert took < 0.3, took;"
        "missing = [name for name in ga.__all__ if not hasattr(ga, name)];"
        "assert not missing, missing;"
        "import keras_ganaccel.journey.accelerate;"
        "assert callable(ga.accelerate)"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_a_keras_file_depends_on_the_model_alone(tmp_path):
    keras = pytest.importorskip("keras")

    def model():
        policy = keras.DTypePolicy("float32")
        layers = [
            keras.layers.Dense(
                4, dtype=policy, name=name, kernel_initializer=keras.initializers.GlorotUniform(1)
            )
            for name in ("first", "second")
        ]
        return keras.Sequential([keras.Input((3,), name="image"), *layers], name="shared")

    first = model()
    save_keras(tmp_path / "a.keras", first)
    time.sleep(1.1)  # Keras writes the second of the day
    save_keras(tmp_path / "b.keras", model())
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(loaded(x), first(x))
