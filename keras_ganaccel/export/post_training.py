"""Whether an integer file that was quantized after training still computes what its model does.

Every rounding of eight bits is carried on by the next layer, and a range is ruled by the largest
value of any sample. Through some hundred layers, or where a few samples reach values many times
those of the others (squeeze-and-excitation does both), little may be left of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_ganaccel.errors import EquivalenceError
from keras_ganaccel.export.interpreter import TFLiteRunner
from keras_ganaccel.export.rounding import FLOAT, rms, same_answers, shake
from keras_ganaccel.export.serving import Serving

# As many calibration samples are answered by the model and by its file.
_SAMPLES = 64


def check_close_to_model(
    content: bytes, serving: Serving, rows: Sequence[Sequence[np.ndarray]], quantization: str
) -> None:
    """Compares an integer file with the model that it was quantized from.

    Args:
        content: The file, as the converter made it.
        serving: The model's own computation.
        rows: The calibration samples: for each, an array ``(1, ...)`` per input.
        quantization: The format of the file, for the message.

    Raises:
        EquivalenceError: It answers otherwise, beyond what quantization explains.
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, _SAMPLES).astype(int))
    samples = [np.concatenate(each) for each in zip(*(rows[row] for row in chosen), strict=True)]
    runner = TFLiteRunner(content, "the exported file")
    found = runner.run_all(*samples)
    modelled, moved = _answers(serving, samples), _answers(serving, shake(samples))
    for received, expected, shaken, scale in zip(
        found, modelled, moved, runner.output_scales, strict=True
    ):
        allowed = FLOAT.comes_to(expected, shaken, [scale] if scale else [])
        difference = rms(received - expected)
        if not difference <= allowed:
            raise EquivalenceError(
                f"The {quantization} file does not compute what the model does. Received: outputs "
                f"{difference:.2g} apart, {allowed:.2g} is what quantization explains, the same "
                f"answer for {same_answers(expected, received):.0%} of {len(expected)} calibration "
                "samples. Calibrate with more training samples, fine-tune with 'qat', or choose "
                "'dynamic_range', which leaves activations in float32."
            )


def _answers(serving: Serving, samples: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [np.asarray(output) for output in serving.call(*map(tf.constant, samples))]
