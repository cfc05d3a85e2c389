"""What commands measure on while one is choosing, and how they show it."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_ganaccel.cli.options import measured_splits
from keras_ganaccel.cli.verify import show_rows
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.proportions import paired_difference


def data(validation):
    return SimpleNamespace(splits=SimpleNamespace(train=range(9), validation=range(validation)))


def test_the_test_split_is_measured_only_when_asked_for():
    assert measured_splits(data(4), test=False) == ("validation",)
    assert measured_splits(data(4), test=True) == ("validation", "test")
    assert measured_splits(data(0), test=True) == ("test",)
    with pytest.raises(InvalidInputError, match=r"9 training rows.*--test"):
        measured_splits(data(0), test=False)


def row(matrix, **values):
    return {
        "name": "student", "accuracy": 0.9, "ci95": [0.83, 0.95], "balanced_accuracy": 0.5,
        "bytes": 14000, "gzip_bytes": 9000, "sparsity": 0.5, "dtype_in": "int8",
        "dtype_out": "int8", "latency_ms": None, "confusion_matrix": matrix, **values,
    }  # fmt: skip


def test_balanced_accuracy_is_shown_where_classes_are_uneven(capsys):
    show_rows([row([[90, 0], [10, 0]], split="validation")], json_output=False)
    assert "student on validation: accuracy 90.00 % (83.0 to 95.0), balanced 50.00 %" in (
        capsys.readouterr().out
    )
    show_rows([row([[45, 5], [5, 45]])], json_output=False)
    assert "balanced" not in capsys.readouterr().out


def test_a_reference_is_compared_row_by_row(capsys):
    first, second = np.arange(1000) >= 40, np.arange(1000) >= 10
    worse = paired_difference(first, second).as_dict()
    luck = paired_difference(np.arange(1000) != 7, np.arange(1000) >= 0).as_dict()
    matrix = [[50, 0], [0, 50]]
    show_rows([row(matrix, against_reference=each) for each in (worse, luck)], json_output=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("  against the reference: 3.0 points less (paired 95 % interval: ")
    assert lines[3].endswith("0.1 points less (0 rows won, 1 lost: chance may explain it)")
