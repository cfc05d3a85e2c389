"""TF-MOT leaves the process around it as it was."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.train

SCRIPT = """
import json, os, subprocess, sys
import keras, numpy as np
{first}
from keras_ganaccel.compression.compress import compress
x = np.random.default_rng(0).uniform(size=(8, 4, 4, 1)).astype("float32")
model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
made = compress(model, (x, np.arange(8) % 3), technique="pqat", steps=2, batch_size=4)
import tensorflow as tf
child = subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('{variable}'))"],
                       capture_output=True, text=True).stdout.strip()
print(json.dumps([os.environ.get("{variable}"), child, tf.keras.__version__, keras.__version__,
                  type(made.tf_keras_model).__module__]))
"""
VARIABLE = "TF_USE_LEGACY_KERAS"


def run(first="", **environment):
    script = SCRIPT.format(first=first, variable=VARIABLE)
    base = {k: v for k, v in os.environ.items() if k != VARIABLE}
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**base, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def test_keras_and_environment_stay_as_they_were():
    variable, child, tf_version, version, module = run()
    assert variable is None
    assert child == "None"
    assert tf_version == version
    assert version.startswith("3.")
    assert module.startswith("tf_keras")
