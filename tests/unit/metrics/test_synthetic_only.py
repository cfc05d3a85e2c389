import json

import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.features import train_feature_extractor
from keras_ganaccel.metrics.synthetic_only import synthetic_only_accuracy
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train

SPEC = DataSpec(8, 8, 1, ("a", "b", "c"))


def bright_rows(n, seed, classes=3):
    """Images whose bright row says the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.uniform(size=(n, 8, 8, 1)) * 0.5
    x[np.arange(n), y * 2] += 0.5
    return x.astype(np.float32), y


def score(generated, **options):
    options = {"steps": 40, "batch_size": 32, "size": "tiny", "architecture": "mlp"} | options
    return synthetic_only_accuracy(
        *generated, bright_rows(90, 0), bright_rows(60, 1), SPEC, **options
    )


def test_the_same_data_gives_the_same_score():
    report = score(bright_rows(90, 0))
    assert report["synthetic_only_accuracy"] == report["real_only_accuracy"] > 0.9
    assert report["per_class"]["synthetic_only"] == report["per_class"]["real_only"]
    recalls = report["per_class"]["real_only"]  # of twenty samples each
    assert np.mean(recalls) == pytest.approx(report["real_only_accuracy"])
    json.dumps(report, allow_nan=False)


def test_a_classifier_on_the_real_samples_is_not_trained_again():
    x, y = bright_rows(90, 0)
    options = {"steps": 40, "architecture": "convnet", "size": "tiny", "seed": 3}
    trained = train_feature_extractor(x, y, SPEC, **options).classifier
    again = score(bright_rows(90, 2), batch_size=64, **options)
    taken = score(bright_rows(90, 2), batch_size=64, **options, real_classifier=trained)
    assert taken == again


def test_swapped_labels_and_a_lost_class_show():
    x, y = bright_rows(90, 2)
    report = score((x[y > 0], np.where(y[y > 0] == 1, 0, 1)))
    assert report["per_class"]["synthetic_only"][2] == 0.0
    assert report["per_class"]["synthetic_only"][1] < 0.1
    assert report["synthetic_only_accuracy"] < 0.4
    assert report["real_only_accuracy"] > 0.9


def test_refuses_sets_without_labels():
    x, y = bright_rows(9, 2)
    with pytest.raises(InvalidInputError, match="`generated` must hold labelled"):
        score((x, np.full(9, -1)))
    with pytest.raises(InvalidInputError, match="Received: 9 samples, 8 labels"):
        score((x, y[:8]))
