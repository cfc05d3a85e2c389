"""What a run's figures depend on beside its settings: versions, processor and system."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ganaccel.version import __version__

OWN_PACKAGE = "keras-ganaccel"
_PACKAGES = (
    "tensorflow", "keras", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy",
    "scikit-learn",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """Describes versions, processor and system, as JSON can hold them."""
    versions: dict[str, str | None] = {OWN_PACKAGE: __version__}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "logical_cpus": os.cpu_count(),
        "packages": versions,
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compares two environments in what can change a figure.

    Args:
        then: What `environment` returned, perhaps elsewhere.
        now: The same, now.

    Returns:
        By name of the package (or ``"python"``, ``"processor"``): what it was and what it is.

    Example:
        >>> differences({"packages": {"numpy": "2.0"}}, {"packages": {"numpy": "2.1"}})
        {'numpy': ('2.0', '2.1')}
    """
    old, new = _figures(then), _figures(now)
    return {
        name: (old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    machine = {name: found[name] for name in ("python", "processor") if name in found}
    return {**machine, **found["packages"]}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, ValueError, StopIteration):
        return platform.processor() or platform.machine()
