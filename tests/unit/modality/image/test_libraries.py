import gzip
import subprocess
import sys
import types

import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError, MissingExtraError, MissingFileError
from keras_ganaccel.modality.image.libraries import load_keras, load_tfds


def write_idx(path, array):
    header = bytes(8) if array.ndim == 1 else bytes(16)
    with gzip.open(path, "wb") as file:
        file.write(header + array.tobytes())


@pytest.mark.train
def test_keras_data_come_from_its_cache(tmp_path):
    """The cache's place is fixed when Keras is imported, hence a process of its own."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte.gz": rng.integers(0, 256, (60, 28, 28), np.uint8),
        "train-labels-idx1-ubyte.gz": np.arange(60, dtype=np.uint8) % 3,
        "t10k-images-idx3-ubyte.gz": rng.integers(0, 256, (9, 28, 28), np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.arange(9, dtype=np.uint8) % 3,
    }
    cache = tmp_path / "datasets" / "fashion-mnist"
    cache.mkdir(parents=True)
    for name, array in arrays.items():
        write_idx(cache / name, array)
    code = (
        "from keras_ganaccel.modality.load import load_data\n"
        "data = load_data('keras:fashion_mnist', image_size=14)\n"
        "print(data.name, data.x.shape, data.splits.test.tolist(), data.spec.value_range)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"KERAS_HOME": str(tmp_path), "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines()[-1] == (
        f"fashion_mnist (69, 14, 14, 1) {list(range(60, 69))} (0.0, 255.0)"
    )


def test_keras_labels_with_two_axes_are_accepted(monkeypatch):
    x, y = np.zeros((6, 4, 4, 3), np.uint8), np.arange(6)[:, np.newaxis] % 2
    fake = types.SimpleNamespace(load_data=lambda: ((x, y), (x, y)))
    monkeypatch.setitem(sys.modules, "keras.datasets.cifar10", fake)
    raw = load_keras("cifar10")
    assert raw.x.shape == (12, 4, 4, 3)
    assert raw.supplied["test"].tolist() == list(range(6, 12))


def test_unknown_keras_names_get_the_nearest():
    with pytest.raises(InvalidInputError, match=r"'cifar'.*Did you mean 'cifar10'\?"):
        load_keras("cifar")


def test_a_failed_download_is_one_line(monkeypatch):
    def fail():
        raise Exception("URL fetch failure\non https://example.org")

    monkeypatch.setitem(sys.modules, "keras.datasets.mnist", types.SimpleNamespace(load_data=fail))
    with pytest.raises(MissingFileError, match="URL fetch failure on") as caught:
        load_keras("mnist")
    assert "\n" not in str(caught.value)


def test_tensorflow_datasets_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'keras-ganaccel\[datasets\]'"):
        load_tfds("mnist")


def test_tensorflow_datasets_come_from_their_cache(monkeypatch, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs the extra `datasets`")

    class TinyInsects(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["ant", "bee"]),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, _):
            return {"train": self._generate_examples(8), "test": self._generate_examples(4)}

        def _generate_examples(self, count):
            for row in range(count):
                image = np.full((8 + row % 2, 9, 3), 10 * row + count, np.uint8)
                yield row, {"image": image, "label": row % 2}

    TinyInsects(data_dir=tmp_path).download_and_prepare()
    monkeypatch.setattr(
        tfds, "builder", lambda name, make=tfds.builder: make(name, data_dir=tmp_path)
    )
    raw = load_tfds("tiny_insects", (8, 8))
    assert raw.x.shape == (12, 8, 8, 3)
    assert raw.class_names == ("ant", "bee")
    assert raw.supplied["test"].tolist() == [8, 9, 10, 11]
    shown = sorted(zip(raw.x[:8, 0, 0, 0].tolist(), raw.labels[:8].tolist(), strict=True))
    assert shown == [(10 * row + 8, row % 2) for row in range(8)]
    with pytest.raises(InvalidInputError, match="2 shapes"):
        load_tfds("tiny_insects")
    with pytest.raises(InvalidInputError, match="Did you mean 'mnist'"):
        load_tfds("mnits")
