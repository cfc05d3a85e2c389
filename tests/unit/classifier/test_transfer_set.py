"""The transfer set: the same samples in the same order wherever it is kept, and after any stop."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.classifier import transfer_parts, transfer_set
from keras_ganaccel.classifier.transfer_set import TransferSet
from keras_ganaccel.errors import DamagedFileError, InvalidInputError, MissingFileError
from keras_ganaccel.mixing.mix import mix_datasets
from keras_ganaccel.seeds import derive_seed

CLASSES = 3


def teacher(x):
    """Answers by how bright a sample is."""
    bright = x.reshape(len(x), -1).mean(axis=1)
    return np.stack([bright / 2, bright / 2, 1 - bright], axis=1).astype(np.float32)


def samples(count, seed=0):
    return np.random.default_rng(seed).random((count, 4, 4, 1), np.float32), np.arange(count) % 3


def make(folder=None, teacher=teacher, real=300, **options):
    options = {"size": 500, "augmentation": ("shift", "mixup"), "seed": 3, **options}
    return TransferSet.make(teacher, *samples(real), num_classes=CLASSES, folder=folder, **options)


def beside(transfer, teacher=teacher, fraction=0.3, **options):
    return transfer.beside(teacher, *samples(200, 1), fraction, seed=4, most=400, **options)


def stream(transfer, steps=40, batch_size=32, **options):
    """Every tensor of every batch."""
    batches = transfer.batches(steps, batch_size, with_source=True, **options)
    return [[np.asarray(item) for item in tf.nest.flatten(batch)] for batch in batches]


def assert_same(first, second):
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of 64 samples, in records of 16."""
    monkeypatch.setattr(transfer_parts, "BLOCK", 16)
    monkeypatch.setattr(transfer_parts, "_MOST_BLOCKS", 4)


@pytest.mark.parametrize("mixed", [False, True], ids=["real", "mixed"])
def test_it_is_the_same_in_memory_on_disk_and_read_again(tmp_path, small_shards, mixed):
    held, stored = make(), make(tmp_path / "set")
    if mixed:
        held, stored = beside(held), beside(stored)
    expected = stream(held)
    assert_same(expected, stream(stored))
    assert_same(expected, stream(TransferSet.read(tmp_path / "set")))
    assert len(list((tmp_path / "set").glob("real-*.tfrecord"))) == 8
    assert stored.sources == TransferSet.read(tmp_path / "set").sources


def test_what_is_too_large_for_memory_lies_in_a_folder_that_vanishes_with_it(monkeypatch):
    expected = stream(beside(make()))
    monkeypatch.setattr(transfer_set, "_MOST_HELD", 0)
    large = beside(make())
    folders = {path.parent for part in (large.real, large.generated) for path in part.paths}
    assert_same(expected, stream(large))
    assert all(folder.is_dir() for folder in folders)
    del large
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize("schedule", ["constant", "generated_first"])
@pytest.mark.parametrize("fraction", [0.25, 0.6])
def test_any_step_can_be_started_at(small_shards, fraction, schedule):
    transfer = beside(make(), fraction=fraction, schedule=schedule)
    whole = stream(transfer)
    for step in (1, 17, 39):
        assert_same(whole[step:], stream(transfer, start_step=step))


@pytest.mark.train
@pytest.mark.parametrize("window", [24, None])
def test_the_order_is_that_of_mix_datasets(small_shards, monkeypatch, window):
    transfer = beside(make())
    if window is not None:
        from keras_ganaccel.mixing import interleave

        monkeypatch.setattr(interleave, "default_window", lambda spec, endless=False: window)

    def dataset(part):
        rows = part.blocks().dataset.unbatch().map(lambda row: (row["x"], row["source"]))
        return rows.apply(tf.data.experimental.assert_cardinality(part.size))

    mixed = mix_datasets(
        dataset(transfer.real), dataset(transfer.generated), 0.3, derive_seed(3, "order"),
        shuffle_window=window,
    )  # fmt: skip
    batches = mixed.repeat().take(40 * 32).batch(32)
    for (x, source), (own, _, _, from_where) in zip(
        batches, transfer.batches(40, 32, with_source=True), strict=True
    ):
        np.testing.assert_array_equal(own, x)
        np.testing.assert_array_equal(from_where, source)


def test_workers_read_their_parts_of_each_batch(small_shards):
    transfer = beside(make())
    whole = stream(transfer)
    parts = [
        stream(transfer, input_context=tf.distribute.InputContext(4, worker)) for worker in range(4)
    ]
    together = [
        [np.concatenate(items) for items in zip(*batches, strict=True)]
        for batches in zip(*parts, strict=True)
    ]
    assert_same(whole, together)


class Interrupting:
    """A teacher that is stopped while it answers, and counts its answers."""

    def __init__(self, after=None):
        self.after, self.asked = after, 0

    def __call__(self, x):
        if self.after is not None and self.asked >= self.after:
            raise KeyboardInterrupt
        self.asked += len(x)
        return teacher(x)


@pytest.mark.parametrize("after", [0, 100, 300])
def test_writing_goes_on_after_the_last_whole_shard(tmp_path, small_shards, after):
    expected = stream(beside(make()))
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set", teacher=Interrupting(after))
    with pytest.raises(MissingFileError):
        TransferSet.read(tmp_path / "set")
    again = Interrupting()
    transfer = beside(make(tmp_path / "set", teacher=again))
    assert again.asked <= 500 - after + 64
    assert_same(expected, stream(transfer))
    silent = Interrupting(0)
    assert_same(expected, stream(beside(make(tmp_path / "set", silent), silent)))
    assert not list((tmp_path / "set").glob(".tmp*"))


def test_damage_and_other_requests_are_refused_in_one_line(tmp_path, small_shards):
    folder = tmp_path / "set"
    make(folder)
    with pytest.raises(InvalidInputError, match=r"\(seed\)") as caught:
        make(folder, seed=5)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInputError, match="of, samples"):
        make(folder, real=299)
    shard = sorted(folder.glob("*.tfrecord"))[3]
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DamagedFileError, match="real-00003"):
        make(folder)
    shard.unlink()
    with pytest.raises(MissingFileError, match="real-00003"):
        TransferSet.read(folder)
    (folder / "real.json").write_text(json.dumps({"schema": 1, "shards": [1]}))
    with pytest.raises(DamagedFileError, match=r"real\.json"):
        TransferSet.read(folder)
    with pytest.raises(MissingFileError):
        TransferSet.read(tmp_path / "nothing")


def test_weights_follow_their_samples(small_shards):
    x, y = samples(60)
    weight = np.linspace(0, 1, 60).astype(np.float32)
    transfer = TransferSet.make(
        teacher, x, y, num_classes=CLASSES, augmentation=(), weight=weight, size=120
    )
    for batch, _, weights in transfer.batches(4, 30):
        rows = [int(np.flatnonzero((x == one).all(axis=(1, 2, 3)))[0]) for one in batch.numpy()]
        np.testing.assert_array_equal(weights, weight[rows])


def test_labels_may_be_shares(small_shards):
    x, _ = samples(20)
    shares = np.full((20, CLASSES), 1 / 3, np.float32)
    transfer = TransferSet.make(teacher, x, shares, num_classes=CLASSES, augmentation=())
    for _, targets, _ in transfer.batches(2, 10):
        np.testing.assert_allclose(targets["label"], 1 / 3)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_shares_out_of_range_are_refused(fraction):
    with pytest.raises(InvalidInputError, match="generated_fraction"):
        beside(make(), fraction=fraction)
    with pytest.raises(InvalidInputError, match="generated_first"):
        beside(make(), schedule="generated_frist")
