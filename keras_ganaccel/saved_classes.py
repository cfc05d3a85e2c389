"""The package's classes in Keras' registry, so that `keras.saving.load_model` finds them.

Importing the package loads neither Keras nor TensorFlow, and so it cannot register the classes
themselves. It registers a stand-in for each as soon as Keras is there; whoever loads a file with
such a class in it then imports the module that has it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

_PACKAGE = __name__.partition(".")[0]

#: Every class that may stand in a file of ours, by its module.
CLASSES: Mapping[str, tuple[str, ...]] = {
    "classifier.distill": ("Distiller",),
    "classifier.features": ("FeatureMatcher",),
    "distribution.trainer": ("Trainer",),
    "benchmarks.zoo_models": ("PatchEncoder", "Patches"),
    "modality.image.backbone": ("BackboneInput", "FrozenFeatures"),
    "gan.conditional_gan": ("ConditionalGAN",),
    "modality.image.layers": (
        "BilinearResize",
        "ClassEmbedding",
        "ConditionalBatchNormalization",
        "DirectConv2D",
        "SubpixelShuffle",
    ),
    "modality.image.spectral": ("ProjectionLogit", "SpectralConv2D"),
}


class StandIn:
    """What Keras asks to make an object, until the class itself is imported.

    Args:
        module: Where the class is, below the package.
        name: The name of the class.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self.__name__ = name

    def from_config(self, config: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Imports the class, which registers itself in this one's place, and asks it."""
        module = importlib.import_module(f"{_PACKAGE}.{self._module}")
        return getattr(module, self.__name__).from_config(config, *args, **kwargs)


def register_when_keras_loads() -> None:
    """Registers the stand-ins now, or as soon as somebody imports Keras."""
    keras = sys.modules.get("keras")
    if keras is None:
        sys.meta_path.insert(0, _AfterKeras())
    elif hasattr(keras, "saving"):
        _register(keras)


def _register(keras: ModuleType) -> None:
    registered = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            registered.setdefault(f"{_PACKAGE}>{name}", StandIn(module, name))


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Lets Keras be imported as always, and registers the stand-ins afterwards."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                if hasattr(module, "saving"):
                    _register(module)

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
