"""Which modalities there are, and which one is meant."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.modality.protocol import Modality, ReadOptions

#: Where each modality is, in the order in which they are asked whether a source is theirs. The
#: last one takes what no other claims, and says what is wrong with it.
_PLACES: Mapping[str, tuple[str, str]] = {
    "table": ("keras_ganaccel.modality.table.table_modality", "TABLE"),
    "image": ("keras_ganaccel.modality.image.image_modality", "IMAGE"),
}
MODALITIES = tuple(_PLACES)


def modality_named(name: str) -> Modality:
    """Returns a modality by its name; its package is imported now.

    Raises:
        InvalidInputError: There is none of this name.

    Example:
        >>> modality_named("image").name
        'image'
    """
    if name not in _PLACES:
        raise InvalidInputError(
            f"Unknown modality. Received: {name!r}. {nearest(str(name), MODALITIES)}"
        )
    module, attribute = _PLACES[name]
    found: Modality = getattr(importlib.import_module(module), attribute)
    return found


def modality_of(spec: Spec) -> Modality:
    """Returns the modality of the data that a specification describes."""
    return modality_named(spec.modality)


def modality_for(source: Any, options: ReadOptions) -> Modality:
    """Returns the first modality that claims a source."""
    *others, last = map(modality_named, MODALITIES)
    return next((each for each in others if each.claims(source, options)), last)


def spec_from_dict(values: Mapping[str, Any]) -> Spec:
    """Makes the specification that ``Spec.to_dict`` wrote; without a modality it is of images.

    Raises:
        InvalidInputError: The values do not describe data.

    Example:
        >>> import keras_ganaccel as ga
        >>> spec = ga.DataSpec(8, 8, 1, ("no", "yes"))
        >>> spec_from_dict(spec.to_dict()) == spec
        True
    """
    return modality_named(values.get("modality", "image")).spec_from_dict(values)
