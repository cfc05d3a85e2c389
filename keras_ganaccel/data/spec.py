"""What every later stage may know of a data set, whatever its samples are."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Spec(Protocol):
    """The description of a data set that leads from raw samples to encoded ones.

    Each modality has one of its own, a frozen dataclass that is fitted on the training rows and
    holds all that encoding needs: `DataSpec` for images. It rides in `LabelledData`, in run folders
    and in the metadata of artefacts. Code outside of a modality's package uses what stands here,
    and nothing else.

    *Encoded* samples are float32 arrays of shape ``(n, *sample_shape)``: what classifiers, filters,
    pools, metrics and exported files take, and the only form outside of the GAN.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec: ga.Spec = ga.DataSpec(8, 8, 1, ("no", "yes"), (0.0, 16.0))
        >>> spec.modality, spec.num_classes, spec.sample_shape
        ('image', 2, (8, 8, 1))
        >>> encoded = spec.encode(np.full((5, 8, 8), 16))
        >>> encoded.shape, str(encoded.dtype), float(encoded.max())
        ((5, 8, 8, 1), 'float32', 1.0)
    """

    @property
    def modality(self) -> str:
        """The name of the modality, such as ``"image"``."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class, in the order of the integer labels 0..k-1."""

    @property
    def num_classes(self) -> int:
        """The number of classes."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample: ``(height, width, channels)``, ``(width,)``, ..."""

    def encode(self, raw: Any) -> np.ndarray:
        """Maps raw samples to what models take.

        Args:
            raw: Rows of ``LabelledData.x``: an array, or a pandas frame. Any number of them, also
                none; never changed.

        Returns:
            float32, shape ``(n, *sample_shape)``, finite. A row depends on its own raw sample
            alone, and equal raw samples give equal bits.

        Raises:
            InvalidInputError: These are no samples of this kind.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values that hold all of it, with the modality's name as ``"modality"``.

        `modality.registry.spec_from_dict` makes an equal specification of them.
        """
