"""The conditional GAN as one Keras model: two networks, two optimisers, one averaged generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from keras_ganaccel.classifier.targets import class_numbers
from keras_ganaccel.data.spec import Spec
from keras_ganaccel.distribution import learning_rate_of
from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.adversarial import AdversarialTrainer
from keras_ganaccel.gan.ema import averaging_copy
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.gan.losses import get_objective
from keras_ganaccel.gan.noise import noise_rows
from keras_ganaccel.gan.options import GanOptions, check_networks
from keras_ganaccel.gan.sampling import Sampler, check_draw, check_labels
from keras_ganaccel.modality.registry import spec_from_dict


class Counter(keras.Variable):
    """An integer variable that `int()` takes under every strategy."""

    def __init__(self, name: str) -> None:
        super().__init__(0, dtype="int64", trainable=False, autocast=False, name=name)

    def __int__(self) -> int:
        return int(self.numpy())


@keras.saving.register_keras_serializable(package="keras_ganaccel")
class ConditionalGAN(AdversarialTrainer):
    """A conditional GAN that trains by `fit`, on any strategy, from fully or partly labelled data.

    A step updates the discriminator, then the generator, then the average of the generator's
    weights, which is what `generate` uses. A generated sample carries the class of the real one
    that it is paired with; beside an unlabelled one (label -1) stands a sample of a random class,
    which the discriminator judges without its label as well.

    Args:
        generator: Functional model from ``[latent (batch, latent_dim), label (batch,)]`` to
            relaxed samples ``(batch, *sample_shape)``, as `build_generator` makes it.
        discriminator: Functional model from ``[relaxed sample, label]`` to logits, shape
            ``(batch,)`` or ``(batch, heads)``; label -1 means unlabelled.
        latent_dim: Length of the noise vector.
        num_classes: The number of classes.
        spec: The description of the data, which leads from encoded samples to the networks' form
            and back; None for images, which need none.
        objective: A name out of `losses.OBJECTIVES`.
        r1_weight: Weight of the gradient penalty on real samples, at least 0.
        r2_weight: Weight of the gradient penalty on generated samples, at least 0.
        wgan_gp_weight: Weight of the WGAN-GP penalty (arXiv 1704.00028), at least 0.
        penalty_interval: Steps between two evaluations of the penalties. Above 1 they are updates
            of their own, with the interval as a further weight (StyleGAN2, arXiv 1912.04958).
        lecam_weight: Weight of LeCam regularisation (arXiv 2104.03310), at least 0.
        augmentation: DiffAugment policies of the modality; for images out of translation, cutout,
            colour, flip.
        adaptive_augmentation: Adjust the augmentation's strength to the overfitting, from 0 on
            (arXiv 2006.06676); otherwise it is applied to every sample, and then it leaks into the
            generated ones.
        ema_half_life: Samples after which an old generator weight counts half in the average; 0
            for no averaging.
        ema_warm_up: The half-life is at most this share of the samples seen.
        discriminator_steps: Discriminator updates per generator update; the samples of a batch
            are dealt out over them.
        shared_generator_pass: The last discriminator update and the generator update share one
            generator pass.
        seed: Seed of the noise and the augmentation.
        name: The model's name.

    Raises:
        InvalidInputError: An option is out of its range, or the networks do not fit.

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> spec = ga.DataSpec(8, 8, 1, ("zero", "one"))
        >>> networks = ga.build_generator(spec, 16, width=8), ga.build_discriminator(spec, width=8)
        >>> gan = ga.ConditionalGAN(*networks, latent_dim=16, num_classes=2)
        >>> gan.compile()
        >>> history = gan.fit(np.zeros((32, 8, 8, 1)), np.zeros(32), batch_size=16, verbose=0)
        >>> gan.generate([0, 1, 1]).shape
        (3, 8, 8, 1)
    """

    directions: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("kid", "kid_stderr", "generator_loss", "discriminator_loss"), "min"
    )
    needs_channels = True

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        latent_dim: int,
        num_classes: int,
        *,
        spec: Spec | None = None,
        objective: str = "relativistic",
        r1_weight: float = 10.0,
        r2_weight: float = 10.0,
        wgan_gp_weight: float = 0.0,
        penalty_interval: int = 4,
        lecam_weight: float = 0.0,
        augmentation: Sequence[str] = ("translation",),
        adaptive_augmentation: bool = True,
        ema_half_life: float = 5000,
        ema_warm_up: float = 0.05,
        discriminator_steps: int = 1,
        shared_generator_pass: bool = False,
        seed: int = 0,
        name: str = "conditional_gan",
    ) -> None:
        super().__init__(name=name)
        check_networks(generator, discriminator, latent_dim)
        self.options = GanOptions(
            latent_dim=latent_dim,
            num_classes=num_classes,
            objective=objective,
            r1_weight=r1_weight,
            r2_weight=r2_weight,
            wgan_gp_weight=wgan_gp_weight,
            penalty_interval=penalty_interval,
            lecam_weight=lecam_weight,
            augmentation=tuple(augmentation),
            adaptive_augmentation=adaptive_augmentation,
            ema_half_life=ema_half_life,
            ema_warm_up=ema_warm_up,
            discriminator_steps=discriminator_steps,
            shared_generator_pass=shared_generator_pass,
            seed=seed,
        )
        self.forms = Forms(spec)
        self.generator = generator
        self.discriminator = discriminator
        self.ema_generator = averaging_copy(generator)
        self.objective = get_objective(objective)
        self.meters = {
            name: keras.metrics.Mean(name=name, dtype="float32")
            for name in self.options.metric_names
        }
        self._sampler = Sampler(self.ema_generator, latent_dim, self.forms)
        self._add_state()
        self.built = True

    def _add_state(self) -> None:
        """Adds what training changes beside the networks."""
        #: Generator updates so far.
        self.step = Counter("step")
        self.samples_seen = Counter("samples_seen")
        self.samples_evaluated = Counter("samples_evaluated")
        self.augmentation_strength = self._state(
            "augmentation_strength", value=0.0 if self.options.adapts else 1.0
        )
        # Moving means of the real and the fake logits, for LeCam.
        self.logit_anchors = self._state("logit_anchors", shape=(2,))
        #: How often each class is generated beside unlabelled samples.
        classes = self.options.num_classes
        self.class_probabilities = self._state(
            "class_probabilities", shape=(classes,), value=1.0 / classes
        )

    def _state(self, name: str, shape: tuple[int, ...] = (), value: float = 0.0) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            dtype="float32",
            initializer=keras.initializers.Constant(value),
            trainable=False,
            autocast=False,
        )

    @property
    def latent_dim(self) -> int:
        """Length of the noise vector."""
        return self.options.latent_dim

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.options.num_classes

    def compile(
        self,
        generator_optimizer: Any = None,
        discriminator_optimizer: Any = None,
        *,
        learning_rate: float = 1e-3,
        beta_1: float = 0.0,
        beta_2: float = 0.99,
        steps_per_execution: int = 1,
        run_eagerly: bool = False,
        jit_compile: bool | str = False,
        **others: Any,
    ) -> None:
        """Prepares training; call it inside the scope of the strategy that trains.

        The default optimisers are Adam. With lazy penalties the discriminator's makes ``k + 1``
        updates in ``k`` steps, and its rates are corrected for that as in StyleGAN2: the learning
        rate times ``c``, the betas to the power of ``c``, with ``c = k / (k + 1)``.

        Args:
            generator_optimizer: A Keras optimizer; None makes the default one.
            discriminator_optimizer: A Keras optimizer, used as it is; None makes the default one.
            learning_rate: Learning rate of the default optimisers.
            beta_1: Adam's, in the default optimisers.
            beta_2: Adam's, in the default optimisers.
            steps_per_execution: Steps per call into TensorFlow.
            run_eagerly: Run step by step in Python, for debugging.
            jit_compile: Compile with XLA; on a single device only, and slower on a CPU.
            **others: None: what `keras.Model.compile` takes and a GAN has not.

        Raises:
            InvalidInputError: One optimizer for both networks, or a loss or metrics.
        """
        given = sorted(name for name, value in others.items() if value is not None)
        if given or (
            isinstance(generator_optimizer, keras.Optimizer)
            and generator_optimizer is discriminator_optimizer
        ):
            raise InvalidInputError(
                "A GAN has two optimizers, and losses and metrics of its own. Received: "
                f"{', '.join(given) or 'one optimizer for both networks'}. Pass "
                "generator_optimizer= and discriminator_optimizer=."
            )
        super().compile(
            optimizer=None,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile is True,
        )
        interval = self.options.penalty_interval
        correction = interval / (interval + 1) if self.options.lazy else 1.0
        self.generator_optimizer = _optimizer(
            generator_optimizer, "generator_optimizer", learning_rate, beta_1, beta_2
        )
        self.discriminator_optimizer = _optimizer(
            discriminator_optimizer,
            "discriminator_optimizer",
            learning_rate * correction,
            beta_1**correction,
            beta_2**correction,
        )
        with self.distribute_strategy.scope():
            self.generator_optimizer.build(self.generator.trainable_variables)
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)
        self.optimizer = BothOptimizers(self.generator_optimizer, self.discriminator_optimizer)

    @property
    def sample_shape(self) -> tuple[int | None, ...]:
        """What one sample is shaped like."""
        return tuple(self.generator.output_shape[1:])

    def check_data(self, given: Mapping[str, Any]) -> None:
        """Refuses arrays that are no encoded samples, or no labels.

        Raises:
            InvalidInputError: There are such samples or labels.
        """
        x, y = given.get("x"), given.get("y")
        if isinstance(x, (np.ndarray, list, tf.Tensor)):
            self.forms.check(x)
        if y is not None:
            class_numbers(y, self.num_classes)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Exports the averaged generator, from latents and labels to relaxed samples.

        Args:
            filepath: Where to.
            *args: See `keras.Model.export`.
            **kwargs: See `keras.Model.export`.
        """
        self.ema_generator.export(filepath, *args, **kwargs)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the model, as `predict` does too; see `call`.

        Args:
            inputs: Noise ``(n, latent_dim)`` and classes ``(n,)``.
            *args: See `keras.Model.__call__`.
            **kwargs: See `keras.Model.__call__`.

        Raises:
            InvalidInputError: It is one array, such as of samples.
        """
        if hasattr(inputs, "shape"):
            raise InvalidInputError(
                "A GAN generates samples, from noise and classes. Received: an array of shape "
                f"{tuple(inputs.shape)}. Call generate(labels)."
            )
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Makes encoded samples of ``[latent, label]`` with the averaged weights."""
        return self.harden(tf.cast(self.ema_generator(inputs, training=False), tf.float32))

    def harden(self, relaxed: Any) -> Any:
        """Maps what the generator itself returns, arrays or tensors, to encoded samples."""
        return self.forms.harden(relaxed)

    def latents(self, seed: int, indices: Any) -> np.ndarray:
        """Returns the noise behind the samples of `generate`.

        Args:
            seed: As in `generate`.
            indices: Positions of the samples, integer, shape ``(n,)``.

        Returns:
            float32, shape ``(n, latent_dim)``.
        """
        return noise_rows(seed, indices, self.latent_dim).numpy()

    def generate(
        self,
        labels: Any,
        seed: int | None = None,
        *,
        start_index: int = 0,
        truncation: float = 1.0,
        batch_size: int = 256,
    ) -> np.ndarray:
        """Generates samples with the averaged weights, in inference mode.

        Sample ``i`` depends on the seed, ``start_index + i`` and its label alone.

        Args:
            labels: Classes to generate, integers in 0..num_classes-1, shape ``(n,)``.
            seed: Seed of the noise; None takes the model's.
            start_index: Index of the first sample.
            truncation: Factor on the noise; below 1 samples are more typical and less diverse.
            batch_size: Samples per call into TensorFlow.

        Returns:
            Encoded samples, float32, shape ``(n, *sample_shape)``, like those it learnt from.

        Raises:
            InvalidInputError: A label is no class of the GAN, or an option no whole number.
        """
        classes = check_labels(labels, self.num_classes)
        check_draw(self.options.seed if seed is None else seed, batch_size)
        indices = np.arange(start_index, start_index + len(classes), dtype=np.int64)
        seed = self.options.seed if seed is None else seed
        return self._sampler.samples(seed, indices, classes, truncation, batch_size)

    def generate_from_latents(
        self, latents: np.ndarray, labels: Any, *, batch_size: int = 256
    ) -> np.ndarray:
        """Generates from given noise, shape ``(n, latent_dim)``; otherwise like `generate`."""
        classes = check_labels(labels, self.num_classes)
        return self._sampler.from_latents(np.asarray(latents, np.float32), classes, batch_size)

    def get_config(self) -> dict[str, Any]:
        """Returns both networks and all options, for `from_config`."""
        return {
            "name": self.name,
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "spec": None if self.forms.spec is None else self.forms.spec.to_dict(),
            **self.options.as_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ConditionalGAN:
        """Makes an untrained model from what `get_config` returned."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("generator", "discriminator")
        }
        described = config.get("spec")
        spec = None if described is None else spec_from_dict(described)
        return cls(**{**config, **networks, "spec": spec})

    def get_compile_config(self) -> dict[str, Any]:
        """Returns both optimisers and the way of execution, for `compile_from_config`."""
        if not self.compiled:
            return {}
        serialize = keras.optimizers.serialize
        return {
            "generator_optimizer": serialize(self.generator_optimizer),
            "discriminator_optimizer": serialize(self.discriminator_optimizer),
            "steps_per_execution": self.steps_per_execution,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with what `get_compile_config` returned."""
        self.compile(**config)


class BothOptimizers:
    """What callbacks find as a GAN's `optimizer`: the learning rates of both networks at once.

    Args:
        generator: The generator's optimizer, whose learning rate it shows.
        discriminator: The discriminator's, whose learning rate keeps its ratio to that.
    """

    #: Keras' `summary` asks for it; `compile` has built both.
    built = True

    def __init__(self, generator: keras.Optimizer, discriminator: keras.Optimizer) -> None:
        self._generator, self._discriminator = generator, discriminator
        rate = learning_rate_of(generator)
        self._ratio = learning_rate_of(discriminator) / rate if rate > 0 else 1.0

    @property
    def iterations(self) -> keras.Variable:
        """Updates of the generator."""
        return self._generator.iterations

    @property
    def variables(self) -> list[keras.Variable]:
        """Those of both."""
        return [*self._generator.variables, *self._discriminator.variables]

    @property
    def learning_rate(self) -> Any:
        """The generator's; setting it sets the discriminator's in the ratio of `compile`."""
        return self._generator.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self._generator.learning_rate = rate
        self._discriminator.learning_rate = rate * self._ratio


def _optimizer(
    given: Any, name: str, learning_rate: float, beta_1: float, beta_2: float
) -> keras.Optimizer:
    if given is None:
        return keras.optimizers.Adam(learning_rate, beta_1, beta_2, name=name)
    return keras.optimizers.get(given)
