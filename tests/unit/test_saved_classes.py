"""`import keras_ganaccel` alone makes every file that the package writes loadable."""

import importlib
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_ganaccel
from keras_ganaccel.gan.networks import build_discriminator, build_generator
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.saved_classes import CLASSES, StandIn

pytestmark = pytest.mark.train

SPEC = DataSpec(8, 8, 1, ("zero", "one"))


def test_every_class_that_keras_may_meet_has_a_stand_in():
    for module in pkgutil.walk_packages(keras_ganaccel.__path__, "keras_ganaccel."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    registered = {
        name.removeprefix("keras_ganaccel>"): value
        for name, value in keras.saving.get_custom_objects().items()
        if name.startswith("keras_ganaccel>")
    }
    assert sorted(registered) == sorted(name for names in CLASSES.values() for name in names)
    for name, value in registered.items():
        assert not isinstance(value, StandIn)
        assert name in CLASSES[value.__module__.removeprefix("keras_ganaccel.")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for structure in ("residual", "transposed", "subpixel"):
        network = build_generator(SPEC, 4, architecture=structure, width=8)
        network.save(folder / f"{structure}.keras")
    build_discriminator(SPEC, width=8, spectral_norm=True).save(folder / "discriminator.keras")
    return sorted(folder.glob("*.keras"))


@pytest.mark.parametrize(
    "first", ["keras_ganaccel", "keras", "keras_ganaccel.modality.image.layers"]
)
def test_files_load_in_a_fresh_process_whatever_is_imported_first(files, first):
    code = (
        f"import {first}; import sys, keras_ganaccel, keras\n"
        "for path in sys.argv[1:]:\n"
        "    model = keras.saving.load_model(path)\n"
        "    print(model.name, float(sum(abs(w).sum() for w in model.get_weights())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True, check=True
    )
    sums = [float(line.split()[1]) for line in done.stdout.splitlines()]
    expected = [
        sum(np.abs(w).sum() for w in keras.saving.load_model(path).get_weights()) for path in files
    ]
    np.testing.assert_allclose(sums, expected, rtol=1e-5)


def test_importing_the_package_loads_neither_keras_nor_tensorflow():
    code = "import sys, keras_ganaccel; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
