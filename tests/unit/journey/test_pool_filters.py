"""The filters that need more than the pool itself run in a run, and say what they kept."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ganaccel.config import preset, with_values
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.files import save_keras
from keras_ganaccel.gan.networks import build_generator
from keras_ganaccel.generated.pool import read_facts
from keras_ganaccel.journey.accelerate import accelerate
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.options import FILTERS
from keras_ganaccel.rundir import RunFolder

pytestmark = pytest.mark.train

SMALL = {
    "gan.steps": 60, "gan.width": 8, "gan.evaluate_every": 60, "pool.size": 32,
    "teacher.members": ("svm", "convnet"), "teacher.size": "tiny", "teacher.steps": 40,
    "student.steps": 500,
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 3)[:300]
    return digits.images[rows], digits.target[rows]


def test_filters_that_judge_by_density_say_what_they_kept(data, tmp_path):
    # No teacher would accept anything of a generator that has hardly been trained.
    chosen = [name for name in FILTERS if name not in ("teacher_agreement", "confidence_band")]
    config = with_values(preset(), {**SMALL, "pool.filters": chosen})
    folder = tmp_path / "run"
    accelerate(data=data, config=config, out=folder, only=("data", "teacher", "gan", "pool"))
    assert RunFolder(folder).record("pool")["pools"] == {"gan": "pool"}
    acceptance = read_facts(folder / "pool").acceptance
    assert list(acceptance) == chosen
    # Neither lets everything pass, nor nothing.
    for name in ("discriminator", "density_ratio"):
        assert 0 < np.mean(acceptance[name]) < 1


def test_a_discriminator_is_not_judged_by_another_run(data, tmp_path):
    config = with_values(
        preset(),
        {"reuse.generator": str(tmp_path / "generator.keras"), "pool.filters": ["discriminator"]},
    )
    network = build_generator(DataSpec(8, 8, 1, tuple("abc")), 8, width=8)
    save_keras(tmp_path / "generator.keras", network)
    with pytest.raises(InvalidInputError, match="same training"):
        accelerate(data=data, config=config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
