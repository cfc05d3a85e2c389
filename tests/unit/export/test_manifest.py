import hashlib
import json

import pytest

from keras_ganaccel.errors import InvalidInputError, MissingFileError, VerificationError
from keras_ganaccel.export.manifest import check_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.tflite").write_bytes(b"bytes")
    (tmp_path / "sub" / "a.pb").write_bytes(b"")
    (tmp_path / ".hidden.tmp").write_bytes(b"being written")
    write_manifest(tmp_path)
    return tmp_path


def test_digests_by_relative_path_in_order(folder):
    expected = {
        "b.tflite": hashlib.sha256(b"bytes").hexdigest(),
        "sub/a.pb": hashlib.sha256(b"").hexdigest(),
    }
    text = (folder / "manifest.json").read_text()
    assert json.loads(text) == expected == check_manifest(folder)
    assert list(json.loads(text)) == sorted(expected)
    write_manifest(folder)
    assert (folder / "manifest.json").read_text() == text


def test_every_deviation_is_named(folder):
    (folder / "b.tflite").write_bytes(b"bytez")
    (folder / "sub" / "a.pb").unlink()
    (folder / "c.txt").write_text("more")
    with pytest.raises(VerificationError) as caught:
        check_manifest(folder)
    for part in ("b.tflite has changed", "sub/a.pb is missing", "c.txt is not in the manifest"):
        assert part in str(caught.value)


def test_what_is_no_manifest(tmp_path):
    with pytest.raises(MissingFileError, match="cannot be read"):
        check_manifest(tmp_path)
    for content in ("{", "[1]", '{"a": 1}'):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(InvalidInputError, match="manifest must be"):
            check_manifest(tmp_path)
