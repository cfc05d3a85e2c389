"""What an artefact says of itself: class names, input scaling and what its output means."""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from keras_ganaccel.data.class_names import check_class_names
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.json_files import read_json
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.registry import spec_from_dict
from keras_ganaccel.version import __version__

ENTRY = "keras_ganaccel"
OUTPUT_KINDS = ("logits", "softmax", "binary_logit", "binary_probability", "samples")
MOST_METADATA_BYTES = 2**24


@dataclass(frozen=True)
class ArtifactMetadata:
    """Travels inside the artefact, so that the file alone is enough to predict with.

    Args:
        class_names: One name per class; empty if unknown.
        output: One of `OUTPUT_KINDS`; ``"samples"`` is a generator's output in [-1, 1].
        value_range: The raw values that mean black and white.
        input_range: The values that the model itself takes for black and white.
        raw_input: Whether the preprocessing is part of the file, which then takes raw values.
        quantization: The format, such as ``"float32"`` or ``"int8"``; empty if unknown.
        version: The version of this package that wrote the file.
        spec: What leads from raw samples to what the model takes, where that is more than a range:
            the columns of a table. None for images.

    Example:
        >>> import keras_ganaccel as ga
        >>> metadata = ga.ArtifactMetadata(("a", "b"), "logits", value_range=(0.0, 16.0))
        >>> metadata.raw_scale, metadata.raw_offset
        (0.0625, 0.0)
    """

    class_names: tuple[str, ...] = ()
    output: str = "logits"
    value_range: tuple[float, float] = (0.0, 1.0)
    input_range: tuple[float, float] = (0.0, 1.0)
    raw_input: bool = False
    quantization: str = ""
    version: str = __version__
    spec: Spec | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.output, str) or self.output not in OUTPUT_KINDS:
            raise InvalidInputError(
                f"`output` says what the numbers mean. Received: {str(self.output)[:80]!r}. "
                + nearest(str(self.output)[:80], OUTPUT_KINDS)
            )
        for name in ("value_range", "input_range"):
            if not _is_range(getattr(self, name)):
                raise InvalidInputError(
                    f"`{name}` must be two finite numbers, the lower first. Received: "
                    f"{getattr(self, name)!r}. Give the values that mean black and white."
                )
        if not 0.0 < self.raw_scale < math.inf:
            raise InvalidInputError(
                "`value_range` and `input_range` must be of sizes that can be mapped onto each "
                f"other. Received: {self.value_range} and {self.input_range}. "
                "Give the values that mean black and white."
            )
        check_class_names(self.class_names)
        for name, kind in (("raw_input", bool), ("quantization", str), ("version", str)):
            if not isinstance(getattr(self, name), kind):
                raise InvalidInputError(
                    f"`{name}` must be a {kind.__name__}. Received: {getattr(self, name)!r}. "
                    "Export the model again."
                )

    @property
    def raw_scale(self) -> float:
        """The model's input per raw value."""
        low, high = self.value_range
        return (self.input_range[1] - self.input_range[0]) / (high - low)

    @property
    def raw_offset(self) -> float:
        """The model's input for the raw value 0."""
        return self.input_range[0] - self.value_range[0] * self.raw_scale

    def to_raw(self, x: np.ndarray) -> np.ndarray:
        """Maps what the model takes back to raw uint8 values, for files with `raw_input`.

        Args:
            x: Float samples in `input_range`.
        """
        raw = np.rint((np.asarray(x, np.float64) - self.raw_offset) / self.raw_scale)
        return np.clip(raw, 0, 255).astype(np.uint8)

    def to_json(self) -> bytes:
        """Returns compact JSON with sorted keys: equal metadata give equal bytes."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        spec = values.pop("spec")
        if spec is not None:
            values["spec"] = _packed(spec)
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode()

    @classmethod
    def from_json(cls, text: bytes) -> ArtifactMetadata:
        """Reads what `to_json` wrote; keys of later versions are passed over.

        Raises:
            InvalidInputError: If it is not such JSON.
        """
        try:
            values = read_json(text, most_bytes=MOST_METADATA_BYTES)
            if not isinstance(values, dict):
                raise ValueError(f"{type(values).__name__} instead of an object")
            known = {k: v for k, v in values.items() if k in cls.__dataclass_fields__}
            for key in ("class_names", "value_range", "input_range"):
                if not isinstance(known.get(key, []), list):
                    raise ValueError(f"{key} is {type(known[key]).__name__} instead of a list")
                if key in known:
                    known[key] = tuple(known[key])
            if known.get("spec") is not None:
                known["spec"] = _unpacked(known["spec"])
            return cls(**known)
        except ValueError as error:
            raise InvalidInputError(
                "The metadata inside the artefact cannot be read. Received: "
                f"{str(error).rstrip('.')}. Export the model again."
            ) from error


def described_by(spec: Spec | None) -> dict[str, Any]:
    """The fields of `ArtifactMetadata` that a description of the data fills.

    Args:
        spec: The description, or None.

    Returns:
        Class names, and the value range of images or the specification of other data.
    """
    if spec is None:
        return {}
    if isinstance(spec, DataSpec):
        return {"class_names": spec.class_names, "value_range": spec.value_range}
    return {"class_names": spec.class_names, "spec": spec}


def _packed(spec: Spec) -> str:
    """A specification as short text: it travels inside of files of a few kilobytes."""
    text = json.dumps(spec.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return base64.b85encode(zlib.compress(text.encode(), 9)).decode()


def _unpacked(packed: Any) -> Spec:
    """The specification of `_packed`.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(packed, str):
        raise ValueError(f"spec is {type(packed).__name__} instead of text")
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(base64.b85decode(packed), MOST_METADATA_BYTES)
    except zlib.error:
        raise ValueError("spec is damaged") from None
    values = read_json(text, most_bytes=MOST_METADATA_BYTES)
    if inflate.unconsumed_tail or not isinstance(values, dict):
        raise ValueError("spec is no description of data")
    return spec_from_dict(values)


def _is_range(ends: Any) -> bool:
    try:
        low, high = ends
        numbers = all(
            isinstance(end, (int, float, np.number)) and not isinstance(end, bool) for end in ends
        )
        return numbers and math.isfinite(low) and math.isfinite(high) and low < high
    except (TypeError, ValueError, OverflowError):
        return False
