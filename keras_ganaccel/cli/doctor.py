"""`ganaccel doctor`: what there is, what would be chosen and why, and what real steps take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.environment import environment

EXAMPLE = "Example: ganaccel doctor --json"


def command(json_output: options.Json = False) -> None:
    """Versions, devices and what a run would choose, tried by real steps: how fast, and why."""
    found = diagnose()
    if json_output:
        show_json(found)
        return
    for name, value in found["environment"].items():
        if name != "packages":
            print(f"{name}: {value}")
    for name, version in found["environment"]["packages"].items():
        print(f"{name}: {version or 'not installed'}")
    for name, version in found["extras"].items():
        print(f"extra {name}: {version or 'not installed'}")
    print(f"devices: {', '.join(found['devices'])}")
    for name in ("strategy", "precision"):
        print(f"{name}: {found[name]['choice']} ({found[name]['why']})")
    for row in found["steps"]:
        speed = row["error"] or f"{row['images_per_second']:,.0f} images/s"
        print(f"step of {row['network']} in {row['precision']}: {speed}")
    for reason in found["slow"]:
        print(f"slow: {reason}")


def diagnose() -> dict[str, Any]:
    """Collects versions and devices, what `auto` would choose, and what steps take here."""
    import importlib.metadata

    import tensorflow as tf

    from keras_ganaccel import onednn
    from keras_ganaccel.benchmarks.steps import try_steps
    from keras_ganaccel.distribution import choose_precision, cpu_flags, make_strategy

    extras: dict[str, str | None] = {}
    for name in ("tensorflow-datasets", "tensorboard", "nbclient", "tflite-micro"):
        try:
            extras[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            extras[name] = None
    strategy = make_strategy("auto")
    accelerators = [
        device.name for device in tf.config.list_physical_devices() if device.device_type != "CPU"
    ]
    why = (
        f"{len(accelerators)} accelerator(s)" if accelerators else "no accelerator, one CPU device"
    )
    precision, precision_why = choose_precision("auto")
    # float16 is for accelerators; a CPU computes it in float32 and converts.
    precisions = ["float32", "mixed_bfloat16", *(["mixed_float16"] if accelerators else [])]
    steps = try_steps(precisions)
    flags = cpu_flags()
    return {
        "environment": environment(),
        "extras": extras,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "strategy": {"choice": type(strategy).__name__, "why": why},
        "precision": {"choice": precision, "why": precision_why},
        "onednn": onednn.is_on(),
        "steps": steps,
        "slow": [] if accelerators else reasons(steps, onednn.is_on(), flags),
    }


def reasons(
    steps: Sequence[Mapping[str, Any]], with_onednn: bool, flags: Collection[str]
) -> list[str]:
    """Says what makes a CPU slow, and what can be done.

    Args:
        steps: As `try_steps` returns them.
        with_onednn: Whether TensorFlow computes with oneDNN.
        flags: What the CPU can do, as Linux on x86 names it; empty where it is not known.

    Returns:
        One sentence for each reason.
    """
    found = []
    if not with_onednn and flags:
        found.append("oneDNN is off. Set TF_ENABLE_ONEDNN_OPTS=1, or leave it unset.")
    if flags and "avx512f" not in flags:
        found.append(
            "The CPU has no AVX-512: a convolution takes about twice as many instructions."
        )
    speeds = {(row["network"], row["precision"]): row["images_per_second"] for row in steps}
    ratios = [
        speeds[network, "float32"] / speed
        for (network, precision), speed in speeds.items()
        if precision == "mixed_bfloat16" and speed and speeds.get((network, "float32"))
    ]
    if ratios and max(ratios) > 1.1:
        from keras_ganaccel.distribution import BFLOAT16_FLAGS

        why = (
            "though the CPU computes in it"
            if BFLOAT16_FLAGS & set(flags)
            else "which the CPU does not compute in"
        )
        found.append(
            f"bfloat16, {why}: a step takes up to {max(ratios):.1f} times as long as in float32. "
            "Leave gan.precision at auto, or set float32."
        )
    return found
