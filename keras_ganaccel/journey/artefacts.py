"""What the stages share that export: the formats, and what rides along with each file."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_ganaccel.journey.context import Journey

#: Formats that need no training.
POST_TRAINING = ("float32", "float16", "dynamic_range", "int8")


def calibration(journey: Journey) -> np.ndarray:
    """Draws the training samples that set the integer ranges, in the student's range."""
    x, _ = journey.train
    count = min(journey.config.compression.calibration_samples, len(x))
    rows = np.random.default_rng(journey.seed("calibration")).permutation(len(x))[:count]
    return journey.to_student_range(x[rows])


def labels_of(journey: Journey) -> dict[str, Any]:
    """Specification and input range of the student, as every exporter takes them."""
    return {
        "spec": journey.data.spec,
        "input_range": journey.config.model.input_range or (0.0, 1.0),
    }
