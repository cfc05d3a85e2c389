import numpy as np
import pandas as pd
import pytest

from keras_ganaccel.classifier.train import evaluate, train_classifier
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.export.inspect import inspect_tflite
from keras_ganaccel.export.tflite import export_tflite
from keras_ganaccel.modality.table import classifiers
from keras_ganaccel.modality.table.classifiers import build_table_classifier, embedding_widths

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def shops(fitted):
    """A frame with a category of forty values, on which the class depends."""
    random = np.random.default_rng(0)
    shop = random.integers(0, 40, 800)
    frame = pd.DataFrame(
        {"price": random.normal(size=800), "shop": [f"shop {i}" for i in shop]}
    ).astype({"shop": object})
    y = (shop % 2 == (frame["price"] > 1.0)).astype(int)
    return fitted(frame, y)[0], frame, y


@pytest.mark.parametrize("size", classifiers.WIDTHS)
def test_it_learns_and_is_all_int8(shops, size, tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "_SAVED_PARAMETERS", 0)  # embeddings in every size
    spec, frame, y = shops
    x = spec.encode(frame)
    model = build_table_classifier(spec, size=size, activation="relu6")
    assert any("embedding" in layer.name for layer in model.layers)
    if size == "tiny":
        assert model.count_params() <= 2000
    train_classifier(model, (x, y), steps=150, learning_rate=1e-2)
    assert evaluate(model, x, y)["accuracy"] > 0.9
    path = export_tflite(model, tmp_path / "m.tflite", "int8", representative_dataset=x[:200])
    facts = inspect_tflite(path)
    allowed = {"FULLY_CONNECTED", "CONCATENATION", "STRIDED_SLICE", "RELU6", "RELU"}
    assert set(facts.operators) <= allowed


def test_the_tiny_one_has_as_many_units_as_it_can_afford(shops, fitted):
    spec, _, _ = shops
    narrow = build_table_classifier(spec)
    assert narrow.count_params() <= 2000
    assert narrow.get_layer("dense0").units == 32
    random = np.random.default_rng(0)
    wide = fitted(pd.DataFrame(random.normal(size=(50, 90))).rename(columns=str))[0]
    model = build_table_classifier(wide)
    assert 16 <= model.get_layer("dense0").units < 32
    assert 2000 - 100 < model.count_params() <= 2000


def test_an_embedding_must_make_the_file_smaller():
    spans = (slice(0, 2), slice(2, 42))
    assert embedding_widths(spans, 32) == (0, 0)
    assert embedding_widths(spans, 64) == (0, 7)


def test_the_same_seed_gives_the_same_weights(shops):
    spec, _, _ = shops
    one, two, other = (build_table_classifier(spec, seed=seed) for seed in (1, 1, 2))
    assert all(map(np.array_equal, one.get_weights(), two.get_weights()))
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"architecture": "table_mpl"}, "Did you mean 'table_mlp'"),
        ({"size": "huge"}, "`size`"),
        ({"activation": "gelu"}, "`activation`"),
        ({"dropout": 1.0}, "`dropout`"),
    ],
)
def test_what_is_unknown_is_told(shops, options, words):
    with pytest.raises(InvalidInputError, match=words):
        build_table_classifier(shops[0], **options)
