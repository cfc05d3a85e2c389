"""KID on held-out data while the GAN trains: the only curve that tells when it was best."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.callbacks.periodic import Periodic
from keras_ganaccel.metrics.kid import kid

logger = logging.getLogger(__name__)


class KIDCallback(Periodic):
    """Measures KID every `every` steps, and keeps the generator weights that did best.

    Generated samples come from the same latent points each time, so that two measurements differ
    by the generator alone. Logs get ``kid`` and ``kid_stderr``, the epoch's logs the latest ones,
    so that `History` and TensorBoard show them.

    Args:
        images: Held-out real samples, encoded, shape ``(n, *sample_shape)``, n >= 3.
        extractor: Encoded samples to features ``(n, d)``, such as a `FeatureExtractor`.
        every: Optimiser steps between two measurements.
        labels: The classes of `images`, shape ``(n,)``, so that the generated ones follow their
            distribution (-1 is left out); by default all classes equally.
        samples: How many to generate; by default as many as there are real ones, but no fewer
            than 500.
        restore_best: Whether the EMA generator gets the best weights when training ends.
        seed: Fixes the latent points.

    Raises:
        InvalidInputError: `every` is too small, there are too few samples, or images and labels
            differ in number.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> images = np.random.default_rng(0).random((32, 8, 8, 1), np.float32)
        >>> pixels = lambda images: images.reshape(len(images), -1)
        >>> distance = ga.KIDCallback(images, pixels, every=500, samples=32)
        >>> distance.set_model(gan)  # As `gan.fit(..., callbacks=[distance])` does.
        >>> distance.on_train_end()
        >>> sorted(distance.best), distance.best["kid"] > 0
        (['kid', 'kid_stderr', 'step'], True)
    """

    def __init__(
        self,
        images: np.ndarray,
        extractor: Callable[[np.ndarray], np.ndarray],
        every: int = 500,
        *,
        labels: np.ndarray | None = None,
        samples: int | None = None,
        restore_best: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(every)
        samples = max(500, len(images)) if samples is None else samples
        if min(samples, len(images)) < 3:
            raise InvalidInputError(
                f"KID needs 3 samples of each kind. Received: {len(images)} real images, "
                f"`samples`={samples}. Some hundreds are sensible."
            )
        if labels is not None and len(labels) != len(images):
            raise InvalidInputError(
                f"`labels` must hold one label per image. Received: {len(labels)} labels for "
                f"{len(images)} images. Leave them out to generate all classes equally."
            )
        self.extractor = extractor
        self.samples = samples
        self.restore_best = restore_best
        self.seed = seed
        #: One row per measurement: ``{"step", "kid", "kid_stderr"}``.
        self.history: list[dict[str, Any]] = []
        #: The row of the best measurement.
        self.best: dict[str, Any] | None = None
        self._best_weights: list[np.ndarray] = []
        self._real_features = extractor(images)
        known = np.asarray(() if labels is None else labels)
        self._labels = known[known >= 0]

    def act(self, step: int, logs: dict[str, Any]) -> None:
        """Measures, and keeps the weights if they are the best so far."""
        images = self.model.generate(self._asked_labels(), seed=self.seed)
        if not np.isfinite(images).all():
            logger.warning("Step %d: generated samples are not finite, KID is left out.", step)
            return
        score = kid(self._real_features, self.extractor(images))
        row = {"step": step, "kid": score.value, "kid_stderr": score.stderr}
        self.history.append(row)
        logs.update(kid=score.value, kid_stderr=score.stderr)
        logger.info("Step %d: KID %.5f ± %.5f.", step, score.value, score.stderr)
        if self.best is None or score.value < self.best["kid"]:
            self.best = row
            self._best_weights = self.model.ema_generator.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the latest measurement to the epoch's logs."""
        if logs is not None and self.history:
            logs.update({name: self.history[-1][name] for name in ("kid", "kid_stderr")})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Measures once more where training ended, and restores the best weights."""
        step = int(self.model.step)
        if not self.history or self.history[-1]["step"] != step:
            self.act(step, {})
        if self.restore_best and self.best is not None:
            self.model.ema_generator.set_weights(self._best_weights)
            logger.info("The generator weights of step %d were best.", self.best["step"])

    def get_state(self) -> dict[str, Any]:
        """Returns what a checkpoint must carry: the history and the best weights."""
        weights = {f"weight_{i}": weight for i, weight in enumerate(self._best_weights)}
        return {"history": list(self.history), "best": self.best, **weights}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `get_state` returned."""
        self.history = list(state["history"])
        self.best = state["best"]
        count = sum(name.startswith("weight_") for name in state)
        self._best_weights = [np.asarray(state[f"weight_{i}"]) for i in range(count)]

    def _asked_labels(self) -> np.ndarray:
        """Repeats the real labels, or all classes, until there are enough."""
        pattern = self._labels if len(self._labels) else np.arange(self.model.num_classes)
        return np.resize(pattern, self.samples).astype(np.int32)
