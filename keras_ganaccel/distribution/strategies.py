"""Choosing what a training runs on: devices, processes, precision."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError, nearest

logger = logging.getLogger(__name__)

# Instructions that multiply bfloat16 numbers.
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
_ISA_LIMIT = "ONEDNN_MAX_CPU_ISA"
_BELOW_AVX512 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
_CPU_DESCRIPTION = Path("/proc/cpuinfo")
_STARTED = "TensorFlow has already started its devices. Call this before anything else uses them."


_LOGICAL_CPUS = re.compile(r"cpu:([1-9]\d*)")


def make_strategy(
    name: str = "auto", *, memory_limit_mb: int | None = None
) -> tf.distribute.Strategy:
    """Makes the strategy that a model is built and trained under.

    Args:
        name: ``"auto"`` takes the accelerators there are (one or none: TensorFlow's default
            strategy), ``"cpu:N"`` mirrors over N logical CPUs, ``"mirrored"`` over all
            accelerators (logical CPUs without any), ``"multiworker"`` over the processes that
            the environment variable ``TF_CONFIG`` lists.
        memory_limit_mb: The most memory to take on each accelerator; None lets it grow as
            needed.

    Returns:
        The strategy; build and compile models inside its ``scope()``.

    Raises:
        InvalidInputError: The name or ``TF_CONFIG`` is wrong, or the devices have already been
            started otherwise.

    Example:
        >>> import keras_ganaccel as ga
        >>> ga.make_strategy("auto").num_replicas_in_sync >= 1
        True
    """
    if memory_limit_mb is not None and memory_limit_mb < 1:
        raise InvalidInputError(
            f"`memory_limit_mb` must be at least 1. Received: {memory_limit_mb}. "
            "Leave it out to let the memory grow."
        )
    check_strategy(name)
    logical_cpus = _LOGICAL_CPUS.fullmatch(name)
    if logical_cpus:
        return _cpu_strategy(int(logical_cpus[1]))
    accelerators = _prepare_accelerators(memory_limit_mb)
    if name == "multiworker":
        return _multi_worker_strategy()
    if name == "mirrored" or accelerators > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def check_strategy(name: str) -> None:
    """Checks what `make_strategy` is told, without starting anything.

    Raises:
        InvalidInputError: The name or ``TF_CONFIG`` is wrong.
    """
    if name == "multiworker":
        _check_tf_config()
    elif name not in ("auto", "mirrored") and not _LOGICAL_CPUS.fullmatch(name):
        raise InvalidInputError(
            f"Unknown strategy. Received: {name!r}. "
            + nearest(name, ("auto", "cpu:N", "mirrored", "multiworker"))
        )


def _cpu_strategy(count: int) -> tf.distribute.Strategy:
    """Mirrors over `count` logical CPUs, which it makes unless they are there already."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu) or ()
    if len(configured) < count:
        try:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * count
            )
        except RuntimeError as error:
            if count > 1:
                raise InvalidInputError(
                    f"{count} logical CPUs cannot be made now. Received: 'cpu:{count}'. {_STARTED}"
                ) from error
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])


def _prepare_accelerators(memory_limit_mb: int | None) -> int:
    """Sets how much memory each accelerator gives; returns their number."""
    accelerators = tf.config.list_physical_devices("GPU")
    try:
        for device in accelerators:
            if memory_limit_mb is None:
                tf.config.experimental.set_memory_growth(device, True)
            else:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=memory_limit_mb)
                tf.config.set_logical_device_configuration(device, [limit])
    except RuntimeError as error:
        if memory_limit_mb is not None:
            raise InvalidInputError(
                f"The memory cannot be limited now. Received: `memory_limit_mb`={memory_limit_mb}. "
                f"{_STARTED}"
            ) from error
        logger.warning("Memory growth cannot be set: TensorFlow has already started its devices.")
    return len(accelerators)


def _check_tf_config() -> None:
    """Refuses a ``TF_CONFIG`` that does not say who the workers are and which one this is."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers = config["cluster"]["worker"]
        valid = 0 <= int(config["task"]["index"]) < len(workers)
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        raise InvalidInputError(
            f"The strategy 'multiworker' needs TF_CONFIG. Received: TF_CONFIG={text!r}. Set it to "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.'
        )


def _multi_worker_strategy() -> tf.distribute.Strategy:
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise InvalidInputError(
            f"The workers cannot be connected now. Received: 'multiworker'. {_STARTED}"
        ) from error


def choose_precision(name: str = "auto") -> tuple[str, str]:
    """Chooses the dtype policy that networks are built with.

    Args:
        name: ``"float32"``, ``"mixed_bfloat16"``, or ``"auto"``: bfloat16 where every accelerator
            computes in it, or the CPU does where there are none (AMX and AVX-512: a GAN's step
            took 0.5 to 0.8 of the time), otherwise float32.

    Returns:
        The name of the Keras dtype policy, and why.

    Raises:
        InvalidInputError: There is no such choice.

    Example:
        >>> choose_precision("float32")
        ('float32', 'asked for')
    """
    options = ("auto", "float32", "mixed_bfloat16")
    if name not in options:
        raise InvalidInputError(f"Unknown precision. Received: {name!r}. {nearest(name, options)}")
    if name != "auto":
        return name, "asked for"
    accelerators = tf.config.list_physical_devices("GPU")
    if not accelerators:
        if BFLOAT16_FLAGS & cpu_flags():
            return "mixed_bfloat16", "the CPU computes in bfloat16"
        return "float32", "no accelerator, and the CPU does not compute in bfloat16"
    # Tensor cores take bfloat16 from compute capability 8.0 on.
    details = [tf.config.experimental.get_device_details(device) for device in accelerators]
    if all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details):
        return "mixed_bfloat16", "every accelerator computes in bfloat16"
    return "float32", "an accelerator does not compute in bfloat16"


def cpu_flags() -> set[str]:
    """What kernels may use of the first CPU, as Linux on x86 tells it; empty elsewhere.

    Who keeps oneDNN below AVX-512 (``ONEDNN_MAX_CPU_ISA=AVX2``) has a CPU without it.
    """
    try:
        lines = _CPU_DESCRIPTION.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    if os.environ.get(_ISA_LIMIT, "DEFAULT").upper() in _BELOW_AVX512:
        return {flag for flag in flags if not flag.startswith(("avx512", "amx"))}
    return flags


def is_chief(strategy: tf.distribute.Strategy | None = None) -> bool:
    """Tells whether this process is the one that writes files.

    Args:
        strategy: The strategy in use; None means the current one.

    Returns:
        True for a single process, and for the first of several workers.
    """
    resolver = (strategy or tf.distribute.get_strategy()).cluster_resolver
    if resolver is None or not resolver.cluster_spec().jobs:
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return bool(
        resolver.task_type == "chief"
        or (not has_chief and resolver.task_type == "worker" and resolver.task_id == 0)
    )


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether the replicas of a strategy are spread over several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and bool(
        strategy.cluster_resolver.cluster_spec().jobs
    )
