import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.frames import read_text
from keras_ganaccel.modality.load import load_data

HEADER = "label," + ",".join(f"pixel{number}" for number in range(64))


def write(path, header=HEADER, rows=None, delimiter=","):
    digits = load_digits()
    rows = (
        np.column_stack([digits.target, digits.data]).astype(int).tolist() if rows is None else rows
    )
    lines = [header.replace(",", delimiter), *(delimiter.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("name", "delimiter"), [("d.csv", ","), ("d.TSV", "\t")])
def test_a_file_of_labelled_pixels_is_its_arrays(tmp_path, name, delimiter):
    data = load_data(write(tmp_path / name, delimiter=delimiter))
    digits = load_digits()
    np.testing.assert_array_equal(data.x[..., 0], digits.images)
    np.testing.assert_array_equal(data.y, digits.target)
    assert data.name == "d"
    assert data.audit.warnings[:2] == (
        "The column 'label' was taken as the label.",
        "The rows of `pixel columns` were taken as pictures of 8x8 pixels.",
    )


def test_labels_are_numbers_or_text_or_missing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64)).tolist()
    for labels, expected in (
        (["10", "9", "-1"], [10, 9, -1]),
        (["10", "", "9"], [10, None, 9]),
        (["a", '"b,c"', ""], ["a", "b,c", ""]),
    ):
        rows = [[label, *row] for label, row in zip(labels, pixels, strict=True)]
        assert read_text(write(tmp_path / "d.csv", rows=rows)).labels.tolist() == expected


@pytest.mark.parametrize(
    ("header", "rows", "received"),
    [
        ("a,b", [[1, 2]], "2 columns and no such name"),
        ("label,y", [[1, 2]], "'label', 'y'"),
        ("label,a", [[0, 1], [1, 2]], "must have the shape"),
        (HEADER, [[0, *["x"] * 64]], "could not convert"),
        (HEADER, [[0, 1]], "Received"),
        (HEADER, [], "no rows"),
        ("", [], "0 columns"),
    ],
)
def test_other_tables_are_refused_in_one_line(tmp_path, header, rows, received):
    with pytest.raises(InvalidInputError, match=received) as caught:
        load_data(write(tmp_path / "d.csv", header, rows))
    assert "\n" not in str(caught.value)


def test_a_binary_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "d.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InvalidInputError, match=r"Cannot read 'd\.csv'") as caught:
        load_data(tmp_path / "d.csv")
    assert "\n" not in str(caught.value)
