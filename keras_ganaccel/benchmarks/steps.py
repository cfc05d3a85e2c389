"""One real training step of generator, discriminator and student, tried in each precision.

Every precision is tried in a process of its own: a kernel that a CPU lacks may end the process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from keras_ganaccel.errors import reason_of

NETWORKS = ("generator", "discriminator", "student")
BATCH_SIZE = 64
# Rows and columns of the samples, which have one channel and ten classes.
SIZE = 8
_LATENT, _CLASSES = 64, 10
_TIMED_STEPS = 8
_PATIENCE = 600.0


def try_steps(precisions: Sequence[str], patience: float = _PATIENCE) -> list[dict[str, Any]]:
    """Takes steps in every precision.

    Args:
        precisions: Names of Keras dtype policies.
        patience: Seconds after which a precision is given up.

    Returns:
        For every precision and network ``{"precision", "network", "images_per_second", "error"}``:
        a speed and None, or None and one line that says what went wrong.
    """
    return [row for precision in precisions for row in _tried(precision, patience)]


def _tried(precision: str, patience: float) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", __name__, precision]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        return _failed(precision, {}, f"no end after {patience:.0f} s")
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    found = {row["network"]: row for row in map(json.loads, lines)}
    if ended.returncode < 0:
        end = f"the process was ended by {signal.Signals(-ended.returncode).name}"
    else:
        end = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
    return _failed(precision, found, end)


def _failed(precision: str, found: dict[str, Any], error: str) -> list[dict[str, Any]]:
    """What was found, and for the other networks why nothing was."""
    return [
        found.get(network)
        or {"precision": precision, "network": network, "images_per_second": None, "error": error}
        for network in NETWORKS
    ]


def measure(precision: str) -> None:
    """Prints a line of JSON for every network. The process' dtype policy becomes `precision`."""
    import keras

    keras.config.set_dtype_policy(precision)
    for network in NETWORKS:
        row: dict[str, Any] = {"precision": precision, "network": network}
        row |= {"images_per_second": None, "error": None}
        try:
            row["images_per_second"] = _images_per_second(_make_step(network, precision))
        except Exception as error:  # whatever it is, it is what the user should see
            row["error"] = f"{type(error).__name__}: {reason_of(error, 160)}"
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


def _make_step(network: str, precision: str) -> Callable[[], Any]:
    """A traced function that takes one step of a default network with Adam on random samples."""
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_ganaccel.classifier.build import build_classifier
    from keras_ganaccel.gan.networks import build_discriminator, build_generator
    from keras_ganaccel.modality.image.spec import DataSpec

    names = tuple(str(number) for number in range(_CLASSES))
    spec = DataSpec(SIZE, SIZE, 1, names)
    random = np.random.default_rng(0)
    images = tf.constant(random.random((BATCH_SIZE, SIZE, SIZE, 1), np.float32))
    labels = tf.constant(np.arange(BATCH_SIZE, dtype=np.int32) % _CLASSES)
    if network == "student":
        model, inputs = build_classifier(spec), images
    elif network == "discriminator":
        model, inputs = build_discriminator(spec, dtype=precision), [images, labels]
    else:
        latents = tf.constant(random.normal(size=(BATCH_SIZE, _LATENT)), tf.float32)
        model, inputs = build_generator(spec, _LATENT, dtype=precision), [latents, labels]
    optimizer = keras.optimizers.Adam(1e-3)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(model(inputs, training=True), tf.float32)))
            scaled = optimizer.scale_loss(loss)
        weights = [weight.value for weight in model.trainable_variables]
        optimizer.apply(tape.gradient(scaled, weights), model.trainable_variables)
        return loss

    return step


def _images_per_second(step: Callable[[], Any]) -> float:
    import math
    import statistics

    loss = float(step())
    if not math.isfinite(loss):
        raise ArithmeticError(f"the loss is {loss}")
    seconds = []
    for _ in range(_TIMED_STEPS):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return round(BATCH_SIZE / statistics.median(seconds), 1)


if __name__ == "__main__":
    measure(sys.argv[1])
