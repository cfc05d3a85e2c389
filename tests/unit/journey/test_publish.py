import json
import shutil
from pathlib import Path

import pytest

from keras_ganaccel.errors import (
    GanAccelError,
    InvalidInputError,
    MissingFileError,
    VerificationError,
)
from keras_ganaccel.export.manifest import write_manifest
from keras_ganaccel.journey.publish import verify_published
from keras_ganaccel.report.ledger import Ledger

PUBLISHED = Path(__file__).parents[3] / "saved_models" / "digits"
FILE = "student_int8.tflite"


@pytest.fixture
def folder(tmp_path):
    """What was published, with one TFLite file of it."""
    for name in (FILE, "ledger.json"):
        shutil.copyfile(PUBLISHED / name, tmp_path / name)
    write_manifest(tmp_path)
    return tmp_path


def edited(folder, change):
    """Lets the ledger lie, and the manifest with it."""
    ledger = json.loads((folder / "ledger.json").read_text())
    change(ledger, next(row for row in ledger["stages"] if row["file"].endswith(FILE)))
    (folder / "ledger.json").write_text(json.dumps(ledger))
    write_manifest(folder)


def test_what_was_published_holds(folder):
    (found,) = verify_published(folder)
    assert (found["file"], found["format"]) == (FILE, "int8")
    assert found["notes"] == []


def test_what_was_not_measured_is_said(folder, caplog):
    verify_published(folder)
    assert "student_keras" in caplog.text
    assert "were not measured" in caplog.text


def test_every_figure_that_lies_is_named(folder):
    def lie(ledger, row):
        row.update(
            accuracy=0.5, ci95=[0.4, 0.6], macro_f1=0.5, bytes=1, gzip_bytes=1, parameters=1,
            sparsity=0.9, format="float32", dtype_in="float32",
        )  # fmt: skip
        row.update(log_loss=0.9, calibration_error=0.9, auc=0.1)
        row["input"] = {"shape": [1, 8, 8, 1], "scale": 1.0, "offset": 0.0}
        ledger["data"]["test"] = 7

    edited(folder, lie)
    with pytest.raises(VerificationError, match="do not reach what the ledger states") as caught:
        verify_published(folder)
    for name in ("accuracy", "ci95", "macro_f1", "bytes", "gzip_bytes", "parameters", "sparsity",
                 "format", "dtype_in", "input", "log_loss", "calibration_error",
                 "auc"):  # fmt: skip
        assert f"{FILE} has {name} " in str(caught.value)
    assert "the data have test 540, the ledger 7" in str(caught.value)


def second_row(ledger, row):
    ledger["stages"].append({**row, "name": "student_float16"})


def no_row(ledger, row):
    ledger["stages"].remove(row)


def other_classes(ledger, row):
    ledger["data"]["classes"] = list("9876543210")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (second_row, "one row per file"),
        (lambda ledger, row: row.update(file=f"../{FILE}"), "lie in its folder"),
        (no_row, "a row for each TFLite file"),
        (other_classes, "the data have classes"),
        (lambda ledger, row: row.update(file=None), "."),
        (lambda ledger, row: row.update(file=7), "."),
        (lambda ledger, row: row.update(accuracy="high"), "."),
        (lambda ledger, row: row.update(ci95=None), "."),
        (lambda ledger, row: row.update(input=[]), "."),
        (lambda ledger, row: ledger.update(stages={}), "."),
        (lambda ledger, row: ledger.update(stages=[7]), "."),
        (lambda ledger, row: ledger.update(data=[]), "."),
        (lambda ledger, row: ledger["data"].update(name=7), "."),
    ],
)
def test_ledgers_of_another_form(change, message, folder):
    edited(folder, change)
    with pytest.raises(GanAccelError, match=message) as caught:
        verify_published(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "[]", "7", "null", "\xff"])
def test_ledgers_that_are_none(content, folder):
    (folder / "ledger.json").write_text(content, encoding="latin-1")
    write_manifest(folder)
    with pytest.raises(InvalidInputError) as caught:
        verify_published(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("extra", [".hidden.tflite", "extra.tflite", f"more/{FILE}"])
@pytest.mark.parametrize("listed", [False, True])
def test_files_that_are_not_in_the_ledger(extra, listed, folder):
    (folder / extra).parent.mkdir(exist_ok=True)
    shutil.copyfile(folder / FILE, folder / extra)
    if listed:
        write_manifest(folder)
    with pytest.raises(GanAccelError, match=extra):
        verify_published(folder)


def test_a_folder_without_files(folder):
    (folder / FILE).unlink()
    write_manifest(folder)
    with pytest.raises(InvalidInputError, match="no TFLite file at all"):
        verify_published(folder)


def test_one_changed_byte(folder):
    content = bytearray((folder / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / FILE).write_bytes(content)
    with pytest.raises(VerificationError, match=f"{FILE} has changed"):
        verify_published(folder)


def test_a_ledger_of_a_size_that_none_has(folder):
    with open(folder / "ledger.json", "r+b") as file:
        file.truncate(2**33)
    with pytest.raises(MissingFileError, match="The ledger cannot be read"):
        Ledger.load(folder / "ledger.json")
