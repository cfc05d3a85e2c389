import importlib.util
import subprocess

import pytest

from keras_ganaccel.export import arena

pytestmark = pytest.mark.train


def test_without_the_package_it_is_unknown(files, monkeypatch):
    monkeypatch.setattr(arena.importlib.util, "find_spec", lambda name: None)
    assert arena.arena_bytes(files["int8"]) is None


def test_the_report_of_a_process_is_read(files, monkeypatch):
    monkeypatch.setattr(arena.importlib.util, "find_spec", lambda name: object())
    report = "print('x', file=sys.stderr); print('[X] Arena allocation total 4096 bytes')"
    monkeypatch.setattr(arena, "_PROGRAM", "import sys; " + report)
    assert arena.arena_bytes(files["int8"]) == 4096
    monkeypatch.setattr(arena, "_PROGRAM", "raise SystemExit('Unsupported operator')")
    assert arena.arena_bytes(files["int8"]) is None

    def never_ends(*arguments, **options):
        raise subprocess.TimeoutExpired("python", 60)

    monkeypatch.setattr(arena.subprocess, "run", never_ends)
    assert arena.arena_bytes(files["int8"]) is None


@pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="tflite-micro is not installed"
)
def test_tflite_micro_itself(files):
    assert 0 < arena.arena_bytes(files["int8"]) < 100_000
