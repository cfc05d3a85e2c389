"""What a kind of samples must know of itself: the one seam between the journey and its data.

A sample has two forms, and its modality owns both. *Encoded* is what everything outside of the GAN
sees: float32 ``(n, *spec.sample_shape)``. *Relaxed* is what generator and discriminator play with,
differentiable; nothing but `Modality.relax` and `Modality.harden` knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from keras_ganaccel.data.spec import Spec
from keras_ganaccel.data.split import Splits


@dataclass(frozen=True)
class ReadOptions:
    """What a user may say about how data are read. Each modality takes those in its `options`.

    Args:
        target: The column of labels, where the source has columns.
        drop: Columns to leave out.
        columns: The path of a YAML file, or a mapping, that says what columns hold.
        groups: The column of groups; `RawData.groups` then holds it.
        image_size: ``(height, width)``, or one number for both, to resize images to.
        value_range: The raw values that mean black and white.
        skip_corrupt: Leave out files that cannot be read instead of refusing all.
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    columns: Any = None
    groups: str | None = None
    image_size: Any = None
    value_range: Any = None
    skip_corrupt: bool = False


@dataclass(frozen=True, eq=False)
class RawData:
    """What a source holds, before labels are mapped and splits are drawn.

    Args:
        name: The name of the data set.
        x: Samples, n rows: an array ``(n, ...)`` or a pandas frame without the column of labels.
        labels: As the source has them, ``n`` of them.
        supplied: The rows of the splits that the source comes with.
        class_names: The source's own names of the classes 0..k-1, if it has any.
        every_text: Labels that are text name classes, even "nan" or "".
        groups: A group per row, if the source has them; a group stays on one side of every split.
        details: What the modality's own `fit` needs to know of the source.
        skipped: Files that could not be read.
        notes: What else the user should know, a sentence each.
    """

    name: str
    x: Any
    labels: Any
    supplied: Mapping[str, np.ndarray] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    every_text: bool = False
    groups: Any = None
    details: Any = None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples without labels and where they come from.

    Args:
        x: Raw samples, of the type and shape of the data that they belong to.
        names: For each sample its path in the folder, or its row number.
        skipped: Files that could not be read.
        notes: What else the user should know, a sentence each.
    """

    x: Any
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class FrontEnd(Protocol):
    """The way from raw to encoded samples on a device; `export.front_end` writes it."""

    @property
    def inputs(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        """Name, shape of one sample and dtype of each input."""

    def function(self) -> Callable[..., Any]:
        """From a tensor ``(batch, ...)`` per input to the encoded samples, in TFLite's builtins."""

    def c_files(self) -> Mapping[str, str]:
        """Texts of C99 by the names of their files."""

    def vectors(self, raw: Any) -> Mapping[str, np.ndarray]:
        """Inputs, by name, and ``encoded``: what they must come to."""


class Policy(NamedTuple):
    """A way to change samples at random, as a pure function of them and of uniform numbers.

    Attributes:
        apply: From samples, float32 ``(batch, ...)``, and uniforms, float32 ``(batch, uniforms)``
            in [0, 1), to the changed samples, in TensorFlow. Where `mixes` is set: to the share of
            each value that a sample keeps when it is mixed with its neighbour, of the samples'
            rank, in [0, 1].
        uniforms: How many uniform numbers a sample takes.
        axes: The axes of a sample that it can change: 3 for ``(height, width, channels)``.
        mixes: Whether samples, and their targets alike, are mixed with their neighbours.
    """

    apply: Callable[[Any, Any], Any]
    uniforms: int
    axes: int
    mixes: bool = False


class Modality(Protocol):
    """A kind of samples. `modality.registry` finds it by name, by source and by specification.

    One object without state per kind; the packages of the kinds are imported when they are first
    needed, and TensorFlow only where a network or a differentiable form is asked for.
    """

    @property
    def name(self) -> str:
        """Such as ``"image"``: the value of ``Spec.modality`` and of ``--modality``."""

    @property
    def options(self) -> frozenset[str]:
        """The fields of `ReadOptions` that mean something here; `load_data` refuses the others."""

    # Reading. `load_data` calls `read`, maps the labels and draws the splits, and calls `fit`.

    def claims(self, source: Any, options: ReadOptions) -> bool:
        """Tells cheaply, without reading it all, whether a source is of this kind.

        Args:
            source: Whatever the user gave to `load_data`: a path, a name, arrays, a frame.
            options: How it shall be read.
        """

    def read(self, source: Any, options: ReadOptions) -> RawData:
        """Reads a source.

        Returns:
            Raw samples and labels, checked as far as they can be before splits are drawn.

        Raises:
            InvalidInputError: It cannot be used; one line that says what to do.
            MissingFileError: There is no such file.
        """

    def fit(
        self, raw: RawData, class_names: tuple[str, ...], splits: Splits, options: ReadOptions
    ) -> tuple[Spec, tuple[str, ...]]:
        """Describes the data, by the training rows alone.

        Args:
            raw: What `read` returned. `RawData.supplied` has the labelled rows of its splits.
            class_names: One name per class 0..k-1.
            splits: The rows of training, validation and test.
            options: How the data were read.

        Returns:
            The specification, and what the user should know, a sentence each.

        Raises:
            InvalidInputError: The samples of the splits do not fit each other.
        """

    def findings(self, x: Any, rows: np.ndarray, spec: Spec) -> list[str]:
        """Says what the audit should warn of, a sentence each.

        Args:
            x: All raw samples.
            rows: The numbers of those that are in a split.
            spec: What `fit` returned.
        """

    def read_samples(
        self, source: Any, spec: Spec, *, skip_corrupt: bool = False, name: str = "samples"
    ) -> Samples:
        """Reads samples without labels that belong to known data: to learn from, or to predict.

        Args:
            source: A path, an array, a frame.
            spec: The description of the data that they belong to.
            skip_corrupt: Leave out files that cannot be read.
            name: What messages call the samples.

        Returns:
            Raw samples that ``spec.encode`` takes.

        Raises:
            InvalidInputError: They cannot be used.
        """

    def spec_from_dict(self, values: Mapping[str, Any]) -> Spec:
        """Makes a specification of what ``Spec.to_dict`` returned, also in an earlier version.

        Raises:
            InvalidInputError: The values do not describe one.
        """

    # The two forms.

    @property
    def encoded_range(self) -> tuple[float, float] | None:
        """The ends of the values of every encoded sample; None where places differ in that."""

    def relax(self, encoded: Any, spec: Spec | None = None) -> Any:
        """Maps encoded samples to what the GAN's networks take.

        Args:
            encoded: float32 ``(n, *sample_shape)``, an array or a tensor.
            spec: The description of the data; images need none.

        Returns:
            float32, of the same kind (array or tensor) and the same shape.
        """

    def harden(self, relaxed: Any, spec: Spec | None = None) -> Any:
        """Maps what a generator returns to valid encoded samples.

        For all valid encoded samples ``harden(relax(x)) == x`` but for rounding. What no real
        sample can be, such as half a category, becomes the nearest that one can.

        Args:
            relaxed: float32 ``(n, *sample_shape)``, an array or a tensor.
            spec: The description of the data; images need none.

        Returns:
            float32, of the same kind (array or tensor) and the same shape.
        """

    def rows(self, encoded: np.ndarray) -> np.ndarray:
        """Returns samples as rows of floats, ``(n, d)``: for SVMs, trees, PCA and neighbours."""

    def front_end(self, spec: Spec) -> FrontEnd | None:
        """Returns what leads from raw to encoded samples on a device.

        Returns:
            None where a scale and an offset are all there is to it, as for images: they are in the
            metadata of each file.
        """

    # What people see.

    def picture(
        self, encoded: np.ndarray, labels: np.ndarray, class_names: Sequence[str] | None = None
    ) -> Any:
        """Draws samples, a row for each class.

        Args:
            encoded: Encoded samples, float32 ``(n, *sample_shape)``.
            labels: Their classes, integers, shape ``(n,)``.
            class_names: One name per class; by default the integer labels.

        Returns:
            A `PIL.Image.Image`; None where samples of this kind cannot be drawn.
        """

    def row_layout(self, spec: Spec) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]] | None:
        """Tells which places of an encoded row belong to one column, and which hold numbers.

        Returns:
            The arguments of `RowLayout`; None where samples are no rows of columns.
        """

    def facts(self, spec: Spec) -> dict[str, Any]:
        """Says in JSON values what a plan should show of the data, beside shape and classes."""

    # What a user's own model may take.

    def input_ranges(self, spec: Spec) -> tuple[tuple[float, float], ...]:
        """The ranges that a model made elsewhere may take instead of the encoded one.

        Returns:
            The encoded one first; nothing else where no model is made for others.
        """

    # How samples are changed at random, by name, in the order in which that is done.

    @property
    def policies(self) -> Mapping[str, Policy]:
        """Those for classifiers, on encoded samples; empty where none preserves the class."""

    @property
    def game_policies(self) -> Mapping[str, Policy]:
        """Those for the GAN, on relaxed samples; differentiable, without `Policy.mixes`.

        They may take 12 numbers in all, and one more each that decides whether it is applied.
        """

    # Networks: functional Keras models.

    @property
    def generators(self) -> tuple[str, ...]:
        """The names of the generators, the usual one first."""

    @property
    def discriminators(self) -> tuple[str, ...]:
        """The names of the discriminators, the usual one first."""

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The names of the classifiers, the usual one first."""

    def build_generator(
        self, spec: Spec, latent_dim: int, architecture: str, **options: Any
    ) -> Any:
        """Builds a network from noise and class to a relaxed sample.

        Args:
            spec: The description of the data.
            latent_dim: Length of the noise vector.
            architecture: Out of `generators`.
            options: ``width``, ``seed``, ``dtype`` and ``name``, and those of this modality.

        Returns:
            Inputs ``[latent (batch, latent_dim) float32, label (batch,) int32]``, one float32
            output ``(batch, *sample_shape)``.
        """

    def build_discriminator(self, spec: Spec, architecture: str, **options: Any) -> Any:
        """Builds a network from a relaxed sample and its class to a logit.

        Args:
            spec: The description of the data.
            architecture: Out of `discriminators`.
            options: ``width``, ``spectral_norm``, ``seed``, ``dtype`` and ``name``, and those of
                this modality.

        Returns:
            Inputs ``[sample (batch, *sample_shape) float32, label (batch,) int32]``, where the
            label -1 leaves out the class; output float32 ``(batch,)`` or ``(batch, heads)``.
        """

    def build_classifier(self, spec: Spec, architecture: str, size: str, **options: Any) -> Any:
        """Builds a network from an encoded sample to logits.

        Args:
            spec: The description of the data.
            architecture: Out of `classifiers`.
            size: ``"tiny"``, ``"small"`` or ``"base"``.
            options: ``activation``, ``dropout``, ``seed`` and ``name``, and those of this modality.

        Returns:
            Input float32 ``(batch, *sample_shape)``; output ``logits``, float32 ``(batch,
            num_classes)``. Made of layers that TFLite has built in.
        """
