from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_ganaccel.modality.image.spec import DataSpec


@pytest.fixture(scope="session")
def digits_spec():
    return DataSpec(8, 8, 1, tuple("0123456789"), (0.0, 16.0))


@pytest.fixture(scope="session")
def digits():
    """Real digits in [0, 1], split as the project splits them."""
    raw = load_digits()
    x = (raw.images[..., None] / 16).astype(np.float32)
    x, x_test, y, y_test = train_test_split(
        x, raw.target, test_size=0.3, stratify=raw.target, random_state=20261121
    )
    return SimpleNamespace(x=x, y=y, x_test=x_test, y_test=y_test)
