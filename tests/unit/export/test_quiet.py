import logging
import os
import warnings

import pytest

from keras_ganaccel.export.quiet import native_stderr_to_log


def test_the_descriptor_itself_is_caught(capfd, caplog):
    caplog.set_level(logging.DEBUG, "keras_ganaccel.export.quiet")
    with native_stderr_to_log():
        os.write(2, b"chatter of native code\n")
        warnings.warn("a warning", stacklevel=1)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
    assert "chatter of native code" in caplog.text


def test_it_ends_with_an_error_too(capfd):
    level = logging.getLogger("absl").level
    with pytest.raises(RuntimeError, match="inside"), native_stderr_to_log():
        raise RuntimeError("inside")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
    assert logging.getLogger("absl").level == level
