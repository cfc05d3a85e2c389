"""What columns are taken for, by what they hold."""

import numpy as np
import pandas as pd
import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.table.column_file import read_options
from keras_ganaccel.modality.table.kinds import type_columns


def kind(cells, columns=None):
    frame = pd.DataFrame({"column": cells})
    ((found,), _) = type_columns(frame, read_options(columns))
    return found.kind


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1.5, 2, None], "numeric"),
        ([1, 2, 2, 5], "integer"),
        ([1.0, 2.0, None], "integer"),
        ([0, 1, 1, 0], "boolean"),
        ([0.0, 1.0, None], "boolean"),
        ([0, 1, 2], "integer"),
        ([0.0, 1.0, np.inf], "integer"),
        ([True, False, None], "boolean"),
        (["t", "f", "?"], "boolean"),
        (["Yes", "no", "yes"], "boolean"),
        (["1", "2.5", "?"], "numeric"),
        (["1e3", "-2", ""], "integer"),
        (["a", "b", "c"], "category"),
        (["1", "2", "K"], "category"),
        (["2020-01-31", "2021-02-28", "?"], "date"),
        (["2020-01-31T10:00:00Z", "2021-02-28T23:59:59+02:00"], "date"),
        (["31.01.2020", "28.02.2021"], "date"),
        (["2020-13-31", "2021-02-28"], "category"),
        (["A1-2-3", "B1-2-3"], "category"),
        (pd.Categorical([1, 2, 1]), "category"),
        (pd.array([1, None, 3], "Int64"), "integer"),
        (pd.array([True, None], "boolean"), "boolean"),
        (pd.to_timedelta([1, 90], "s"), "integer"),
        (pd.period_range("2020-01", periods=3, freq="M"), "date"),
        (pd.arrays.SparseArray([0.0, 0.5, 0.0]), "numeric"),
        ([b"x", b"y"], "category"),
        ([np.float32(0.1), np.float32(7)], "numeric"),
    ],
)
def test_kinds(cells, expected):
    assert kind(cells) == expected


def test_dates_that_may_be_read_in_two_ways_are_said():
    frame = pd.DataFrame({"day": ["03/04/2021", "05/06/2022"]})
    ((found,), notes) = type_columns(frame, read_options())
    assert (found.kind, found.date_format) == ("date", "%d/%m/%Y")
    assert any("%m/%d/%Y" in note for note in notes)
    clear = pd.DataFrame({"day": ["03/14/2021", "05/06/2022"]})
    ((found,), notes) = type_columns(clear, read_options())
    assert (found.date_format, notes) == ("%m/%d/%Y", ())


def test_columns_that_tell_nothing_are_left_out_and_said(fitted):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.permutation(np.arange(100)),
            "row": np.arange(100),
            "customer id": rng.choice(10**6, 100, replace=False),
            "name": [f"person {row}" for row in range(100)],
            "unit": ["mm"] * 100,
            "zero": [0.0] * 100,
            "rare": [f"value {row % 50}" for row in range(100)],
            "good": rng.normal(size=100),
        }
    )
    spec, notes = fitted(frame)
    assert [column.name for column in spec.columns] == ["number", "good"]
    constant = next(note for note in notes if "alike" in note)
    assert all(f"'{name}'" in constant for name in ("unit", "zero", "rare"))
    identifiers = next(note for note in notes if "numbered or named" in note)
    assert all(f"'{name}'" in identifiers for name in ("row", "customer id", "name"))
    spec, _ = fitted(frame, columns={"row": "integer"})
    assert "row" in [column.name for column in spec.columns]


def test_a_column_that_tells_the_target_stays_and_is_said(fitted):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    frame = pd.DataFrame(
        {"good": y + rng.normal(size=120), "copy": [["a", "b", "c"][label] for label in y]}
    )
    spec, notes = fitted(frame, y)
    assert [column.name for column in spec.columns] == ["good", "copy"]
    assert any("told alone" in note and "'copy'" in note and "'good'" not in note for note in notes)


def test_a_table_without_a_column_that_tells_anything_is_refused(fitted):
    with pytest.raises(InvalidInputError, match="alike in this column: 'a'"):
        fitted(pd.DataFrame({"a": [1.0] * 8}))


def test_a_column_of_one_value_and_gaps_tells_whether_there_is_one(fitted):
    spec, _ = fitted(pd.DataFrame({"a": [7.0, None] * 8, "b": ["x", None] * 8}))
    encoded = spec.encode(pd.DataFrame({"a": [7.0, None], "b": ["x", None]}))
    assert spec.encoded_names == ("a", "a is missing", "b = x", "b is missing")
    np.testing.assert_array_equal(encoded, [[0, 0, 1, 0], [0, 1, 0, 1]])


def test_kinds_of_all_are_found_with_and_without_gaps(of_all_kinds):
    frame = of_all_kinds()
    typed, _ = type_columns(frame, read_options())
    kinds = {column.name: column.kind for column in typed}
    expected = {
        "number": "numeric", "skewed": "numeric", "count": "integer", "far": "integer",
        "flag": "boolean", "word": "boolean", "city": "category", "day": "date", "moment": "date",
    }  # fmt: skip
    for name, expected_kind in expected.items():
        assert kinds[name] == kinds[f"{name} with gaps"] == expected_kind


def test_real_tables_are_typed(real_table):
    frame, spec, notes = real_table("adult")
    assert [column.kind for column in spec.columns] == [
        "number" if frame[name].dtype.kind in "if" else "category" for name in frame
    ]
    _, _, notes = real_table("mushroom")
    assert any("'veil_color'" in note for note in notes)
