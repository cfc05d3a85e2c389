"""Files and frames of every odd kind: read as what they are, or refused in one line."""

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from keras_ganaccel.errors import InvalidInputError, MissingExtraError, MissingFileError
from keras_ganaccel.modality.table.column_file import read_options
from keras_ganaccel.modality.table.kinds import type_columns
from keras_ganaccel.modality.table.read_table import read_table

ROWS = [("age", "city", "label"), (31, "Bern", "yes"), (25.5, "Köln", "no"), (44, "?", "yes")] + [
    (20 + row, "Bern", "no") for row in range(5)
]


def write(path, rows=ROWS, delimiter=",", encoding="utf-8", decimal="."):
    def cell(value):
        return str(value).replace(".", decimal) if isinstance(value, float) else str(value)

    path.write_text("\n".join(delimiter.join(map(cell, row)) for row in rows), encoding)
    return path


def read(path, target="label", **options):
    columns = options.pop("columns", None)
    return read_table(path, read_options(columns, target=target, **options))


def said(kind):
    """What a file of columns holds that names the kind of the column a."""
    return {"columns": {"a": kind}}


def refusal(source, **options):
    """The one line that a table is refused with."""
    with pytest.raises(InvalidInputError) as caught:
        table = read(source, **options)
        type_columns(table.frame, read_options(options.get("columns"), target="label"))
    line = str(caught.value)
    assert "\n" not in line
    assert "Received: " in line
    return line


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_delimiter_and_encoding_are_found(tmp_path, delimiter, encoding):
    table = read(write(tmp_path / "t.csv", delimiter=delimiter, encoding=encoding))
    assert table.frame.columns.tolist() == ["age", "city"]
    assert table.frame["age"].tolist()[:3] == [31.0, 25.5, 44.0]
    assert table.frame["city"].tolist()[1] == "Köln"
    assert pd.isna(table.frame["city"][2])
    assert table.labels.tolist()[:3] == ["yes", "no", "yes"]
    assert any("cp1252" in note for note in table.notes) == (encoding == "cp1252")


def test_latin_letters_that_windows_lacks_are_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,label\n\xe4\x81,x\nb,x\nc,y\nd,y\n")
    table = read(path)
    assert table.frame["a"][0] == "ä\x81"
    assert any("latin-1" in note for note in table.notes)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas_are_found_and_said(tmp_path, delimiter):
    table = read(write(tmp_path / "t.csv", delimiter=delimiter, decimal=","))
    assert table.frame["age"].tolist()[:2] == [31.0, 25.5]
    assert any("decimal commas" in note for note in table.notes)


def test_quoted_decimal_commas_are_found_and_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,label\n"1,5",x\n"-2,25",y\n"3",x\n"0,5",y\n')
    table = read(path)
    (column,), notes = type_columns(table.frame, read_options())
    assert (column.kind, column.decimal) == ("numeric", ",")
    assert any("decimal commas" in note for note in notes)


def test_commas_that_may_mean_thousands_are_asked_about(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,label\n"1,500",x\n"2,250",y\n"3,000",x\n"4,100",y\n')
    assert "thousands or decimals" in refusal(path)
    table = read(path, columns={"decimal": ","})
    (column,), _ = type_columns(table.frame, read_options({"decimal": ","}))
    assert column.kind == "numeric"


def test_spaces_after_the_delimiter_are_no_part_of_a_cell(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a, b, label\n1, ?, x\n2, "u, v", x\n3, w, y\n4, w, y\n')
    table = read(path)
    assert table.frame.columns.tolist() == ["a", "b"]
    assert pd.isna(table.frame["b"][0])
    assert table.frame["b"][1] == "u, v"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a,b,label\n1,2,x\n1,2\n3,4,y\n", "2 in line 3"),
        ("a,b,label\n1,2,x\n\n1,2,3,y\n", "4 in line 4"),
        ('a,b,label\n1,"two\nlines",x\n1,2,3,x\n', "4 in line 4"),
        ('a,b,label\n1,"open,x\n2,3,y\n3,4,y\n', "not closed in the row that begins in line 2"),
        ('a,b,label\n1,2,x\n1,"two"2,x\n', "begins in line 3"),
    ],
)
def test_ragged_and_wrongly_quoted_rows_are_refused_with_their_line(tmp_path, text, line):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert line in refusal(path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty file"),
        (b" \n\n", "empty file"),
        (b"a,b,label\n", "only the names"),
        (b"a,a,label\n1,2,x\n", "'a' more than once"),
        (b",a,label\n0,2,x\n", "no name for column 1 of 3"),
        (b"1,2,3\n4,5,6\n", "must name the columns"),
        (b"label\nx\ny\n", "one column"),
        (b"PK\x03\x04\0\0\0", "none"),
        ("a,label\n1,x\n2,y\n".encode("utf-16-le"), "UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, word):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert word in refusal(path)


def test_a_million_columns_are_refused_at_once_and_in_little_memory(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{number}" for number in range(1_000_000)) + "\n" + "1," * 999_999)
    tracemalloc.start()
    start = time.perf_counter()
    line = refusal(path)
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "Received: 1000000" in line
    assert seconds < 5
    assert peak < 2**27
    frame = pd.DataFrame(np.zeros((2, 20_000)))
    assert "20000" in refusal(frame)


@pytest.mark.parametrize(
    ("frame", "options", "word"),
    [
        ({"a": [1, 2], "b": [1, 2]}, {}, "'label'"),
        ({"a": [1, 2], "lable": [1, 2]}, {}, "Did you mean 'lable'?"),
        ({"a": [1, 2, 3], "label": ["x"] * 3}, {}, "only 'x'"),
        ({"a": range(6), "label": list("uvwxyz")}, {}, "6 different values in 6 rows"),
        ({"a": range(40), "label": np.arange(40) / 7}, {}, "regression"),
        ({"a": [None] * 4, "label": [0, 1] * 2}, {}, "missing in all 4 rows"),
        ({"a": ["?", ""] * 2, "label": [0, 1] * 2}, {}, "missing in all 4 rows"),
        ({"a": [1, "x", 2.5, "y"], "label": [0, 1] * 2}, {}, "mix numbers and text"),
        ({"a": [[1], [2]] * 2, "label": [0, 1] * 2}, {}, "one value a row"),
        ({"a": [1j, 2] * 2, "label": [0, 1] * 2}, {}, "complex"),
        ({"a": [1, 2] * 2, "label": [0, 1] * 2}, {"drop": ("b",)}, "'b'"),
        ({"a": [1, 2] * 2, "label": [0, 1] * 2}, {"drop": ("a",)}, "beside the target"),
        ({"a": [1, 2] * 2, "label": [0, 1] * 2}, {"drop": ("label",)}, "must not be dropped"),
        ({"a": [1, None] * 2, "label": [0, 1] * 2}, {"groups": "a"}, "2 of 4 empty"),
        ({"a": [], "label": []}, {}, "without any"),
        ({"a": ["x", "y"] * 2, "label": [0, 1] * 2}, {"columns": said("date")}, "'x'"),
        ({"a": [1.5, 2] * 2, "label": [0, 1] * 2}, {"columns": said("integer")}, "1.5"),
        ({"a": list("xyzz"), "label": [0, 1] * 2}, {"columns": said("boolean")}, "kind"),
        ({"a": [1, 2] * 2, "label": [0, 1] * 2}, {"columns": said("number")}, "number"),
        ({"a": [1, 2] * 2, "label": [0, 1] * 2}, {"columns": {"column": {}}}, "'columns'?"),
    ],
)  # fmt: skip
def test_bad_frames_are_refused_in_one_line(frame, options, word):
    assert word in refusal(pd.DataFrame(frame), **options)


def test_mixed_types_of_a_file_are_refused_with_a_row(tmp_path):
    rows = [("a", "label"), *((value / 3, value % 2) for value in range(60)), ("n.b.", 1)]
    line = refusal(write(tmp_path / "t.csv", rows))
    assert "'n.b.'" in line
    assert "row 60" in line
    named = {"columns": {"a": {"missing": ["n.b."]}}}
    table = read(tmp_path / "t.csv", columns=named)
    assert type_columns(table.frame, read_options(named))[0][0].kind == "numeric"


def test_frames_of_two_levels_and_of_one_name_twice_are_refused():
    levels = pd.DataFrame(np.zeros((2, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]))
    assert "2 levels" in refusal(levels)
    twice = pd.DataFrame(np.zeros((2, 3)), columns=["a", "a", "label"])
    assert "'a' more than once" in refusal(twice)


def test_missing_files_and_unknown_encodings(tmp_path):
    with pytest.raises(MissingFileError, match="Cannot read"):
        read(tmp_path / "none.csv")
    path = write(tmp_path / "t.csv", encoding="cp1252")
    assert "must be in the encoding" in refusal(path, columns={"encoding": "utf-8"})
    assert "not known" in refusal(path, columns={"encoding": "utf-88"})


def test_labels_keep_their_words_and_groups_theirs(tmp_path):
    rows = [("a", "person", "label"), *((n, "NA" if n % 2 else "01", "NA" if n < 4 else "no")
                                        for n in range(8))]  # fmt: skip
    table = read(write(tmp_path / "t.csv", rows), groups="person")
    assert table.labels.tolist() == ["NA"] * 4 + ["no"] * 4
    assert sorted(set(table.groups)) == ["01", "NA"]
    assert table.frame.columns.tolist() == ["a"]


def test_whole_numbers_as_labels_are_numbers(tmp_path):
    rows = [("a", "label"), *((n, n % 11) for n in range(44))]
    labels = read(write(tmp_path / "t.csv", rows)).labels
    assert sorted(set(labels)) == list(range(11))


def test_a_frame_is_left_as_it_was():
    frame = pd.DataFrame({7: [1.0, None] * 3, "label": list("xyxyxy")}, index=list("fedcba"))
    before = frame.copy()
    table = read(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert table.frame.columns.tolist() == ["7"]


def test_parquet_files_are_read_as_they_were_written(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "a": [1, None, 3, 4],
            "when": pd.date_range("2020-01-01", periods=4, tz="UTC"),
            "c": pd.Categorical(list("uvuv")),
            "label": list("xyxy"),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    table = read(tmp_path / "t.parquet")
    assert [column.kind for column in type_columns(table.frame, read_options())[0]] == [
        "integer",
        "date",
        "category",
    ]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 is not all")
    assert "Parquet" in refusal(tmp_path / "broken.parquet")


def test_parquet_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"keras-ganaccel\[parquet\]"):
        read(tmp_path / "t.parquet")


def test_embedded_tables():
    table = read_table("tables:wine", read_options())
    assert table.frame.shape == (178, 13)
    assert table.labels.nunique() == 3
    with pytest.raises(InvalidInputError, match="Did you mean 'wine'"):
        read_table("tables:wines", read_options())


def test_the_file_of_columns_says_what_columns_are(tmp_path):
    path = tmp_path / "columns.yaml"
    path.write_text(
        "missing: [none given]\n"
        "columns:\n"
        "  no: category\n"
        "  day: {kind: date, format: '%d.%m.%y'}\n"
        "  code: {missing: [-999]}\n"
        "  name: drop\n"
    )
    frame = pd.DataFrame(
        {
            "no": [1, 2] * 4,
            "day": ["03.04.21", "05.06.22"] * 4,
            "code": [-999, 7, 8, 9] * 2,
            "name": list("abcdefgh"),
            "label": list("xy") * 4,
        }
    )
    options = read_options(path, target="label")
    table = read_table(frame, options)
    typed, _ = type_columns(table.frame, options)
    assert [(column.name, column.kind) for column in typed] == [
        ("no", "category"),
        ("day", "date"),
        ("code", "integer"),
    ]
    assert typed[2].missing == ("-999",)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("columns: [", "YAML"),
        ("columns: {a: b: c}", "YAML"),
        ("columns: {a: date, a: category}", "twice"),
        ("- a", "mapping"),
        ("columns: date", "what each column is"),
        ("numbers: log", "'log'"),
        ("decimal: ';'", "decimal"),
        ("columns: {a: {kinds: date}}", "'kind'?"),
        ("columns: {a: [date]}", "a mapping"),
    ],
)
def test_a_wrong_file_of_columns_is_refused_in_one_line(tmp_path, text, word):
    path = tmp_path / "columns.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_options(path)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
