"""Where synthetic samples come from, behind one small interface."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from keras_ganaccel.errors import InvalidInputError, nearest
from keras_ganaccel.gan.noise import uniform_rows
from keras_ganaccel.generated.row_source import RowLayout
from keras_ganaccel.generated.statistical import MixupSource, PCAGaussian, Smote
from keras_ganaccel.generated.tabular import (
    ClassGaussian,
    DonorRows,
    Munge,
    NoisyRows,
    SmoteNC,
    Spunge,
)
from keras_ganaccel.seeds import derive_seed


class Source(Protocol):
    """Anything that makes samples of given classes.

    Example:
        >>> import keras_ganaccel as ga
        >>> import tempfile
        >>> import numpy as np
        >>> class Grey:
        ...     def sample(self, labels, start_index):
        ...         return np.full((len(labels), 8, 8, 1), 0.5, np.float32)
        ...     def describe(self):
        ...         return {"source": "grey"}
        >>> grey: ga.Source = Grey()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ga.write_pool(f"{folder}/pool", grey, 6, num_classes=2).class_counts
        [3, 3]
    """

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """Makes one sample per label.

        Args:
            labels: Classes, int64, shape ``(n,)``.
            start_index: Number of the first sample in the source's endless sequence. Sample i
                is a pure function of ``(seed, start_index + i, labels[i])``.

        Returns:
            Encoded samples, float32, shape ``(n, *sample_shape)``.
        """

    def describe(self) -> dict[str, Any]:
        """Says in JSON values what decides the samples; equal ones give equal samples."""


class Generator(Protocol):
    """What is needed of a conditional GAN; `ConditionalGAN` has it.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> class Stripes:
        ...     latent_dim = 8
        ...     ema_generator = None
        ...     def latents(self, seed, indices):
        ...         rows = np.sin(seed + np.asarray(indices, np.float32))
        ...         return np.repeat(rows[:, None], 8, axis=1)
        ...     def generate_from_latents(self, z, labels):
        ...         return np.tile(np.abs(np.sin(z))[:, :, None, None], (1, 1, 8, 1))
        ...     def harden(self, relaxed):
        ...         return relaxed
        >>> stripes: ga.Generator = Stripes()
        >>> ga.GanSource(stripes).sample(np.array([0, 1]), 0).shape
        (2, 8, 8, 1)
    """

    @property
    def latent_dim(self) -> int:
        """Length of a noise row."""

    @property
    def ema_generator(self) -> Any:
        """The averaged generator, a functional Keras model of ``[latent, label]``."""

    def latents(self, seed: int, indices: np.ndarray) -> np.ndarray:
        """Noise rows, float32 ``(n, latent_dim)``, a pure function of seed and index."""

    def generate_from_latents(self, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Encoded samples, float32 ``(n, *sample_shape)``."""

    def harden(self, relaxed: Any) -> Any:
        """Encoded samples of what `ema_generator` returns, an array or a tensor."""


def weights_digest(weights: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 of a model's weights in hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(str((weight.shape, weight.dtype)).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


class GanSource:
    """Samples of a conditional GAN's averaged generator.

    Args:
        gan: A `ConditionalGAN`, or anything with its ``latents``, ``generate_from_latents`` and
            ``ema_generator``.
        seed: Seed of the noise.
        truncation: The noise is multiplied by it. Below 1: more typical samples (Brock et al.,
            2019, arXiv 1809.11096, in its scaling form); above 1: rarer ones.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> gan = ga.TrainedGenerator(ga.build_generator(spec, 16, width=8), num_classes=2)
        >>> ga.GanSource(gan, truncation=0.8).sample(np.array([0, 1, 1]), 0).shape
        (3, 8, 8, 1)
    """

    def __init__(self, gan: Generator, *, seed: int = 0, truncation: float = 1.0) -> None:
        if not 0 < truncation < float("inf"):
            raise InvalidInputError(
                f"`truncation` must be above 0. Received: {truncation!r}. Pass 1 for all samples."
            )
        self.gan, self.seed, self.truncation = gan, seed, truncation

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        return self.gan.generate_from_latents(self.noise(labels, start_index), labels)

    def noise(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """The noise rows of the samples, float32 ``(n, latent_dim)``."""
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        noise = np.asarray(self.gan.latents(self.seed, indices), np.float32)
        return noise * np.float32(self.truncation)

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        digest = weights_digest(self.gan.ema_generator.get_weights())
        return {
            "source": "gan",
            "seed": self.seed,
            "truncation": self.truncation,
            "weights": digest,
        }


class MixtureSource:
    """Takes each sample from one of several sources, such as earlier checkpoints of a generator.

    Samples of several checkpoints cover more than those of the last one, whose diversity often
    falls while their looks improve.

    Args:
        sources: The sources.
        weights: Their shares; equal ones by default.
        seed: Seed of the choice between them.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> both = ga.MixtureSource([ga.Smote.fit(x, y), ga.PCAGaussian.fit(x, y)], [3, 1])
        >>> both.sample(np.array([0, 1, 1]), 0).shape
        (3, 8, 8, 1)
    """

    def __init__(
        self, sources: Sequence[Source], weights: Sequence[float] | None = None, *, seed: int = 0
    ) -> None:
        shares = np.ones(len(sources)) if weights is None else np.asarray(weights, np.float64)
        if len(sources) == 0 or len(shares) != len(sources) or not (shares > 0).all():
            raise InvalidInputError(
                f"`weights` must be one number above 0 per source. Received: {weights!r} for "
                f"{len(sources)} sources. Leave out a source that shall not be used."
            )
        self.sources, self.seed = list(sources), seed
        self.shares = shares / shares.sum()

    def sample(self, labels: np.ndarray, start_index: int) -> np.ndarray:
        """See `Source.sample`."""
        indices = start_index + np.arange(len(labels), dtype=np.int64)
        uniforms = uniform_rows(derive_seed(self.seed, "mixture"), indices, 1).numpy()[:, 0]
        choice = np.searchsorted(np.cumsum(self.shares)[:-1], uniforms, side="right")
        # Every source makes the whole run, so that a sample's number stays its own.
        parts = {
            number: self.sources[number].sample(labels, start_index) for number in np.unique(choice)
        }
        return np.stack([parts[number][row] for row, number in enumerate(choice)])

    def describe(self) -> dict[str, Any]:
        """See `Source.describe`."""
        return {
            "source": "mixture",
            "seed": self.seed,
            "shares": self.shares.tolist(),
            "of": [source.describe() for source in self.sources],
        }


_FITTED: Mapping[str, Callable[..., Source]] = {
    "pca_gaussian": PCAGaussian.fit,
    "smote": Smote.fit,
    "mixup": MixupSource.fit,
}

_OF_ROWS: Mapping[str, Callable[..., Source]] = {
    kind.name: kind.fit for kind in (NoisyRows, Spunge, Munge, DonorRows, SmoteNC, ClassGaussian)
}
ROW_SOURCES = tuple(_OF_ROWS)


def make_source(
    name: str,
    *,
    x: np.ndarray,
    y: np.ndarray,
    gan: Generator | None = None,
    layout: RowLayout | None = None,
    seed: int = 0,
) -> Source:
    """Makes a source by name.

    Args:
        name: ``"gan"``, ``"pca_gaussian"``, ``"smote"`` or ``"mixup"``; of rows of a table
            ``"noise"``, ``"spunge"``, ``"munge"``, ``"donors"``, ``"smote_nc"`` or
            ``"class_gaussian"``.
        x: Training samples, encoded, shape ``(n, ...)``.
        y: Their classes, int, shape ``(n,)``.
        gan: The trained GAN, for ``"gan"``.
        layout: Which places of a row belong together; None: each place is a number.
        seed: Seed of the samples.

    Raises:
        InvalidInputError: The name is unknown, or the GAN is missing.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((20, 8, 8, 1), np.float32), np.arange(20) % 2
        >>> ga.make_source("pca_gaussian", x=x, y=y).sample(np.array([0, 1, 1]), 0).shape
        (3, 8, 8, 1)
    """
    if name == "gan":
        if gan is None:
            raise InvalidInputError(
                "The source 'gan' needs a trained GAN. Received: None. Pass `gan`."
            )
        return GanSource(gan, seed=seed)
    if name in _OF_ROWS:
        return _OF_ROWS[name](x, y, layout=layout, seed=seed)
    if name not in _FITTED:
        known = ["gan", *_FITTED, *_OF_ROWS]
        raise InvalidInputError(f"Unknown source. Received: {name!r}. {nearest(name, known)}")
    return _FITTED[name](x, y, seed=seed)
