"""Images, as the protocol asks of every modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganaccel.data.split import Splits
from keras_ganaccel.errors import InvalidInputError, MissingFileError, nearest
from keras_ganaccel.modality.image import arrays, folders, frames, libraries
from keras_ganaccel.modality.image.images import LARGEST_SIDE, check_sides
from keras_ganaccel.modality.image.memory import read_memory
from keras_ganaccel.modality.image.samples import read_samples
from keras_ganaccel.modality.image.scale import (
    check_width,
    narrow_note,
    natural_range,
    off_scale,
    value_warnings,
)
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.protocol import Policy, RawData, ReadOptions, Samples

_SMALLEST = 4


class ImageModality:
    """Images: arrays, files in folders, data sets of libraries, frames of pixels."""

    name = "image"
    options = frozenset({"target", "image_size", "value_range", "skip_corrupt"})

    def claims(self, source: Any, options: ReadOptions) -> bool:
        """Takes everything: images are what a source is taken for that is nothing else."""
        return True

    def read(self, source: Any, options: ReadOptions) -> RawData:
        """Reads images of one size; see `Modality.read`."""
        size = _checked_size(options.image_size)
        raw = _read(source, size, options)
        if size is None:
            check_sides(raw.x.shape[1:3])
        x = raw.x if size is None else arrays.resize_samples(raw.x, size)
        if x.min() == x.max():
            raise InvalidInputError(
                f"Samples must hold different values. Received: {x.flat[0]} everywhere. "
                "Check where they come from."
            )
        if raw.details is None and options.value_range is None:
            check_width((float(x.min()), float(x.max())))
        return replace(raw, x=x)

    def fit(
        self, raw: RawData, class_names: tuple[str, ...], splits: Splits, options: ReadOptions
    ) -> tuple[DataSpec, tuple[str, ...]]:
        """Finds the value range; see `Modality.fit`. `RawData.details` is the source's own one."""
        height, width, channels = raw.x.shape[1:]
        train = raw.x[splits.train]
        given = options.value_range
        ends = raw.details if given is None else _checked_range(given)
        ends = ends or natural_range(train)
        spec = DataSpec(height, width, channels, class_names, ends)
        check_width(ends)
        notes = _range_note(train, ends)
        for part, rows in raw.supplied.items():
            if part != "train":
                notes += _checked_scale(raw.x[rows], ends, part)
        return spec, notes

    def findings(self, x: np.ndarray, rows: np.ndarray, spec: DataSpec) -> list[str]:
        """Warns of flat images and of values outside of the range."""
        return value_warnings(x, rows, spec.value_range)

    def read_samples(
        self, source: Any, spec: DataSpec, *, skip_corrupt: bool = False, name: str = "samples"
    ) -> Samples:
        """Reads images without labels; see `samples.read_samples`."""
        return read_samples(source, spec, skip_corrupt=skip_corrupt, name=name)

    def spec_from_dict(self, values: Mapping[str, Any]) -> DataSpec:
        """Makes a `DataSpec` of its values."""
        return DataSpec.from_dict(values)

    @property
    def encoded_range(self) -> tuple[float, float]:
        """From black to white."""
        return 0.0, 1.0

    def relax(self, encoded: Any, spec: DataSpec | None = None) -> Any:
        """Maps [0, 1] to [-1, 1], where generators end in a tanh."""
        return encoded * 2.0 - 1.0

    def harden(self, relaxed: Any, spec: DataSpec | None = None) -> Any:
        """Maps [-1, 1] to [0, 1], clipped."""
        unit = (relaxed + 1.0) / 2.0
        if isinstance(unit, np.ndarray):
            return np.clip(unit, 0.0, 1.0)
        import tensorflow as tf

        return tf.clip_by_value(unit, 0.0, 1.0)

    def rows(self, encoded: np.ndarray) -> np.ndarray:
        """Returns the pixels of each image in a row."""
        return encoded.reshape(len(encoded), -1)

    def picture(
        self, encoded: np.ndarray, labels: np.ndarray, class_names: Sequence[str] | None = None
    ) -> Any:
        """See `pictures.grid_image`."""
        from keras_ganaccel.modality.image.pictures import grid_image

        return grid_image(encoded, labels, class_names)

    def row_layout(self, spec: DataSpec) -> None:
        """Returns None: pixels are no columns."""

    def facts(self, spec: DataSpec) -> dict[str, Any]:
        """The raw values that mean black and white."""
        return {"value_range": list(spec.value_range)}

    def input_ranges(self, spec: DataSpec) -> tuple[tuple[float, float], ...]:
        """[0, 1], bytes, [-1, 1], and the data's own values."""
        return tuple(
            dict.fromkeys([self.encoded_range, (0.0, 255.0), (-1.0, 1.0), spec.value_range])
        )

    def front_end(self, spec: DataSpec) -> None:
        """Returns None: the metadata's scale and offset are all there is to it."""

    @property
    def policies(self) -> Mapping[str, Policy]:
        """Shift, flip, cutout, mixup and cutmix."""
        from keras_ganaccel.modality.image.policies import CLASSIFIER_POLICIES

        return CLASSIFIER_POLICIES

    @property
    def game_policies(self) -> Mapping[str, Policy]:
        """Translation, cutout, colour and flip."""
        from keras_ganaccel.modality.image.policies import GAME_POLICIES

        return GAME_POLICIES

    @property
    def generators(self) -> tuple[str, ...]:
        """See `generator.build_generator`."""
        from keras_ganaccel.modality.image.generator import ARCHITECTURES

        return ARCHITECTURES

    @property
    def discriminators(self) -> tuple[str, ...]:
        """See `discriminator.build_discriminator`."""
        from keras_ganaccel.modality.image.discriminator import ARCHITECTURES

        return ARCHITECTURES

    @property
    def classifiers(self) -> tuple[str, ...]:
        """See `structures.build_classifier`."""
        from keras_ganaccel.modality.image.structures import architectures

        return architectures()

    def build_generator(
        self, spec: DataSpec, latent_dim: int, architecture: str, **options: Any
    ) -> Any:
        """See `generator.build_generator`."""
        from keras_ganaccel.modality.image.generator import build_generator

        return build_generator(spec, latent_dim, architecture=architecture, **options)

    def build_discriminator(self, spec: DataSpec, architecture: str, **options: Any) -> Any:
        """See `discriminator.build_discriminator`."""
        from keras_ganaccel.modality.image.discriminator import build_discriminator

        return build_discriminator(spec, architecture=architecture, **options)

    def build_classifier(self, spec: DataSpec, architecture: str, size: str, **options: Any) -> Any:
        """See `structures.build_classifier`."""
        from keras_ganaccel.modality.image.structures import build_classifier

        return build_classifier(spec, architecture, size, **options)


IMAGE = ImageModality()


def _read(source: Any, size: tuple[int, int] | None, options: ReadOptions) -> RawData:
    if not isinstance(source, (str, Path)):
        return read_memory(source, options.target)
    text = str(source)
    path = Path(text).expanduser()
    if text == "digits":
        return libraries.load_digits()
    library, colon, dataset = text.partition(":")
    if colon and library == "keras":
        return libraries.load_keras(dataset)
    if colon and library == "tfds":
        return libraries.load_tfds(dataset, size)
    if text and path.is_dir():
        return folders.read_class_folders(path, size=size, skip_corrupt=options.skip_corrupt)
    if path.is_file() and path.suffix.lower() == ".npz":
        return arrays.read_archive(path)
    if path.is_file() and path.suffix.lower() in frames.SUFFIXES:
        return frames.read_text(path)
    if text.lower().endswith(".npy"):
        parts = [path] if path.is_file() else [Path(part.strip()) for part in text.split(",")]
        return arrays.read_array_files(parts)
    if path.is_file():
        raise InvalidInputError(
            "Data must be an .npz file, .npy files, a .csv file of pixels or a folder of class "
            f"folders. Received: {text!r}. Convert or unpack the file."
        )
    known = {"digits", *(f"keras:{dataset}" for dataset in libraries.KERAS_DATASETS)}
    hint = "Check the path." if path.suffix or "/" in text else nearest(text, known)
    raise MissingFileError(f"There is no such file, folder or data set. Received: {text!r}. {hint}")


def _checked_size(image_size: Any) -> tuple[int, int] | None:
    if image_size is None:
        return None
    sides = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size,) * 2
    whole = all(isinstance(side, (int, np.integer)) for side in sides)
    if len(sides) != 2 or not whole or not all(_SMALLEST <= s <= LARGEST_SIDE for s in sides):
        raise InvalidInputError(
            f"`image_size` must be one or two whole numbers in [{_SMALLEST}, {LARGEST_SIDE}]. "
            f"Received: {image_size!r}. Give a height and a width."
        )
    return int(sides[0]), int(sides[1])


def _checked_range(value_range: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in value_range)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"`value_range` must be two numbers. Received: {value_range!r}. "
            "Give the values that mean black and white."
        ) from None
    return low, high


def _checked_scale(x: np.ndarray, ends: tuple[float, float], part: str) -> tuple[str, ...]:
    """Refuses a split at another scale, or asks about it."""
    finding = off_scale(x, ends)
    if finding:
        raise InvalidInputError(
            f"All splits must have one value range. Received: {finding} in the {part} split, for "
            f"[{ends[0]:g}, {ends[1]:g}] in training. Rescale one of them."
        )
    return narrow_note(x, ends, f"{part} split")


def _range_note(train: np.ndarray, ends: tuple[float, float]) -> tuple[str, ...]:
    """Says so where a value range that was given is far from the values."""
    finding = off_scale(train, ends)
    if not finding:
        return ()
    return (
        f"The value range [{ends[0]:g}, {ends[1]:g}] does not fit the training samples: {finding}.",
    )
