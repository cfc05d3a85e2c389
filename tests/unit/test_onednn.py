import logging
import subprocess
import sys

import pytest

from keras_ganaccel import onednn


@pytest.fixture
def x86_without_onednn(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    monkeypatch.setattr(onednn, "_mentioned", False)
    monkeypatch.setattr(onednn, "is_on", lambda: False)
    monkeypatch.setattr(onednn.platform, "machine", lambda: "x86_64")


@pytest.mark.usefixtures("x86_without_onednn")
def test_what_it_would_bring_is_said_once(caplog):
    with caplog.at_level(logging.WARNING):
        onednn.mention_once()
        onednn.mention_once()
    (record,) = caplog.records
    assert "TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported" in record.getMessage()


@pytest.mark.usefixtures("x86_without_onednn")
@pytest.mark.parametrize("case", ["decided", "on", "arm", "not loaded"])
def test_nothing_is_said_where_nothing_is_to_be_done(case, monkeypatch, caplog):
    if case == "decided":
        monkeypatch.setenv(onednn.VARIABLE, "0")
    elif case == "on":
        monkeypatch.setattr(onednn, "is_on", lambda: True)
    elif case == "arm":
        monkeypatch.setattr(onednn.platform, "machine", lambda: "arm64")
    else:
        monkeypatch.delitem(sys.modules, "tensorflow")
    with caplog.at_level(logging.WARNING):
        onednn.mention_once()
    assert not caplog.records


def test_the_variable_is_set_before_tensorflow_is_loaded_and_only_where_it_is_not_set(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv(onednn.VARIABLE, "0")
    onednn.prefer()
    assert onednn.os.environ[onednn.VARIABLE] == "0"
    monkeypatch.delenv(onednn.VARIABLE)
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    onednn.prefer()
    assert onednn.VARIABLE not in onednn.os.environ
    monkeypatch.delitem(sys.modules, "tensorflow")
    onednn.prefer()
    assert onednn.os.environ[onednn.VARIABLE] == "1"
    monkeypatch.delenv(onednn.VARIABLE)


@pytest.mark.train
@pytest.mark.parametrize("setting", ["0", "1"])
def test_tensorflow_is_asked_for_what_it_does(setting):
    script = "from keras_ganaccel import onednn; print(onednn.is_on())"
    environment = {**onednn.os.environ, onednn.VARIABLE: setting}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split()[-1] == str(setting == "1")
