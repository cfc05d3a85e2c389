"""What is defined once must be there, and mean the same, on every command that takes data."""

import inspect
from typing import Annotated

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from keras_ganaccel.cli import bench, classifier, compress, export, gan, options, run, verify
from keras_ganaccel.errors import InvalidInputError

pytestmark = pytest.mark.train

COMMANDS = {
    "run": run.command,
    "gan train": gan.train,
    "gan evaluate": gan.evaluate,
    "classifier train": classifier.train,
    "compress": compress.command,
    "export": export.command,
    "verify": verify.command,
    "bench compression": bench.compression,
    "bench gan": bench.gan,
    "bench evidence": bench.evidence,
}
DATA_OPTIONS = ("data", "modality", "target", "drop", "columns", "groups", "labels", "image_size",
                "labels_per_class", "unlabelled", "value_range",
                "skip_corrupt")  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_takes_data_has_every_data_option(name):
    parameters = inspect.signature(COMMANDS[name]).parameters
    assert set(DATA_OPTIONS) <= set(parameters)
    reference = inspect.signature(run.command).parameters
    for option in DATA_OPTIONS:
        (own,), (other,) = (p[option].annotation.__metadata__ for p in (parameters, reference))
        assert (own.help, own.metavar) == (other.help, other.metavar)


@pytest.fixture
def app():
    app = typer.Typer()

    @app.command()
    @options.takes_data("digits")
    def command(
        data: options.DataOptions,
        fail: Annotated[bool, typer.Option("--fail", help="Fail.")] = False,
    ) -> None:
        loaded = data.load(seed=1)
        if fail:
            raise InvalidInputError("Failed.")
        print(loaded.name, loaded.spec.image_shape, len(loaded.splits.train), data.settings())

    return app


def test_the_options_reach_the_data(app, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 6, 6), np.uint8)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(60) % 2 - 1, ids=np.zeros(60))
    result = CliRunner().invoke(app, ["--labels-per-class", "10", "--image-size", "8"])
    assert result.stdout == (
        "digits (8, 8, 1) 80 {'data.source': 'digits', 'data.image_size': (8, 8), "
        "'data.labels_per_class': 10}\n"
    )
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(60) % 3 - 1)
    arguments = ["--data", str(tmp_path / "d.npz"), "--value-range", "0,255", "--skip-corrupt"]
    result = CliRunner().invoke(app, arguments)
    assert "'data.skip_corrupt': True" in result.stdout
    assert result.stderr.startswith("20 of 60 rows are labelled -1")
    result = CliRunner().invoke(app, [*arguments, "--fail"])
    assert isinstance(result.exception, InvalidInputError)
    assert not result.stderr


def test_taking_all_is_said(app):
    result = CliRunner().invoke(app, ["--labels-per-class", "1000000"])
    assert "No class has 1000000 labelled samples to train on: all 1257 are taken." in result.stderr
