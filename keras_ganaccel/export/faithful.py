"""Whether a compression is one model: what was trained, what is returned and what is exported.

Fine-tuning runs on a rewritten twin, the trained weights go back into the user's structure, and the
converter decides on integer operations by itself. Each step could change the model without a word,
so all three answer the same samples before the compression counts as done.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.compression.compress import Compressed
from keras_ganaccel.data.inputs import ModelInputs
from keras_ganaccel.errors import EquivalenceError, UnsupportedLayerError, VerificationError
from keras_ganaccel.export.inspect import FileFacts, inspect_tflite
from keras_ganaccel.export.interpreter import TFLiteRunner
from keras_ganaccel.export.promises import are_many, broken_promises, integer_problems
from keras_ganaccel.export.quiet import native_stderr_to_log
from keras_ganaccel.export.rounding import FILE, FLOAT, rms, same_answers, shake
from keras_ganaccel.export.tflite import export_tflite

logger = logging.getLogger(__name__)

SAMPLES = 64


_EXACT = 1e-3
_NAMED = 3


def checked(compressed: Compressed, samples: Sequence[np.ndarray]) -> Compressed:
    """Compares the forms of a compressed model on the same samples, and counts in its file.

    A quantization-aware trained model is exported as int8 and compared with its file and with the
    returned Keras model, others as float32. The promise of integers is taken from the file: where
    some layers stay in float32, one line says so.

    Args:
        compressed: What `keras_ganaccel.compression.compress.compress` returned.
        samples: Some dozen samples as the model takes them, an array for each input.

    Returns:
        The same with ``int8`` as the file has it, and without promises on kernels where many
        weights are in none.

    Raises:
        EquivalenceError: Two of the forms answer otherwise, beyond quantization.
        VerificationError: The file does not keep a promise.
        UnsupportedLayerError: A quantization-aware trained model cannot be exported.
    """
    aware = compressed.tf_keras_model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "compressed.tflite")
        try:
            export_tflite(compressed, path, "float32" if aware is None else "int8")
        except UnsupportedLayerError as error:
            if aware is not None:
                raise
            logger.warning("No file to compare the compressed model with: %s", error)
            return compressed
        facts = inspect_tflite(path)
    with native_stderr_to_log():
        answers = TFLiteRunner(facts.content, path.name).run(*samples)
    inputs = ModelInputs.of(compressed.keras_model)
    given = inputs.packed(list(map(tf.constant, samples)))
    returned = _outputs(compressed.keras_model, given)
    if aware is None:
        _check_equal(compressed.technique, returned, answers)
        promises = dict(compressed.promises)
    else:
        trained = _outputs(aware, given)
        shaken = _outputs(aware, inputs.packed(list(map(tf.constant, shake(samples)))))
        scales = facts.outputs[0].scales
        for name, other, allowance in (("file", answers, FILE), ("keras_model", returned, FLOAT)):
            _check_close(name, trained, other, allowance.comes_to(trained, shaken, scales))
        promises = {**compressed.promises, "int8": not integer_problems(facts)}
        if not promises["int8"]:
            logger.warning("%s", _float_layers(compressed))
    promises = _countable(promises, facts)
    broken = broken_promises(facts.kernels, facts, promises, facts.further_weights)
    if broken:
        raise VerificationError(
            f"What {compressed.technique!r} promises is not in its file. "
            f"Received: {'; '.join(broken[:_NAMED])}. Ask for less, or leave these layers out."
        )
    return replace(compressed, promises=promises)


def _countable(promises: Mapping[str, Any], facts: FileFacts) -> dict[str, Any]:
    """The promises without those on kernels, where these are not nearly all weights of a file."""
    counted = [name for name in ("sparsity", "number_of_clusters") if name in promises]
    if not counted or not are_many(facts.further_weights, facts.kernels):
        return dict(promises)
    elements = sum(kernel.elements for kernel in facts.kernels)
    logger.warning(
        "`%s` is reached in the kernels, but not promised: %d weights are in none, such as "
        "positions that are added, beside %d that are.",
        "` and `".join(counted),
        facts.further_weights,
        elements,
    )
    return {name: value for name, value in promises.items() if name not in counted}


def _outputs(model: Any, samples: Any) -> np.ndarray:
    """The first output of a model of either Keras."""
    outputs = model(samples, training=False)
    return np.asarray(keras.tree.flatten(outputs)[0], np.float32)


def _check_close(name: str, trained: np.ndarray, other: np.ndarray, allowed: float) -> None:
    """Refuses outputs further from the trained model's than quantization explains."""
    difference = rms(other - trained)
    if difference <= allowed:
        return
    same = same_answers(trained, other)
    form = {"file": "int8 file", "keras_model": "returned `keras_model`"}[name]
    raise EquivalenceError(
        f"The {form} does not compute what was trained. Received: outputs {difference:.2g} apart, "
        f"{allowed:.2g} is what quantization explains, the same answer for {same:.0%} of "
        f"{len(trained)} samples. Compress with 'ptq', 'prune' or 'cluster', whose files are "
        "quantized at export."
    )


def _check_equal(technique: str, returned: np.ndarray, answers: np.ndarray) -> None:
    size = max(float(np.abs(returned).max()), 1e-6)
    difference = float(np.abs(returned - answers).max()) / size
    if not difference <= _EXACT:
        raise EquivalenceError(
            f"The float32 file of {technique!r} does not compute what the returned `keras_model` "
            f"does. Received: outputs {difference:.1e} apart, relative to the largest; allowed is "
            f"{_EXACT:.0e}. Export another format and verify it."
        )


def _float_layers(compressed: Compressed) -> str:
    """Says which layers the file computes in float32."""
    stays: Mapping[str, str] = {
        row["layer"]: row["quantize"].partition(": ")[2]
        for row in compressed.report
        if row["quantize"].startswith("stays float32")
    }
    named = [f"{name!r} ({why})" for name, why in list(stays.items())[:_NAMED]]
    which = ", ".join(named) or "some operations"
    more = " and others" if len(stays) > _NAMED else ""
    return (
        f"The file of {compressed.technique!r} is not full int8: {which}{more} stay in float32, "
        "so `int8` is not promised."
    )
