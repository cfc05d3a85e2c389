"""`ganaccel doctor`: what there is, what would be chosen, and why."""

from __future__ import annotations

from typing import Any

from keras_ganaccel.cli import options
from keras_ganaccel.cli.terminal import show_json
from keras_ganaccel.environment import environment

EXAMPLE = "Example: ganaccel doctor --json"


def command(json_output: options.Json = False) -> None:
    """Versions, devices, precision and strategy that a run would choose, and why."""
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


def diagnose() -> dict[str, Any]:
    """Collects the versions and devices, and what `auto` would choose."""
    import importlib.metadata

    import tensorflow as tf

    from keras_ganaccel.distribution import choose_precision, make_strategy

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
    return {
        "environment": environment(),
        "extras": extras,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "strategy": {"choice": type(strategy).__name__, "why": why},
        "precision": {"choice": precision, "why": precision_why},
    }
