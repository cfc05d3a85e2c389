"""Whatever the console is: no sign is too much for it, and hints can be pasted."""

import codecs
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from keras_ganaccel.cli import main, terminal
from keras_ganaccel.invocation import command_line
from keras_ganaccel.journey.progress import Live

ENCODINGS = ["ascii", "cp1252", "cp437", "latin-1", "koi8-r", "shift_jis", "utf-8"]


@pytest.fixture
def console(monkeypatch):
    """Makes standard output a console of an encoding, prepared as for a command."""
    monkeypatch.setattr(terminal, "silence_tensorflow", lambda: None)
    monkeypatch.setattr(sys, "stderr", None)

    def make(encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        terminal.prepare_terminal()
        for number, handler in before.items():
            signal.signal(number, handler)
        return stream

    return make


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_text_can_be_printed(console, encoding):
    stream = console(encoding)
    print("KID 0.1 ± 0.2 → 3 × 4 … – ≥ ━ 中 é \udcff \U0001f600")
    written = stream.buffer.getvalue().decode(encoding, "surrogatepass")
    assert written.startswith("KID 0.1 ")
    if encoding == "ascii":
        assert written == (
            "KID 0.1 +- 0.2 -> 3 x 4 ... - >= - \\u4e2d \\xe9 \\udcff \\U0001f600" + os.linesep
        )


@given(text=st.text(st.characters(codec=None)), encoding=st.sampled_from(ENCODINGS))
def test_no_sign_is_an_error(text, encoding):
    codecs.register_error("tested.plain", terminal._in_plain_letters)
    assert isinstance(text.encode(encoding, "tested.plain"), bytes)


@pytest.mark.parametrize("width", [1, 8, 200])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_the_bar_fits_every_console(console, encoding, width):
    stream = console(encoding)
    bar = Live(Console(file=stream, force_terminal=True, width=width))
    bar.start("teacher", 1, 2)
    bar.advance(1, 3)
    bar.note("[not markup] ± ok")
    bar.finish("teacher", "90 % ± 1")
    bar.close()
    assert b"[1/2] teacher" in stream.buffer.getvalue().replace(b"\r", b"").replace(b"\n", b"")


def test_errors_are_told_to_nobody_where_nobody_listens(console, monkeypatch):
    stream = console("utf-8")
    terminal.show_error("unheard")
    assert stream.buffer.getvalue() == b""


def test_a_request_to_end_is_taken_as_an_interruption(monkeypatch):
    monkeypatch.setattr(terminal, "silence_tensorflow", lambda: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        monkeypatch.setattr(sys, "stdout", None)
        before = signal.getsignal(number)
        try:
            signal.signal(number, signal.SIG_DFL)
            terminal.prepare_terminal()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
            # As under nohup.
            signal.signal(number, signal.SIG_IGN)
            terminal.prepare_terminal()
            os.kill(os.getpid(), number)
        finally:
            signal.signal(number, before)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "x.keras"), 1, "disk is full"),
        (PermissionError(13, "Permission denied", "x.keras"), 1, "could not be written or read"),
        (RuntimeError("Unable to write: errno = 28, error message"), 1, "disk is full"),
        (MemoryError(), 1, "memory"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_what_the_machine_refuses_is_one_line(monkeypatch, capfd, error, code, said):
    def fail(arguments):
        raise error

    monkeypatch.setattr(main, "_command", fail)
    assert main._run([]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(main, "_command", lambda arguments: [][0])
    with pytest.raises(IndexError):
        main._run([])


def test_a_full_output_is_told(monkeypatch, capfd):
    with open("/dev/full", "wb", 0) as full:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full))
        assert main._run(["--version"]) == 1
        monkeypatch.undo()
        assert "disk is full" in capfd.readouterr().err


@pytest.fixture
def program(tmp_path, monkeypatch):
    """An executable called `ganaccel` in a folder with a space, not on the path."""
    place = tmp_path / "my tools" / "ganaccel"
    place.parent.mkdir()
    place.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    place.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", "/bin"]))
    return place


def said_when_pasted(words):
    return subprocess.check_output(["/bin/sh", "-c", words], text=True).splitlines()


def test_the_hint_is_the_program_that_was_called(program, monkeypatch):
    folder = "a run; echo 'no' $HOME é"
    monkeypatch.setattr(sys, "argv", [str(program), "run"])
    assert said_when_pasted(command_line("run", "--resume", folder)) == [
        str(program), "run", "--resume", folder
    ]  # fmt: skip
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert command_line("run") == "ganaccel run"
    # Another one of this name is what the shell finds: the path it must be.
    other = program.parent.parent / "other" / "ganaccel"
    other.parent.mkdir()
    shutil.copy(program, other)
    monkeypatch.setenv("PATH", f"{other.parent}:/usr/bin:/bin")
    assert command_line("run") == f"{shlex.quote(str(program))} run"


@pytest.mark.parametrize("called", ["-c", "-m", "", "/x/keras_ganaccel/__main__.py", "script.py"])
def test_else_the_hint_is_this_interpreter(program, monkeypatch, called):
    monkeypatch.setattr(sys, "argv", [called])
    assert command_line("run") == f"{shlex.quote(sys.executable)} -m keras_ganaccel run"
