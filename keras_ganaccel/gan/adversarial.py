"""The steps of adversarial training: how networks, average and counters change with a batch."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_ganaccel.distribution import (
    Trainer,
    global_batch_mean,
    global_batch_total,
)
from keras_ganaccel.gan import losses, minibatch
from keras_ganaccel.gan.augment import adapt_strength, diff_augment, overfitting_signal
from keras_ganaccel.gan.ema import average_decay, update_average
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.gan.minibatch import Batch, Draws
from keras_ganaccel.gan.options import GanOptions
from keras_ganaccel.gan.regularization import weighted_penalties


class AdversarialTrainer(Trainer):
    """The part of `ConditionalGAN` that trains and evaluates; the subclass makes what it uses.

    Attributes:
        options: Objective, weights, augmentation and the like.
        forms: What relaxes real samples and hardens generated ones.
        objective: The losses of both networks.
        generator: In training.
        discriminator: In training.
        ema_generator: The average of the generator over training.
        generator_optimizer: Made by `compile`.
        discriminator_optimizer: Made by `compile`.
        step: Generator updates so far.
        samples_seen: Real samples so far.
        samples_evaluated: Real samples so far in an evaluation.
        augmentation_strength: Probability of each augmentation policy.
        logit_anchors: Moving means of the real and the fake logits, for LeCam.
        class_probabilities: How often each class is generated beside unlabelled samples.
        meters: The metrics by name.
    """

    options: GanOptions
    forms: Forms
    objective: losses.Objective
    generator: keras.Model
    discriminator: keras.Model
    ema_generator: keras.Model
    generator_optimizer: keras.Optimizer
    discriminator_optimizer: keras.Optimizer
    step: keras.Variable
    samples_seen: keras.Variable
    samples_evaluated: keras.Variable
    augmentation_strength: keras.Variable
    logit_anchors: keras.Variable
    class_probabilities: keras.Variable
    meters: dict[str, keras.metrics.Mean]

    def distributed_train_step(self, data: Any) -> None:
        """One training step of all replicas, and the lazy penalties where they are due."""
        super().distributed_train_step(data)
        if self.options.lazy:
            tf.cond(
                tf.equal(self.step % self.options.penalty_interval, 0),
                lambda: self.run_on_replicas(self.penalty_step, data),
                lambda: None,
            )

    def train_step(self, data: Any) -> None:
        """Updates discriminator, generator, average and counters on one replica.

        Args:
            data: Encoded ``(samples, labels)``, optionally with the samples' integer positions.
        """
        batch = self._unpacked(data, self.samples_seen)
        *parts, last = minibatch.deal(batch, self.options.discriminator_steps)
        for part in parts:
            draws = self._draw("discriminator", part)
            self._update_discriminator(part, draws, self._generate(draws))

        draws = self._draw("discriminator", last)
        if self.options.shared_generator_pass:
            with tf.GradientTape() as tape:
                fake = self._generate(draws)
            self._update_discriminator(last, draws, tf.stop_gradient(fake))
        else:
            self._update_discriminator(last, draws, self._generate(draws))
            draws = self._draw("generator", last)
            with tf.GradientTape() as tape:
                fake = self._generate(draws)
        self._update_generator(last, draws, fake, tape)

        self.step.assign_add(1)
        self.samples_seen.assign_add(batch.size)
        decay = average_decay(
            self.options.ema_half_life, self.options.ema_warm_up, self.samples_seen, batch.size
        )
        update_average(self.ema_generator, self.generator, decay)

    def penalty_step(self, data: Any) -> None:
        """Updates the discriminator by the lazy penalties, on one replica, after its step."""
        batch = self._unpacked(data, self.samples_seen, counted=True)
        part = minibatch.deal(batch, self.options.discriminator_steps)[-1]
        draws = self._draw("penalty", part)
        fake = self._generate(draws)
        with tf.GradientTape() as tape:
            loss = self._penalty_loss(part, draws, fake) * self.options.penalty_interval
        self._apply(self.discriminator_optimizer, self.discriminator, tape, loss)

    def test_step(self, data: Any) -> None:
        """Evaluates losses and penalties of the averaged generator, without augmentation.

        Args:
            data: As in `train_step`.
        """
        batch = self._unpacked(data, self.samples_evaluated)
        self.samples_evaluated.assign_add(batch.size)
        draws = self._draw("test", batch)
        fake = self.ema_generator([draws.latents, draws.classes], training=False)

        def logits(samples: tf.Tensor, labels: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            return self.discriminator([samples, labels], training=False)

        real_logits = logits(batch.samples, batch.labels, draws.real)
        fake_logits = logits(fake, batch.labels, draws.fake)
        self._report(
            discriminator_loss=self.objective.discriminator_loss(real_logits, fake_logits),
            generator_loss=self.objective.generator_loss(real_logits, fake_logits),
            real_logits=losses.head_mean(real_logits),
            fake_logits=losses.head_mean(fake_logits),
            augmentation_strength=self._strength_of(batch),
        )
        if self.options.has_penalties:
            _, values = weighted_penalties(self.options, logits, batch, draws, fake)
            self._report(**values)

    def _unpacked(self, data: Any, samples_seen: Any, *, counted: bool = False) -> Batch:
        return minibatch.unpack(
            data,
            samples_seen,
            self.forms,
            num_classes=self.options.num_classes,
            counted=counted,
        )

    def _draw(self, purpose: str, batch: Batch) -> Draws:
        return minibatch.draw(
            self.options.seed,
            purpose,
            batch,
            self.options.latent_dim,
            tf.convert_to_tensor(self.class_probabilities),
        )

    def _generate(self, draws: Draws) -> tf.Tensor:
        samples = self.generator([draws.latents, draws.classes], training=True)
        return tf.cast(samples, tf.float32)

    def _logits(self, samples: tf.Tensor, labels: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        """The discriminator's float32 logits of augmented samples."""
        strength = tf.convert_to_tensor(self.augmentation_strength)
        samples = diff_augment(samples, self.options.augmentation, uniforms, strength)
        return tf.cast(self.discriminator([samples, labels], training=True), tf.float32)

    def _update_discriminator(self, batch: Batch, draws: Draws, fake: tf.Tensor) -> None:
        # One pass over both, so that a layer that mixes samples cannot tell them by their batch.
        samples = tf.concat([batch.samples, fake], 0)
        labels = tf.concat([batch.labels, batch.labels], 0)
        uniforms = tf.concat([draws.real, draws.fake], 0)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = tf.split(self._logits(samples, labels, uniforms), 2)
            per_pair = self.objective.discriminator_loss(real_logits, fake_logits)
            regularized = per_pair
            if self.options.lecam_weight > 0:
                anchors = tf.unstack(self.logit_anchors)
                regularized += self.options.lecam_weight * losses.lecam(
                    real_logits, fake_logits, *anchors
                )
            loss = global_batch_mean(regularized, batch.size)
            if self.options.has_penalties and not self.options.lazy:
                loss += self._penalty_loss(batch, draws, fake)
        self._apply(self.discriminator_optimizer, self.discriminator, tape, loss)
        self._follow(real_logits, fake_logits, batch)
        self._report(
            discriminator_loss=per_pair,
            real_logits=losses.head_mean(real_logits),
            fake_logits=losses.head_mean(fake_logits),
            augmentation_strength=self._strength_of(batch),
        )

    def _penalty_loss(self, batch: Batch, draws: Draws, fake: tf.Tensor) -> tf.Tensor:
        weighted, values = weighted_penalties(self.options, self._logits, batch, draws, fake)
        self._report(**values)
        return global_batch_mean(weighted, batch.size)

    def _update_generator(
        self, batch: Batch, draws: Draws, fake: tf.Tensor, generator_tape: tf.GradientTape
    ) -> None:
        real_logits = tf.zeros(())
        if self.objective.generator_uses_real:
            real_logits = tf.stop_gradient(self._logits(batch.samples, batch.labels, draws.real))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(fake)
            fake_logits = self._logits(fake, batch.labels, draws.fake)
            per_pair = self.objective.generator_loss(real_logits, fake_logits)
            loss = global_batch_mean(per_pair, batch.size)
        variables = self.generator.trainable_variables
        gradients = generator_tape.gradient(
            fake, variables, output_gradients=tape.gradient(loss, fake)
        )
        self.generator_optimizer.apply(gradients, variables)
        self._report(generator_loss=per_pair)

    def _apply(
        self, optimizer: Any, network: keras.Model, tape: tf.GradientTape, loss: tf.Tensor
    ) -> None:
        variables = network.trainable_variables
        # A penalty does not depend on the last bias; Adam's moments shall decay there as well.
        gradients = tape.gradient(
            loss,
            [variable.value for variable in variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        optimizer.apply(gradients, variables)

    def _follow(self, real_logits: tf.Tensor, fake_logits: tf.Tensor, batch: Batch) -> None:
        """Moves what follows the logits of the global batch: augmentation and LeCam's anchors."""
        signal = overfitting_signal(real_logits, fake_logits)
        if self.options.adapts:
            mean = global_batch_total(global_batch_mean(signal, batch.size))
            self.augmentation_strength.assign(
                adapt_strength(
                    self.augmentation_strength, mean, samples=tf.cast(batch.size, tf.float32)
                )
            )
        if self.options.lecam_weight > 0:
            means = [global_batch_mean(logits, batch.size) for logits in (real_logits, fake_logits)]
            anchors = losses.moving_anchor(self.logit_anchors, global_batch_total(tf.stack(means)))
            self.logit_anchors.assign(anchors)

    def _strength_of(self, batch: Batch) -> tf.Tensor:
        """The augmentation's strength once per sample, so that replicas weigh as they should."""
        return tf.fill(tf.shape(batch.labels), tf.convert_to_tensor(self.augmentation_strength))

    def _report(self, **values: tf.Tensor) -> None:
        for name, value in values.items():
            if name in self.meters:
                self.meters[name].update_state(value)

    def reset_metrics(self) -> None:
        """Starts new means, and the evaluation's noise anew."""
        super().reset_metrics()
        self.samples_evaluated.assign(0)
