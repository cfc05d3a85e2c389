"""The public names: typed, complete, and each with an example that runs."""

import ast
import builtins
import doctest
import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import keras_ganaccel as ga

PACKAGE = "keras_ganaccel"
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def functions(public):
    """A function itself, or the public methods and the constructor of a class."""
    if inspect.ismodule(public):
        return []
    if inspect.isfunction(public):
        return [public]
    members = [getattr(member, "__func__", member) for member in vars(public).values()]
    methods = [member for member in members if inspect.isfunction(member)]
    return [each for each in methods if each.__name__ == "__init__" or each.__name__[0] != "_"]


def parameter_types(function):
    """The package's own classes among the types of a function's parameters and result."""
    import os
    from collections.abc import Mapping, Sequence

    import keras
    import numpy as np
    import tensorflow as tf

    names = {"keras": keras, "tf": tf, "np": np, "os": os}
    names |= {"Mapping": Mapping, "Sequence": Sequence}
    waiting = list(typing.get_type_hints(function, localns=names).values())
    found = set()
    while waiting:
        hint = waiting.pop()
        if isinstance(hint, list):
            waiting += hint
            continue
        waiting += typing.get_args(hint)
        if getattr(hint, "__module__", "").startswith(PACKAGE):
            found.add(hint.__name__)
    return found


def test_every_type_that_a_public_function_takes_or_returns_is_public_too():
    missing = {
        (name, kind)
        for name in ga.__all__
        for function in functions(getattr(ga, name))
        for kind in parameter_types(function)
        if kind not in ga.__all__ and not kind.startswith("_")
    }
    assert not missing


@pytest.mark.train
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("ga.load_data(imag_size=3)", 'Unexpected keyword argument "imag_size"'),
        ("ga.verify('student.tflite', (1, 2), latency_repeat=1)", "latency_repeat"),
        ("ga.acelerate()", "has no attribute"),
        ("ga.preset(3)", 'incompatible type "int"'),
    ],
)
def test_a_type_checker_finds_what_is_misspelt(line, complaint, tmp_path):
    pytest.importorskip("mypy")
    script = tmp_path / "user.py"
    script.write_text(f"import keras_ganaccel as ga\n{line}\n")
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports"]
    found = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stdout + found.stderr
    assert complaint in found.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_need_nothing_but_the_public_names(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "import keras_ganaccel as ga" in code
    assert "from keras_ganaccel" not in code


def own_docstring(name):
    """What the name itself says: a class does not borrow its base's words."""
    public = getattr(ga, name)
    return (vars(public)["__doc__"] if isinstance(public, type) else public.__doc__) or ""


def unknown_names(source):
    """The names that a piece of code uses and neither makes nor imports."""
    nodes = list(ast.walk(ast.parse(source)))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    made = {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    made |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    made |= {getattr(node, "name", None) for node in nodes if not isinstance(node, ast.alias)}
    return used - made - set(dir(builtins))


@pytest.mark.parametrize("name", ga.__all__)
def test_each_public_name_has_an_example_that_runs_where_it_is_pasted(name):
    examples = doctest.DocTestParser().get_examples(own_docstring(name))
    assert examples, "no `>>>` in its docstring"
    assert not any(doctest.SKIP in example.options for example in examples)
    source = "".join(example.source for example in examples)
    assert "import keras_ganaccel as ga\n" in source
    assert not unknown_names(source)
