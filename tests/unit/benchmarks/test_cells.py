"""Measured cells are found again, and are never lost."""

import pytest

from keras_ganaccel.benchmarks.cells import CellFile
from keras_ganaccel.errors import InvalidInputError


def test_what_was_added_is_found_again_by_its_keys(tmp_path):
    path = tmp_path / "cells.csv"
    cells = CellFile(path, ("arm", "seed"))
    assert cells.find(arm="a, b", seed=0) is None
    cells.add({"arm": "a, b", "seed": 0, "accuracy": 0.123456789, "kid": None})
    cells.add({"arm": "a, b", "seed": 1, "accuracy": 1.0, "extra": 3})

    again = CellFile(path, ("arm", "seed"))
    assert again.find(arm="a, b", seed=0)["accuracy"] == "0.123457"
    assert again.find(arm="a, b", seed=0)["kid"] == ""
    assert again.find(arm="a, b", seed=1)["extra"] == "3"
    assert again.find(arm="a", seed=0) is None
    assert len(again.rows) == 2


def test_two_that_measure_at_once_lose_nothing(tmp_path):
    path = tmp_path / "cells.csv"
    one, other = (CellFile(path, ("seed",)) for _ in range(2))
    one.add({"seed": 0})
    other.add({"seed": 1})
    one.add({"seed": 2})
    assert [row["seed"] for row in CellFile(path, ("seed",)).rows] == ["0", "1", "2"]


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(InvalidInputError, match="arm, seed"):
        CellFile(path, ("arm", "seed"))
