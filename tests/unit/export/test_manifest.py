import hashlib
import json
import os

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
    lies = ('{"a": "1"}', '{"a": "A%s"}' % ("0" * 63), "[" * 200_000, '{"a":' * 200_000)
    digest = "0" * 64
    twice = f'{{"a": "{digest}", "a": "{digest}"}}'
    for content in ("{", "[1]", '{"a": 1}', *lies, twice, "NaN", "null"):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(InvalidInputError, match="manifest must be"):
            check_manifest(tmp_path)


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/../b", "./a", "a//b", "a\\\\b", "C:a", "", ".", "a\\nb"]
)
def test_paths_that_lead_out_or_have_two_spellings(name, folder):
    listed = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**listed, name: "0" * 64}))
    with pytest.raises(InvalidInputError, match="must be relative") as caught:
        check_manifest(folder)
    assert str(caught.value).isprintable()


def test_hidden_files_count_unless_they_are_being_written(folder):
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("[core]")
    check_manifest(folder)
    (folder / ".hidden.tflite").write_bytes(b"more")
    with pytest.raises(VerificationError, match=r"\.hidden\.tflite is not in the manifest"):
        check_manifest(folder)
    write_manifest(folder)
    assert ".hidden.tflite" in check_manifest(folder)


def test_links_are_refused_wherever_they_lead(folder):
    for target in (folder / "b.tflite", folder / "sub", folder.parent, folder / "nowhere"):
        link = folder / "sub" / "link"
        link.symlink_to(target)
        with pytest.raises(VerificationError, match=r"plain files.*sub/link"):
            check_manifest(folder)
        with pytest.raises(VerificationError, match="plain files"):
            write_manifest(folder)
        link.unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(VerificationError, match=r"plain files.*pipe"):
        check_manifest(folder)


def test_names_that_differ_by_case_alone(folder):
    (folder / "B.tflite").write_bytes(b"bytes")
    with pytest.raises(VerificationError, match=r"more than case.*B\.tflite; b\.tflite"):
        write_manifest(folder)


def test_a_long_list_of_deviations_is_cut(folder):
    for number in range(50):
        (folder / f"{number}.txt").write_text("")
    with pytest.raises(VerificationError, match="and 42 more"):
        check_manifest(folder)


def test_names_that_differ_by_the_form_of_their_accents(folder):
    for name in ("caf\u00e9.tflite", "cafe\u0301.tflite"):
        (folder / name).write_bytes(b"")
    with pytest.raises(VerificationError, match="accents' form"):
        write_manifest(folder)


def test_files_that_would_take_for_ever_are_not_looked_through(folder):
    with open(folder / "large.bin", "wb") as file:
        try:
            file.truncate(2**36 + 1)
        except OSError:
            pytest.skip("the disk knows no sparse files")
    with pytest.raises(VerificationError, match=r"more than 64 GB.*large\.bin"):
        write_manifest(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_a_pipe_is_no_manifest(folder):
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(MissingFileError, match="cannot be read"):
        check_manifest(folder)
