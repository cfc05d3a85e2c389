"""Small things that the tests of this folder share."""

import numpy as np
import pytest

from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.networks import build_discriminator, build_generator
from keras_ganaccel.modality.image.spec import DataSpec


class Counting:
    """A source whose samples say which they are: the index in the first pixel, then the class."""

    def __init__(self, fail_at=None):
        self.fail_at = fail_at
        self.calls = []

    def sample(self, labels, start_index):
        self.calls.append((start_index, len(labels)))
        if self.fail_at is not None and start_index >= self.fail_at:
            raise KeyboardInterrupt
        x = np.zeros((len(labels), 2, 2, 1), np.float32)
        indices = start_index + np.arange(len(labels))
        x[:, 0, 0, 0] = indices % 256 / 255
        x[:, 0, 1, 0] = indices // 256 / 255
        x[:, 1, 0, 0] = labels / 255
        return x

    def describe(self):
        return {"source": "counting"}


def index_of(x):
    pixels = np.rint(np.asarray(x) * 255).astype(int)
    return pixels[..., 0, 0, 0] + 256 * pixels[..., 0, 1, 0]


def label_of(x):
    return np.rint(np.asarray(x) * 255).astype(int)[..., 1, 0, 0]


@pytest.fixture
def counting():
    return Counting


@pytest.fixture(scope="session")
def gan():
    spec = DataSpec(8, 8, 1, ("a", "b", "c"))
    return ConditionalGAN(
        build_generator(spec, 6, width=8, blocks_per_stage=1),
        build_discriminator(spec, width=8, blocks_per_stage=1),
        latent_dim=6,
        num_classes=3,
    )


@pytest.fixture(scope="session")
def clouds():
    """Three classes of samples around three means, float32 in [0, 1], and their labels."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 40)
    means = rng.uniform(0.3, 0.7, (3, 12))
    mixing = rng.normal(0, 0.03, (12, 12))
    flat = means[y] + rng.normal(size=(120, 12)) @ mixing
    return np.clip(flat, 0, 1).astype(np.float32).reshape(-1, 3, 4, 1), y
