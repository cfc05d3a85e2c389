"""The front end in its three shapes: Python, TFLite and C answer every row alike."""

import ctypes
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from keras_ganaccel.export.front_end import export_front_end
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.interpreter import TFLiteRunner
from keras_ganaccel.modality.table.front_end import TableFrontEnd

TOLERANCE = 1e-5


@pytest.fixture
def compiled(tmp_path):
    """Compiles the C front end of a specification: a function that encodes, and the look-up."""
    gcc = shutil.which("gcc") or shutil.which("cc")
    if gcc is None:
        pytest.skip("there is no C compiler")

    def compile_front_end(spec):
        for name, text in TableFrontEnd(spec).c_files().items():
            (tmp_path / name).write_text(text)
        library = tmp_path / f"frontend{len(list(tmp_path.iterdir()))}.so"
        strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2"]
        subprocess.run(
            [gcc, *strict, "-shared", "-fPIC", "-o", library, tmp_path / "frontend.c", "-lm"],
            check=True,
        )
        loaded = ctypes.CDLL(str(library))

        def encode(numbers, categories):
            encoded = np.full((len(numbers), *spec.sample_shape), np.nan, np.float32)
            for row in range(len(encoded)):
                arrays = (numbers[row], categories[row], encoded[row])
                loaded.frontend_encode(*(a.ctypes.data_as(ctypes.c_void_p) for a in arrays))
            return encoded

        return encode, loaded.frontend_category

    return compile_front_end


def tflite(spec, folder, frame):
    """Writes all files; returns the TFLite one as a function of the raw form."""
    export_front_end(spec, folder, frame)
    runner = TFLiteRunner((folder / "frontend.tflite").read_bytes())
    taken = [name for name, _, _ in TableFrontEnd(spec).inputs]
    return lambda numbers, categories: runner.run(
        *({"numbers": numbers, "categories": categories}[name] for name in taken)
    )


@pytest.mark.parametrize("numbers", ["rank", "standardise"])
def test_three_shapes_agree_on_every_row(tmp_path, compiled, fitted, of_all_kinds, numbers):
    spec, _ = fitted(of_all_kinds(200), numbers=numbers)
    test = of_all_kinds(300, seed=1)
    test.loc[:9, "city"] = "Basel"
    test.loc[5:20, "number"] = [np.inf, -np.inf, 1e300, -1e300] * 4
    encoded = spec.encode(test)
    raw = spec.raw_form(test)
    np.testing.assert_allclose(tflite(spec, tmp_path, test)(*raw), encoded, atol=TOLERANCE)
    np.testing.assert_allclose(compiled(spec)[0](*raw), encoded, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["adult", "spambase", "mushroom"])
def test_three_shapes_agree_on_every_row_of_a_real_table(tmp_path, compiled, real_table, name):
    frame, spec, _ = real_table(name)
    frame = frame.iloc[:4000]
    raw = spec.raw_form(frame)
    encoded = spec.encode(frame)
    np.testing.assert_allclose(tflite(spec, tmp_path, frame)(*raw), encoded, atol=TOLERANCE)
    np.testing.assert_allclose(compiled(spec)[0](*raw), encoded, atol=TOLERANCE)


def test_values_of_very_different_sizes_agree(tmp_path, compiled, fitted):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "large": rng.normal(size=80) * 1e36,
            "small": rng.normal(size=80) * 1e-28,
            "steep": np.where(rng.random(80) < 0.5, 1e-25, rng.exponential(size=80) * 1e30),
            "far": 1e9 + rng.random(80),
        }
    )
    for numbers in ("rank", "standardise"):
        spec, _ = fitted(frame, numbers=numbers)
        raw = spec.raw_form(frame)
        encoded = spec.encode(frame)
        assert encoded.std(axis=0).min() > 0.1
        np.testing.assert_allclose(tflite(spec, tmp_path, frame)(*raw), encoded, atol=TOLERANCE)
        np.testing.assert_allclose(compiled(spec)[0](*raw), encoded, atol=TOLERANCE)


def test_vectors_hold_what_a_row_may_hold_and_agree(tmp_path, compiled, fitted, of_all_kinds):
    spec, _ = fitted(of_all_kinds())
    run = tflite(spec, tmp_path, of_all_kinds())
    with np.load(tmp_path / "frontend_vectors.npz") as vectors:
        numbers, categories, encoded = (
            vectors[name] for name in ("numbers", "categories", "encoded")
        )
    assert np.isnan(numbers).any(axis=0).all()
    assert (np.isinf(numbers).any(axis=0) | (numbers.shape[1] > 0)).all()
    assert (categories == -1).any(axis=0).all()
    np.testing.assert_allclose(run(numbers, categories), encoded, atol=TOLERANCE)
    np.testing.assert_allclose(compiled(spec)[0](numbers, categories), encoded, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_a_table_of_one_kind_of_columns(tmp_path, compiled, fitted, kind):
    cells = {"numbers": {"a": [1.5, 2, 3, 4] * 4}, "categories": {"a": list("xyxz") * 4}}
    frame = pd.DataFrame(cells[kind])
    spec, _ = fitted(frame)
    raw = spec.raw_form(frame)
    encoded = spec.encode(frame)
    np.testing.assert_allclose(tflite(spec, tmp_path, frame)(*raw), encoded, atol=TOLERANCE)
    np.testing.assert_allclose(compiled(spec)[0](*raw), encoded, atol=TOLERANCE)
    facts = inspect_tflite(tmp_path / "frontend.tflite")
    assert [tensor.dtype for tensor in facts.inputs] == [
        {"numbers": "float32", "categories": "int32"}[kind]
    ]


def test_values_are_looked_up_in_c_as_in_python(compiled, fitted):
    odd = ['say "a"', "back\\slash", "trigraph??/", "a*/b", "Łódź\t!", "7", "\x01 0"]
    frame = pd.DataFrame({"a": odd * 4 + [None, "rare"], "b": list("xy") * 15})
    spec, _ = fitted(frame)
    _, look_up = compiled(spec)
    new = pd.DataFrame({"a": [*odd, "new", None], "b": "y"})
    expected = spec.raw_form(new)[1]
    found = [look_up(0, None if value is None else value.encode()) for value in [*odd, "new", None]]
    assert found == expected[:, 0].tolist()
    assert look_up(1, b"never") == look_up(5, b"x") == look_up(-1, b"x") == -1


def test_names_do_not_break_out_of_the_comments(compiled, fitted):
    frame = pd.DataFrame({"a */ int x; /*": [1.5, 2, 3, 4] * 4, "b\nc": list("xy") * 8})
    compiled(fitted(frame)[0])


def test_the_files_are_the_same_each_time(tmp_path, fitted, of_all_kinds):
    spec, _ = fitted(of_all_kinds())
    contents = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = export_front_end(spec, folder, of_all_kinds())
        contents.append({path.name: path.read_bytes() for path in paths if path.suffix != ".npz"})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"frontend.tflite", "frontend.c", "frontend.h"}
    facts = inspect_tflite(tmp_path / "0" / "frontend.tflite")
    assert not [name for name in facts.operators if name.startswith(("Flex", "CUSTOM"))]
