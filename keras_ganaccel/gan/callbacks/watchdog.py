"""A watchdog over GAN training: sees failures, rolls back, goes on more mildly, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ganaccel.checkpoint import model_state, restore_model_state
from keras_ganaccel.distribution import learning_rate_of
from keras_ganaccel.errors import InvalidInputError, RunFailedError
from keras_ganaccel.gan.callbacks.averages import IntervalMeans
from keras_ganaccel.gan.callbacks.periodic import Periodic

logger = logging.getLogger(__name__)

_LEARNING_RATE_FACTOR = 0.5


class Watchdog(Periodic):
    """Detects failed GAN training and rolls back to the last good state with halved steps.

    Three failures are looked for. Values that are not finite: after every execution. Collapse:
    within some class, generated samples differ from one another far less than real ones do, at
    `patience` checks in a row. A discriminator that has won: the mean gap between its logits on
    real and generated samples lies beyond `largest_gap` while the generator's loss grows, at
    `patience` checks in a row; both are means over the whole interval.

    A rollback restores both networks, the optimisers and the average as they were at the last
    check that found nothing, and halves both learning rates; the count of steps goes on, so that
    budget, data order and noise go on as well. Each is logged as a warning and kept in `events`.

    Args:
        images: Real training or validation samples, encoded, shape ``(n, *sample_shape)``.
        labels: Their classes, shape ``(n,)``; -1 is left out.
        every: Optimiser steps between two checks.
        extractor: Encoded samples to features in which diversity is measured; the samples
            themselves by default.
        warm_up: Steps before collapse is looked for: at first all samples are alike.
        samples_per_class: Generated samples per class and check.
        least_diversity: Collapse is a root-mean-square distance between samples of a class below
            this share of the real ones'.
        largest_gap: The gap of logits beyond which the discriminator's gradient has saturated.
        patience: Checks in a row that must find the same failure.
        max_rollbacks: After so many, the next failure ends training.
        seed: Fixes the latent points.

    Raises:
        InvalidInputError: No class has two different real samples, or a count is below 1; when
            training begins: a learning rate is a schedule.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> gan.compile()
        >>> images = np.random.default_rng(0).random((32, 8, 8, 1), np.float32)
        >>> watchdog = ga.Watchdog(images, np.arange(32) % 2, every=250)
        >>> watchdog.set_model(gan)  # As `gan.fit(..., callbacks=[watchdog])` does.
        >>> watchdog.on_train_begin()
        >>> watchdog.interventions
        []
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        every: int = 250,
        *,
        extractor: Callable[[np.ndarray], np.ndarray] | None = None,
        warm_up: int = 1000,
        samples_per_class: int = 32,
        least_diversity: float = 0.2,
        largest_gap: float = 15.0,
        patience: int = 2,
        max_rollbacks: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__(every)
        if samples_per_class < 2 or patience < 1:
            raise InvalidInputError(
                "`samples_per_class` must be at least 2 and `patience` at least 1. Received: "
                f"{samples_per_class} and {patience}. The defaults are 32 and 2."
            )
        self.extractor = extractor
        self.warm_up = warm_up
        self.samples_per_class = samples_per_class
        self.least_diversity = least_diversity
        self.largest_gap = largest_gap
        self.patience = patience
        self.max_rollbacks = max_rollbacks
        self.seed = seed
        #: One row per rollback: ``{"step", "back_to", "reason"}``.
        self.events: list[dict[str, Any]] = []
        self._real_spread = self._spreads(images, np.asarray(labels))
        if not self._real_spread:
            raise InvalidInputError(
                "The watchdog compares samples within classes. Received: no class with two "
                "different real samples. Give labelled images, or leave the watchdog out."
            )
        self._means = IntervalMeans()
        self._suspicions = {"collapse": 0, "discriminator": 0}
        self._generator_loss: float | None = None
        self._good_step = 0
        self._good_state: dict[str, np.ndarray] = {}

    @property
    def interventions(self) -> list[str]:
        """The rollbacks so far, each as a sentence."""
        return [
            f"Step {event['step']}: {event['reason']}; back to the state of step "
            f"{event['back_to']} at half the learning rates."
            for event in self.events
        ]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the state at the start as good, unless a checkpoint brought a later one."""
        super().on_train_begin(logs)
        for optimizer in self._optimizers():
            if isinstance(optimizer.get_config()["learning_rate"], dict):
                raise InvalidInputError(
                    f"The watchdog halves constant learning rates. Received: a schedule in "
                    f"{optimizer.name!r}. Give a number, or leave the watchdog out."
                )
        if not self._good_state:
            self._keep(int(self.model.step))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps in step with Keras, which resets the metrics here."""
        self._means.restart()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Rolls back at once where a value is not finite; checks the rest when it is due."""
        self._means.update(self.model.metrics)
        broken = [name for name, value in (logs or {}).items() if not np.isfinite(value)]
        if broken:
            self._seen = int(self.model.step)
            self._roll_back(self._seen, f"{broken[0]} is not finite")
        else:
            super().on_train_batch_end(batch, logs)

    def act(self, step: int, logs: dict[str, Any]) -> None:
        """Checks for collapse and for a discriminator that has won."""
        findings = {
            "collapse": self._collapse() if step >= self.warm_up else None,
            "discriminator": self._discriminator_won(self._means.take()),
        }
        for kind, finding in findings.items():
            self._suspicions[kind] = self._suspicions[kind] + 1 if finding else 0
        for kind, finding in findings.items():
            if finding and self._suspicions[kind] >= self.patience:
                self._roll_back(step, finding)
                return
        if not any(findings.values()):
            self._keep(step)

    def _collapse(self) -> str | None:
        """Names the class whose samples are most alike, if they are too much so."""
        labels = np.repeat(np.fromiter(self._real_spread, np.int32), self.samples_per_class)
        images = self.model.generate(labels, seed=self.seed)
        spreads = self._spreads(images, labels)
        diversity = {
            label: spreads.get(label, 0.0) / real for label, real in self._real_spread.items()
        }
        worst = min(diversity, key=diversity.__getitem__)
        if diversity[worst] >= self.least_diversity:
            return None
        return f"class {worst} has collapsed to {diversity[worst]:.0%} of the real diversity"

    def _discriminator_won(self, means: dict[str, float]) -> str | None:
        """Tells whether the logits lie too far apart while the generator's loss grows."""
        gap = means.get("real_logits", 0.0) - means.get("fake_logits", 0.0)
        loss, before = means.get("generator_loss"), self._generator_loss
        self._generator_loss = loss
        growing = loss is not None and before is not None and loss > before
        if not growing or gap <= self.largest_gap:
            return None
        return f"the discriminator has won (gap of logits {gap:.1f}, generator loss growing)"

    def _spreads(self, images: np.ndarray, labels: np.ndarray) -> dict[int, float]:
        """Returns the root-mean-square distance between two samples of each class, if not 0."""
        features = images if self.extractor is None else self.extractor(images)
        features = np.asarray(features, np.float64).reshape(len(images), -1)
        spreads = {}
        for label in np.unique(labels[labels >= 0]):
            rows = features[labels == label]
            if len(rows) > 1:
                spreads[int(label)] = float(np.sqrt(2.0 * rows.var(axis=0, ddof=1).sum()))
        return {label: spread for label, spread in spreads.items() if spread > 0.0}

    def _keep(self, step: int) -> None:
        state = model_state(self.model)
        if all(np.isfinite(array).all() for array in state.values() if array.dtype.kind == "f"):
            self._good_state, self._good_step = state, step

    def _optimizers(self) -> tuple[keras.Optimizer, keras.Optimizer]:
        return self.model.generator_optimizer, self.model.discriminator_optimizer

    def _roll_back(self, step: int, reason: str) -> None:
        if len(self.events) >= self.max_rollbacks:
            raise RunFailedError(
                f"The GAN did not train after {self.max_rollbacks} rollbacks. Received at step "
                f"{step}: {reason}. Lower the learning rate, or strengthen the augmentation."
            )
        rates = [learning_rate_of(optimizer) for optimizer in self._optimizers()]
        counters = [(each, each.numpy()) for each in (self.model.step, self.model.samples_seen)]
        restore_model_state(self.model, self._good_state)
        for counter, value in counters:
            counter.assign(value)
        for optimizer, rate in zip(self._optimizers(), rates, strict=True):
            optimizer.learning_rate = rate * _LEARNING_RATE_FACTOR
        self.model.reset_metrics()
        self._means = IntervalMeans()
        self._suspicions = dict.fromkeys(self._suspicions, 0)
        self._generator_loss = None
        self.events.append({"step": step, "back_to": self._good_step, "reason": reason})
        logger.warning("The GAN was rolled back. %s", self.interventions[-1])

    def get_state(self) -> dict[str, Any]:
        """Returns what a checkpoint must carry: the last good state and what has been noticed."""
        return {
            "events": list(self.events),
            "suspicions": dict(self._suspicions),
            "generator_loss": self._generator_loss,
            "means": self._means.get_state(),
            "good_step": self._good_step,
            **{f"good/{name}": array for name, array in self._good_state.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `get_state` returned."""
        self.events = list(state["events"])
        self._suspicions = dict(state["suspicions"])
        self._generator_loss = state["generator_loss"]
        self._means.set_state(state["means"])
        self._good_step = state["good_step"]
        self._good_state = {
            name.removeprefix("good/"): np.asarray(array)
            for name, array in state.items()
            if name.startswith("good/")
        }
