"""Pools: what is written is what was asked for, whatever happens in between."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, MissingFileError, RunFailedError
from keras_ganaccel.files import sha256
from keras_ganaccel.generated import pool as pool_module
from keras_ganaccel.generated.dataset import GeneratedDataset
from keras_ganaccel.generated.pool import read_facts, write_pool
from keras_ganaccel.generated.shards import quantize
from keras_ganaccel.mixing.mix import mix_datasets

CLASSES = 4


def index_of(x):
    pixels = np.rint(x * 255).astype(int)
    return pixels[:, 0, 0, 0] + 256 * pixels[:, 0, 1, 0]


class EvenIndices:
    """Keeps every second sample of the counting source; of class 3 every eighth."""

    name = "even"

    def mask(self, x, y):
        index = index_of(x)
        return np.where(y == 3, index % 8 == 0, index % 2 == 0)


def answers(x):
    """A teacher whose probabilities follow from the sample."""
    logits = np.stack([np.sin(index_of(x) + k) for k in range(CLASSES)], axis=1)
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def write(folder, source, size=300, **options):
    defaults = {"filters": [EvenIndices()], "teacher": answers, "chunk": 100, "shard_size": 64}
    return write_pool(folder, source, size, num_classes=CLASSES, **{**defaults, **options})


def contents(folder):
    x, y = zip(*GeneratedDataset.pool(folder, soft_labels=True).as_numpy_iterator(), strict=True)
    labels = np.array([row["label"] for row in y])
    return np.stack(x), labels, np.stack([row["teacher_logits"] for row in y])


def without_time(facts):
    return {key: value for key, value in vars(facts).items() if key != "seconds"}


def test_a_pool_holds_balanced_filtered_labelled_samples(tmp_path, counting):
    facts = write(tmp_path / "pool", counting())
    x, y, logits = contents(tmp_path / "pool")
    assert len(x) == facts.size == 300
    assert np.bincount(y).tolist() == facts.class_counts == [75] * 4
    assert (np.rint(x[:, 1, 0, 0] * 255) == y).all()
    assert EvenIndices().mask(x, y).all()
    assert len(set(index_of(x).tolist())) == 300
    expected = np.log(answers(x))
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    # The classes are evenly spread: any tenth of the pool is about balanced.
    assert all(np.bincount(y[i : i + 32], minlength=4).min() >= 5 for i in range(0, 260, 32))
    assert facts.filters == ["even"]
    assert facts.acceptance["even"][3] == pytest.approx(1 / 8, abs=0.04)
    assert facts.acceptance["even"][0] == pytest.approx(1 / 2, abs=0.1)
    assert not list((tmp_path / "pool").glob("*progress*"))


def test_class_weights(tmp_path, counting):
    facts = write(tmp_path / "p", counting(), 100, class_weights=[4, 3, 2, 1], filters=[])
    assert facts.class_counts == [40, 30, 20, 10]
    assert facts.candidates >= 100


@pytest.mark.parametrize("when", ["in the first shard", "in the middle of a later one"])
def test_an_interrupted_pool_equals_an_uninterrupted_one(tmp_path, counting, when):
    whole = write(tmp_path / "whole", counting())
    fail_at = 50 if when == "in the first shard" else whole.candidates // 2
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "cut", counting(fail_at))
    with pytest.raises(MissingFileError, match="No finished pool"):
        GeneratedDataset.pool(tmp_path / "cut")
    source = counting()
    again = write(tmp_path / "cut", source)
    assert without_time(again) == without_time(whole)
    if when != "in the first shard":
        assert source.calls[0][0] > 0, "finished shards are not made again"


def test_killed_while_a_shard_is_written(tmp_path, counting, monkeypatch):
    whole = write(tmp_path / "whole", counting())
    folder = tmp_path / "cut"
    real_write, written = pool_module.write_shard, []

    def dies(path, *arrays):
        written.append(path)
        if len(written) == 3:
            path.with_name(f".tmp1.{path.name}").write_bytes(b"half a shard")
            raise KeyboardInterrupt
        real_write(path, *arrays)

    monkeypatch.setattr(pool_module, "write_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        write(folder, counting())
    monkeypatch.undo()
    # And the last whole one was damaged on the disk meanwhile.
    damaged = folder / "shard-00001.tfrecord"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    again = write(folder, counting())
    assert without_time(again) == without_time(whole)
    assert {path.name for path in folder.iterdir()} == {
        "pool.json",
        *(shard["file"] for shard in whole.shards),
    }
    for shard in whole.shards:
        assert sha256(folder / shard["file"]) == shard["sha256"]


def test_a_finished_pool_is_taken_as_it_is_and_another_one_refused(tmp_path, counting):
    first = write(tmp_path / "pool", counting())
    source = counting()
    assert write(tmp_path / "pool", source) == first
    assert source.calls == []
    with pytest.raises(InvalidInputError, match=r"asked for otherwise \(labels, seed\)"):
        write(tmp_path / "pool", counting(), seed=1)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "half", counting(300))
    with pytest.raises(InvalidInputError, match="asked for otherwise"):
        write(tmp_path / "half", counting(), chunk=99)


def test_hopeless_acceptance_stops(tmp_path, counting):
    class NoneOfTwo:
        name = "none"

        def mask(self, x, y):
            return y != 2

    source = counting()
    with pytest.raises(RunFailedError, match="too few samples of class 2"):
        write(tmp_path / "pool", source, filters=[NoneOfTwo()], max_attempts=5)
    assert sum(count for _, count in source.calls) < 2000


def test_reading(tmp_path, counting):
    write(tmp_path / "pool", counting(), 1000, filters=[], shard_size=700)
    dataset = GeneratedDataset.pool(tmp_path / "pool")
    assert isinstance(dataset, tf.data.Dataset)
    assert len(dataset) == 1000
    assert dataset.facts.size == 1000
    spec = tf.data.Dataset.from_tensor_slices(
        (np.zeros((3, 2, 2, 1), np.float32), np.zeros(3, np.int64))
    ).element_spec
    assert dataset.element_spec == spec
    x, _y = next(iter(dataset.batch(1000)))
    assert index_of(x.numpy()).tolist() == index_of(contents(tmp_path / "pool")[0]).tolist()
    mixed = mix_datasets(dataset.take(100), dataset, 0.5)
    assert len(list(mixed)) == 200
    write(tmp_path / "hard", counting(), 10, teacher=None)
    with pytest.raises(InvalidInputError, match="no teacher"):
        GeneratedDataset.pool(tmp_path / "hard", soft_labels=True)
    (tmp_path / "hard" / "shard-00000.tfrecord").unlink()
    with pytest.raises(MissingFileError, match="shard of the pool is missing"):
        GeneratedDataset.pool(tmp_path / "hard")
    (tmp_path / "hard" / "pool.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_facts(tmp_path / "hard")


def test_stored_values_are_the_quantized_ones(tmp_path):
    values = np.random.default_rng(0).random((64, 3, 3, 3)).astype(np.float32)

    class Fixed:
        def sample(self, labels, start_index):
            return values[start_index : start_index + len(labels)]

        def describe(self):
            return {}

    seen = []

    class Watching:
        name = "watching"

        def mask(self, x, y):
            seen.append(x)
            return np.ones(len(x), bool)

    write_pool(tmp_path, Fixed(), 64, num_classes=1, filters=[Watching()])
    x = np.stack([x for x, _ in GeneratedDataset.pool(tmp_path).as_numpy_iterator()])
    assert np.abs(x - values).max() <= 0.5 / 255 + 1e-6
    assert (x == np.concatenate(seen)).all()
    assert (x == quantize(values)).all()


@pytest.mark.parametrize("option", ["size", "chunk", "shard_size", "max_attempts"])
def test_numbers_are_checked(tmp_path, counting, option):
    arguments = {"size": 10, option: 0}
    with pytest.raises(InvalidInputError, match=f"`{option}` must be 1 or more"):
        write(tmp_path / "pool", counting(), **arguments)
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize(
    "content", ["3", "[]", "{}", "{", '{"schema": 1}', '{"schema": 1, "shape": 3, "new": 1}']
)
def test_damaged_facts_are_one_line(tmp_path, content):
    (tmp_path / "pool.json").write_text(content)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_facts(tmp_path)
