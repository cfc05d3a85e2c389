"""Weighing techniques: the front, the drop that is allowed, and figures that are the files' own."""

import hashlib
import logging

import keras
import numpy as np
import pytest

import keras_ganaccel as ga
from keras_ganaccel.compression.compress import TECHNIQUES
from keras_ganaccel.errors import InvalidInputError, RunFailedError
from keras_ganaccel.export import techniques
from keras_ganaccel.export.techniques import COMBINATIONS, Candidate, compress, pareto_front
from keras_ganaccel.export.verify import verify

pytestmark = pytest.mark.train

FEW = (("ptq", {}), ("pqat", {"sparsity": 0.5}), ("pqat", {"sparsity": 0.999}))


def candidate(name, accuracy, size):
    return Candidate(name, {}, None, None, {"accuracy": accuracy, "gzip_bytes": size}, True)


def test_pareto_front_by_hand():
    points = [candidate("a", 0.9, 10), candidate("b", 0.95, 20), candidate("c", 0.94, 30),
              candidate("d", 0.9, 9), candidate("e", 0.95, 25)]  # fmt: skip
    assert [c.technique for c in pareto_front(points, "gzip_bytes")] == ["b", "d"]


def test_the_list_names_techniques():
    assert {name for name, _ in COMBINATIONS} <= set(TECHNIQUES)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(techniques, "COMBINATIONS", FEW)


def test_every_point_was_measured_on_its_file(few, trained, digits, tmp_path, caplog):
    before = hashlib.sha256(b"".join(w.tobytes() for w in trained.get_weights())).hexdigest()
    held = (digits.x_test, digits.y_test)
    with caplog.at_level(logging.ERROR):
        found = ga.compress(
            trained, (digits.x, digits.y), technique="auto", validation=held, folder=tmp_path,
            max_accuracy_drop=0.1, steps=20, teacher=trained,
        )  # fmt: skip
    assert [c.technique for c in found.tried] == ["ptq", "pqat", "pqat"]
    assert "cannot be reached" in found.tried[2].failure
    assert not found.tried[2].accepted
    least = found.baseline["accuracy"] - 0.1
    accepted = [c for c in found.tried if c.accepted]
    assert accepted
    assert set(map(id, found.points)) <= set(map(id, accepted))
    assert found.best is found.points[-1]
    for point in accepted:
        again = verify(point.file, held, latency_repeats=0, promises={"int8": True})
        assert again.accuracy == point.measured["accuracy"] >= least
        assert again.gzip_bytes == point.measured["gzip_bytes"]
        assert again.bytes == point.file.stat().st_size
        assert point.measured["latency_ratio"] > 0
        lost = point.measured["against_float32"]
        assert lost["difference"] == pytest.approx(
            point.measured["accuracy"] - found.baseline["accuracy"]
        )
        assert lost["rows"] == len(digits.y_test)
    assert found.best.measured["gzip_bytes"] == min(c.measured["gzip_bytes"] for c in accepted)
    after = hashlib.sha256(b"".join(w.tobytes() for w in trained.get_weights())).hexdigest()
    assert after == before


def test_without_validation_data_a_part_is_held_out(few, trained, digits, monkeypatch):
    rows = {}

    def stub(model, data, *, technique, teacher, seed, **options):
        rows[technique, *options.values()] = (len(data[1]), len(teacher), seed)
        raise InvalidInputError("enough")

    monkeypatch.setattr(techniques, "compress_with", stub)
    teacher = np.full((1200, 10), 0.1, np.float32)
    with pytest.raises(RunFailedError, match="larger drop"):
        compress(trained, (digits.x, digits.y), technique="auto", teacher=teacher)
    assert {each[:2] for each in rows.values()} == {(960, 960)}
    assert len({seed for *_, seed in rows.values()}) == 3


def test_auto_weighs_what_the_model_allows_and_names_the_rest(few, digits, caplog):
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(8, 3)(image)
    x = keras.layers.Lambda(lambda x: 2.0 * x, name="twice", output_shape=(6, 6, 8))(x)
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
    with caplog.at_level(logging.ERROR):
        found = compress(model, (digits.x, digits.y), technique="auto", max_accuracy_drop=0.5)
    assert [c.technique for c in found.points] == ["ptq"]
    assert found.best.measured["int8"] is True
    assert all("'twice'" in c.failure for c in found.tried[1:])


def test_a_file_that_stays_float_in_part_is_weighed_and_says_so(few, digits, caplog):
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.LayerNormalization()(keras.layers.Conv2D(8, 3)(image))
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
    with caplog.at_level(logging.ERROR):
        found = compress(
            model, (digits.x, digits.y), technique="auto", max_accuracy_drop=0.5, steps=2
        )
    assert found.best.measured["int8"] is False
    assert found.note == ""


def test_too_few_validation_rows_to_tell_are_called_that(few, trained, digits, caplog, monkeypatch):
    monkeypatch.setattr(techniques, "COMBINATIONS", FEW[:1])
    held = (digits.x_test[:40], digits.y_test[:40])
    with caplog.at_level(logging.ERROR):
        found = compress(trained, (digits.x, digits.y), technique="auto", validation=held,
                         max_accuracy_drop=0.01)  # fmt: skip
    assert (
        "Of 40 validation rows a single one is 2.5 points, and 1.0 point may be lost" in found.note
    )


def test_bad_wishes_are_refused(trained, digits):
    data = (digits.x, digits.y)
    with pytest.raises(InvalidInputError, match="'latency'"):
        compress(trained, data, technique="auto", target="latncy")
    with pytest.raises(InvalidInputError, match="max_accuracy_drop"):
        compress(trained, data, technique="auto", max_accuracy_drop=1.5)
    with pytest.raises(InvalidInputError, match="dry run"):
        compress(trained, data, technique="auto", dry_run=True)
    with pytest.raises(InvalidInputError, match="validation"):
        compress(trained, (*data, data[1]), technique="auto")
