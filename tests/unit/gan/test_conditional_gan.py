import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.forms import Forms
from keras_ganaccel.gan.minibatch import draw, unpack
from keras_ganaccel.gan.networks import build_discriminator, build_generator
from keras_ganaccel.modality.image.spec import DataSpec

pytestmark = pytest.mark.train

SHAPE = (2, 2, 1)
RNG = np.random.default_rng(0)
# Relaxed, as the networks take them, and as users give them.
RELAXED = RNG.uniform(-1, 1, (12, *SHAPE)).astype("float32")
X = (RELAXED + 1) / 2
Y = np.arange(12) % 3


def linear_networks():
    """A generator and a discriminator whose gradients can be written down."""
    latent, label = keras.Input((3,), name="latent"), keras.Input((), dtype="int32", name="label")
    offset = keras.layers.Embedding(3, 4, name="class")(label)
    image = keras.layers.Dense(4, use_bias=False, name="g")(latent)
    image = keras.layers.Reshape(SHAPE, name="r")(keras.layers.Add(name="sum")([image, offset]))
    generator = keras.Model([latent, label], image, name="generator")
    shown, judged = keras.Input(SHAPE, name="image"), keras.Input((), dtype="int32", name="as")
    logit = keras.layers.Dense(1, use_bias=False, name="d")(keras.layers.Flatten(name="f")(shown))
    logit = keras.layers.Reshape((), name="logit")(logit)
    return generator, keras.Model([shown, judged], logit, name="discriminator")


def linear_gan(compiled=True, rate=0.1, **options):
    keras.utils.set_random_seed(1)
    options = {
        "objective": "wasserstein",
        "augmentation": (),
        "r1_weight": 0.0,
        "r2_weight": 0.0,
        "seed": 5,
        **options,
    }
    gan = ConditionalGAN(*linear_networks(), latent_dim=3, num_classes=3, **options)
    if compiled:
        gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    return gan


def fakes(gan, purpose, x=X, y=Y, seen=0):
    draws = draw(5, purpose, unpack((x, y), seen, Forms(), num_classes=3), 3, tf.ones(3) / 3)
    kernel, table = gan.generator.get_layer("g").kernel, gan.generator.get_layer("class").embeddings
    flat = draws.latents.numpy() @ kernel.numpy() + table.numpy()[draws.classes.numpy()]
    return draws, flat


def _of(part, positions):
    data = (X[part::2], Y[part::2], positions)
    return unpack(data, 0, Forms(), num_classes=3)


def critic(gan):
    return gan.discriminator.get_layer("d").kernel.numpy()[:, 0].copy()


def test_a_step_is_the_gradient_descent_written_down():
    gan = linear_gan()
    before, kernel = critic(gan), gan.generator.get_layer("g").kernel.numpy()
    _, fake = fakes(gan, "discriminator")
    draws, _ = fakes(gan, "generator")
    gan.train_on_batch(X, Y)
    expected = before - 0.1 * (fake.mean(0) - RELAXED.reshape(12, 4).mean(0))
    np.testing.assert_allclose(critic(gan), expected, rtol=1e-5, atol=1e-6)
    gradient = -draws.latents.numpy().mean(0)[:, None] * expected
    np.testing.assert_allclose(
        gan.generator.get_layer("g").kernel.numpy(), kernel - 0.1 * gradient, rtol=1e-4, atol=1e-6
    )
    assert (int(gan.step), int(gan.samples_seen)) == (1, 12)


def test_lazy_penalties_weigh_as_often_as_they_are_left_out():
    """The gradient of |w|^2 is 2w: on real and generated samples, times weight and interval."""
    gan = linear_gan(r1_weight=0.3, r2_weight=0.2, penalty_interval=3, rate=0.01)
    plain = linear_gan(rate=0.01)
    for step in range(1, 4):
        gan.train_on_batch(X, Y)
        plain.train_on_batch(X, Y)
        if step < 3:
            np.testing.assert_allclose(critic(gan), critic(plain), rtol=1e-6)
    np.testing.assert_allclose(
        critic(gan), critic(plain) * (1 - 0.01 * 3 * 2 * (0.3 + 0.2)), rtol=1e-5
    )
    assert float(gan.meters["r1_penalty"].result()) == pytest.approx(
        np.sum(critic(plain) ** 2), rel=1e-5
    )


def test_eager_penalties_are_part_of_the_loss():
    gan, plain = linear_gan(r1_weight=0.3, penalty_interval=1), linear_gan()
    before = critic(gan)
    gan.train_on_batch(X, Y)
    plain.train_on_batch(X, Y)
    np.testing.assert_allclose(critic(gan), critic(plain) - 0.1 * 0.3 * 2 * before, rtol=1e-5)


def test_the_optimisers_are_corrected_for_lazy_penalties():
    gan = linear_gan(compiled=False, r1_weight=1.0, penalty_interval=4)
    gan.compile(learning_rate=1e-3, beta_1=0.5, beta_2=0.9)
    lazy, plain = gan.discriminator_optimizer, gan.generator_optimizer
    assert float(lazy.learning_rate) == pytest.approx(8e-4)
    assert (lazy.beta_1, lazy.beta_2) == pytest.approx((0.5**0.8, 0.9**0.8))
    assert (plain.beta_1, plain.beta_2) == (0.5, 0.9)
    gan = linear_gan(compiled=False, r1_weight=1.0, penalty_interval=1)
    gan.compile(learning_rate=1e-3)
    assert float(gan.discriminator_optimizer.learning_rate) == pytest.approx(1e-3)


def test_several_discriminator_steps_deal_the_batch_out():
    gan = linear_gan(discriminator_steps=2)
    weights = critic(gan)
    for part in (0, 1):
        positions = np.arange(12)[part::2]
        draws = draw(5, "discriminator", _of(part, positions), 3, tf.ones(3) / 3)
        fake = gan.generator([draws.latents, draws.classes]).numpy().reshape(6, 4)
        weights -= 0.1 * (fake.mean(0) - RELAXED[part::2].reshape(6, 4).mean(0))
    gan.train_on_batch(X, Y)
    np.testing.assert_allclose(critic(gan), weights, rtol=1e-5, atol=1e-6)
    assert int(gan.step) == 1


def test_a_shared_pass_uses_the_discriminators_noise():
    gan = linear_gan(shared_generator_pass=True)
    kernel = gan.generator.get_layer("g").kernel.numpy()
    draws, _ = fakes(gan, "discriminator")
    gan.train_on_batch(X, Y)
    gradient = -draws.latents.numpy().mean(0)[:, None] * critic(gan)
    np.testing.assert_allclose(
        gan.generator.get_layer("g").kernel.numpy(), kernel - 0.1 * gradient, rtol=1e-4, atol=1e-6
    )


def test_steps_per_execution_change_nothing():
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat(3)
    states = []
    for steps in (1, 4):
        gan = linear_gan(compiled=False, r1_weight=1.0, penalty_interval=2)
        gan.compile(steps_per_execution=steps)
        history = gan.fit(batches, verbose=0).history
        states.append([*gan.get_weights(), *(value[0] for value in history.values())])
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_evaluate_reports_the_losses_of_the_averaged_generator():
    gan = linear_gan(r1_weight=1.0)
    result = gan.evaluate(X, Y, batch_size=5, verbose=0, return_dict=True)
    draws, fake = fakes(gan, "test")
    real_logits, fake_logits = RELAXED.reshape(12, 4) @ critic(gan), fake @ critic(gan)
    assert result == pytest.approx(
        {
            "generator_loss": -fake_logits.mean(),
            "discriminator_loss": (fake_logits - real_logits).mean(),
            "real_logits": real_logits.mean(),
            "fake_logits": fake_logits.mean(),
            "r1_penalty": np.sum(critic(gan) ** 2),
        },
        rel=1e-4,
        abs=1e-6,
    )
    assert draws.latents.shape == (12, 3)


def test_the_average_follows_with_its_half_life():
    gan = linear_gan(ema_half_life=12, ema_warm_up=1.0)
    old = gan.generator.get_layer("g").kernel.numpy()
    gan.train_on_batch(X, Y)
    new = gan.generator.get_layer("g").kernel.numpy()
    np.testing.assert_allclose(
        gan.ema_generator.get_layer("g").kernel.numpy(), (old + new) / 2, rtol=1e-5, atol=1e-7
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    spec = DataSpec(8, 8, 1, ("a", "b", "c"))
    gan = ConditionalGAN(
        build_generator(spec, 4, architecture="subpixel", width=4),
        build_discriminator(spec, architecture="convolutional", width=4),
        latent_dim=4,
        num_classes=3,
        adaptive_augmentation=True,
        lecam_weight=0.1,
    )
    gan.compile(steps_per_execution=2)
    x = RNG.uniform(0, 1, (24, 8, 8, 1)).astype("float32")
    y = np.arange(24) % 4 - 1
    gan.fit(x, y, batch_size=6, verbose=0, shuffle=False)
    return gan, x, y


def test_a_sample_depends_on_seed_index_and_label_alone(trained):
    gan, _, _ = trained
    labels = np.arange(30) % 3
    samples = gan.generate(labels, seed=9)
    assert samples.shape == (30, 8, 8, 1)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 1
    for size in (1, 7, 30):
        np.testing.assert_allclose(
            gan.generate(labels, seed=9, batch_size=size), samples, atol=1e-5
        )
    np.testing.assert_allclose(
        gan.generate(labels[20:], seed=9, start_index=20), samples[20:], atol=1e-5
    )
    by_hand = gan.generate_from_latents(gan.latents(9, np.arange(30)), labels)
    np.testing.assert_allclose(by_hand, samples, atol=1e-5)
    assert not np.allclose(gan.generate(labels, seed=10), samples)
    assert gan.generate([]).shape == (0, 8, 8, 1)


def test_no_truncation_left_is_the_mean_noise(trained):
    gan, _, _ = trained
    samples = gan.generate([1, 1], truncation=0.0)
    np.testing.assert_allclose(samples[0], samples[1], atol=1e-6)


@pytest.mark.parametrize("labels", [[3], [-1], [0.5], [[0]]])
def test_labels_that_are_no_classes_are_refused(trained, labels):
    with pytest.raises(InvalidInputError, match="Labels to generate"):
        trained[0].generate(labels)


def test_a_saved_model_trains_on_as_if_nothing_had_happened(trained, tmp_path):
    gan, x, y = trained
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(loaded.generate([0, 1, 2]), gan.generate([0, 1, 2]))
    for model in (gan, loaded):
        model.fit(x, y, batch_size=6, verbose=0, shuffle=False)
    for one, other in zip(gan.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded.get_config()["augmentation"] == ["translation"]


@pytest.mark.bfloat16
def test_bfloat16_keeps_losses_in_float32_and_trains():
    spec = DataSpec(8, 8, 1, ("a", "b"))
    gan = ConditionalGAN(
        build_generator(spec, 4, architecture="subpixel", width=4, dtype="mixed_bfloat16"),
        build_discriminator(spec, architecture="convolutional", width=4, dtype="mixed_bfloat16"),
        latent_dim=4,
        num_classes=2,
        penalty_interval=1,
    )
    gan.compile()
    before = gan.generator.get_weights()
    history = gan.fit(np.zeros((8, 8, 8, 1)), np.zeros(8), batch_size=8, verbose=0).history
    assert np.isfinite([values[0] for values in history.values()]).all()
    assert {variable.dtype for variable in gan.generator.variables} == {"float32"}
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(before, gan.generator.get_weights(), strict=True)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "hing"}, "Did you mean 'hinge'"),
        ({"penalty_interval": 0}, "`penalty_interval` must be at least 1"),
        ({"r1_weight": float("nan")}, "`r1_weight` must be at least 0"),
        ({"augmentation": ["zoom"]}, "Unknown augmentation"),
        ({"latent_dim": 4}, r"latent of shape \(batch, 4\)"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, message):
    with pytest.raises(InvalidInputError, match=message) as error:
        ConditionalGAN(*linear_networks(), **{"latent_dim": 3, "num_classes": 3, **options})
    assert "\n" not in str(error.value)


def test_networks_that_do_not_fit_are_refused():
    generator, discriminator = linear_networks()
    with pytest.raises(InvalidInputError, match="two inputs"):
        latent = keras.Input((3,))
        ConditionalGAN(keras.Model(latent, latent), discriminator, 3, 3)
    other = build_discriminator(DataSpec(8, 8, 1, ("a",)), width=4)
    with pytest.raises(InvalidInputError, match="what the generator makes"):
        ConditionalGAN(generator, other, 3, 3)
    with pytest.raises(InvalidInputError, match="functional"):
        ConditionalGAN(lambda x: x, discriminator, 3, 3)
