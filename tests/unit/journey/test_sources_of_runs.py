"""A run takes whatever `load_data` takes."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ganaccel.config import preset
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.rundir import RunFolder

pytestmark = pytest.mark.train

X = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
Y = np.arange(60) % 3


@pytest.mark.parametrize(
    "data",
    [
        tf.data.Dataset.from_tensor_slices((X, Y)),
        tf.data.Dataset.from_tensor_slices((X[..., None], Y)).batch(16),
        {"data": X, "target": Y},
    ],
    ids=["unbatched", "batched", "mapping"],
)
def test_data_in_memory(data, tmp_path):
    accelerate(data=data, config=preset("quick"), out=tmp_path / "run", only=("data",))
    run = RunFolder(tmp_path / "run")
    assert sum(run.record("data")["rows"].values()) == 60
    assert run.config.data.source == "memory"


def test_a_path_object_is_kept_as_the_source(tmp_path):
    for row, label in enumerate(Y):
        folder = tmp_path / "images" / "abc"[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[row]).save(folder / f"{row}.png")
    images = tmp_path / "images"
    accelerate(data=images, config=preset("quick"), out=tmp_path / "run", only=("data",))
    assert RunFolder(tmp_path / "run").config.data.source == str(images)
