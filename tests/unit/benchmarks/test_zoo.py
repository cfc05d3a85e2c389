"""The zoo: what works is measured on the file, what does not has its reason, nothing is lost."""

import numpy as np
import pytest

from keras_ganaccel.benchmarks import zoo
from keras_ganaccel.benchmarks.zoo_models import MODELS, learnable_samples
from keras_ganaccel.data.inputs import ModelInputs

SMALL = [name for name, model in MODELS.items() if model.source != "keras.applications"]


@pytest.mark.parametrize("name", ["text_cnn", "structured_data", "ds_cnn"])
def test_samples_fit_the_model_and_differ_by_class(name):
    model = MODELS[name].build()
    x, labels = learnable_samples(model, 2, 12, (0.0, 255.0))
    arrays = ModelInputs.of(model).arrays(x)
    assert sorted(set(labels)) == [0, 1]
    for array in arrays:
        first, second = (array[labels == label].astype(float).mean(axis=0) for label in (0, 1))
        assert np.abs(first - second).max() > 1.0


@pytest.mark.train
def test_cells_are_measured_once_and_make_the_page(tmp_path):
    told = []
    wanted = {"models": ["text_cnn", "autoencoder"], "rows": ["dynamic_range", "prune"]}
    cells = zoo.run_zoo(tmp_path, **wanted, fit_steps=8, steps=1, progress=told.append)
    found = {(cell["model"], cell["row"]): cell for cell in cells}
    assert found["text_cnn", "dynamic_range"]["outcome"] == "works"
    assert int(found["text_cnn", "dynamic_range"]["bytes"]) > 1000
    assert found["autoencoder", "prune"]["outcome"] == "refused"
    assert "no classifier" in found["autoencoder", "prune"]["detail"]
    assert len(told) == 4
    assert zoo.run_zoo(tmp_path, **wanted, progress=told.append) == cells
    assert len(told) == 4
    page = zoo.zoo_page(cells)
    (row,) = [line for line in page.splitlines() if line.startswith("| autoencoder")]
    assert row.count("not measured") == len(zoo.ROWS) - 2
    assert "refused [1]" in row
    assert "1. " in page


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_no_small_model_fails(name, tmp_path):
    cells = zoo.run_zoo(tmp_path, models=[name])
    assert [cell for cell in cells if cell["outcome"] == "fails"] == []


def test_the_page_has_every_model(request):
    page = (request.config.rootpath / "docs" / "model_zoo.md").read_text(encoding="utf-8")
    for name in MODELS:
        assert f"| {name} |" in page
