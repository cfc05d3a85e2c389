"""A TFLite file as a C array, to compile into a microcontroller's program."""

from __future__ import annotations

import os
import re
from pathlib import Path

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.inspect import FileFacts, TensorFacts, inspect_tflite
from keras_ganaccel.files import atomic_open

_BYTES_PER_LINE = 12


def export_c_array(
    tflite: str | os.PathLike[str],
    header: str | os.PathLike[str],
    *,
    name: str | None = None,
) -> Path:
    """Writes a TFLite file as a header for TFLite Micro, in C and in C++.

    Args:
        tflite: The file.
        header: Where to write, such as ``model.h``.
        name: The array's name, a C identifier; made of the file's name by default. Its length is
            ``<name>_len``.

    Returns:
        The header's path.

    Raises:
        InvalidInputError: If the file is no valid one, or the name no identifier.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import keras
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ga.export_tflite(model, f"{folder}/student.tflite")
        ...     header = ga.export_c_array(path, f"{folder}/student.h")
        ...     "student_len" in header.read_text()
        True
    """
    facts = inspect_tflite(tflite)
    name = re.sub(r"\W", "_", facts.path.stem) if name is None else name
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InvalidInputError(
            f"The array's name must be a C identifier. Received: {name!r}. Pass `name`."
        )
    header = Path(header)
    with atomic_open(header, "w") as file:
        file.write(_source(facts, name))
    return header


def _source(facts: FileFacts, name: str) -> str:
    guard = f"{name.upper()}_H_"
    content = facts.path.read_bytes()
    rows = [
        "  " + ", ".join(f"0x{byte:02x}" for byte in content[start : start + _BYTES_PER_LINE])
        for start in range(0, len(content), _BYTES_PER_LINE)
    ]
    about = [f" * input {_described(facts.inputs[0])}", f" * output {_described(facts.outputs[0])}"]
    if facts.metadata and facts.metadata.class_names:
        # The marks that begin and end a comment may occur in a class's name.
        names = ", ".join(facts.metadata.class_names).replace("*/", "* /").replace("/*", "/ *")
        about.append(" * classes " + names.replace("\n", " "))
    about.append(" * operators " + ", ".join(facts.operators))
    return "\n".join(
        [
            f"/* {name}",
            *about,
            " */",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#ifdef __cplusplus",
            f"alignas(16) static const unsigned char {name}[] = {{",
            "#else",
            f"_Alignas(16) static const unsigned char {name}[] = {{",
            "#endif",
            ",\n".join(rows),
            "};",
            f"static const unsigned int {name}_len = {len(content)};",
            "",
            f"#endif /* {guard} */",
            "",
        ]
    )


def _described(tensor: TensorFacts) -> str:
    shape = "x".join(str(size) for size in tensor.shape)
    if not tensor.scales:
        return f"{shape} {tensor.dtype}"
    return f"{shape} {tensor.dtype}, real = {tensor.scales[0]!r} * (q - {tensor.zero_points[0]})"
