import re
import shutil
import subprocess

import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.c_array import export_c_array

pytestmark = pytest.mark.train


def test_the_header_holds_the_bytes(files, tmp_path):
    header = export_c_array(files["int8"], tmp_path / "model.h", name="digits_int8")
    text = header.read_text()
    body = text[text.index("#endif") : text.index("};")]
    content = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2})", body))
    assert content == files["int8"].read_bytes()
    assert "real = " in text
    assert "classes 0, 1, 2" in text


@pytest.mark.parametrize(("compiler", "standard"), [("cc", "c11"), ("c++", "c++17")])
def test_it_compiles_and_is_aligned(compiler, standard, files, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    export_c_array(files["int8"], tmp_path / "model.h", name="model")
    suffix = "c" if compiler == "cc" else "cc"
    (tmp_path / f"main.{suffix}").write_text(
        '#include <stdio.h>\n#include "model.h"\n#include "model.h"\n'
        "int main(void) {\n"
        "  if (((unsigned long)model & 15) != 0) return 1;\n"
        "  fwrite(model, 1, model_len, stdout);\n  return 0;\n}\n"
    )
    command = [compiler, f"-std={standard}", "-Wall", "-Werror", "-o", "main", f"main.{suffix}"]
    subprocess.run(command, check=True, cwd=tmp_path)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True).stdout
    assert printed == files["int8"].read_bytes()


def test_names_and_files_that_do_not_fit(files, tmp_path):
    with pytest.raises(InvalidInputError, match="C identifier"):
        export_c_array(files["int8"], tmp_path / "model.h", name="8-bit model")
    (tmp_path / "text.tflite").write_text("this is not a model at all")
    with pytest.raises(InvalidInputError, match="not a valid TFLite flatbuffer"):
        export_c_array(tmp_path / "text.tflite", tmp_path / "model.h")
    assert not (tmp_path / "model.h").exists()
