import json
import subprocess

import pytest

from keras_ganaccel.benchmarks import steps
from keras_ganaccel.cli.doctor import reasons

AVX512 = {"avx2", "avx512f"}


def row(network, precision, speed, error=None):
    return {
        "precision": precision, "network": network, "images_per_second": speed, "error": error
    }  # fmt: skip


def test_each_reason_is_named_and_a_fast_cpu_has_none():
    even = [row("student", "float32", 100.0), row("student", "mixed_bfloat16", 100.0)]
    assert reasons(even, True, AVX512) == []
    (onednn,) = reasons(even, False, AVX512)
    assert "TF_ENABLE_ONEDNN_OPTS=1" in onednn
    (instructions,) = reasons(even, True, {"avx2"})
    assert "AVX-512" in instructions
    slow = [*even[:1], row("student", "mixed_bfloat16", 40.0)]
    (precision,) = reasons(slow, True, AVX512)
    assert "2.5 times as long" in precision


def test_a_precision_that_failed_is_no_reason():
    failed = row("student", "mixed_bfloat16", None, "the process was ended by SIGABRT")
    assert reasons([row("student", "float32", 100.0), failed], True, AVX512) == []


def test_a_precision_that_ends_the_process_is_a_row(monkeypatch):
    done = json.dumps(row("generator", "mixed_bfloat16", 50.0)) + "\n"
    ended = subprocess.CompletedProcess([], -6, stdout=done, stderr="")
    monkeypatch.setattr(steps.subprocess, "run", lambda *args, **options: ended)
    found = steps.try_steps(["mixed_bfloat16"])
    assert [line["images_per_second"] for line in found] == [50.0, None, None]
    assert found[1]["error"] == found[2]["error"] == "the process was ended by SIGABRT"


def test_a_precision_without_end_is_a_row(monkeypatch):
    def run(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(steps.subprocess, "run", run)
    found = steps.try_steps(["float32"], patience=2)
    assert [line["error"] for line in found] == ["no end after 2 s"] * 3


@pytest.mark.train
def test_steps_are_really_taken():
    found = steps.try_steps(["float32"])
    assert [line["network"] for line in found] == list(steps.NETWORKS)
    for line in found:
        assert line["error"] is None
        assert line["images_per_second"] > 0
