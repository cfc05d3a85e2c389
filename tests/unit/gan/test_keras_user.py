"""The GAN, written as people who know Keras write it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.train import train_gan

pytestmark = pytest.mark.train

SHAPE = (2, 2, 1)
X = np.random.default_rng(0).random((12, *SHAPE)).astype("float32")
Y = np.arange(12) % 3


def _networks(units=4):
    """Layers without names, as in a notebook's cell that is run twice."""
    latent, label = keras.Input((3,)), keras.Input((), dtype="int32")
    offset = keras.layers.Embedding(3, 4)(label)
    image = keras.layers.Add()([keras.layers.Dense(4)(keras.layers.Dense(units)(latent)), offset])
    shown, judged = keras.Input(SHAPE), keras.Input((), dtype="int32")
    logit = keras.layers.Dense(1)(keras.layers.Flatten()(shown))
    return (
        keras.Model([latent, label], keras.layers.Reshape(SHAPE)(image)),
        keras.Model([shown, judged], keras.layers.Reshape(())(logit)),
    )


def _gan(units=4, **options):
    keras.utils.set_random_seed(1)
    options = {"augmentation": (), "r1_weight": 0.0, "r2_weight": 0.0, **options}
    return ConditionalGAN(*_networks(units), latent_dim=3, num_classes=3, **options)


def _compiled(**options):
    gan = _gan()
    gan.compile(keras.optimizers.SGD(0.1, name="generator"), keras.optimizers.SGD(0.2), **options)
    return gan


@pytest.mark.parametrize("form", ["column", "one-hot", "float", "dataset"])
def test_every_form_of_labels_trains_alike(form):
    plain, other = _compiled(), _compiled()
    plain.fit(X, Y, batch_size=6, shuffle=False, verbose=0)
    one_hot = np.eye(3, dtype="int64")[Y]
    labels = {"column": Y[:, None], "one-hot": one_hot, "float": Y.astype("float32")}.get(form)
    if form == "dataset":
        data = tf.data.Dataset.from_tensor_slices((X, one_hot)).batch(6)
        other.fit(data, verbose=0)
    else:
        other.fit(X, labels, batch_size=6, shuffle=False, verbose=0)
        train_gan(other, X, labels, steps=1, batch_size=6)
        train_gan(plain, X, Y, steps=1, batch_size=6)
    for mine, theirs in zip(plain.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "line"),
    [
        (np.uint8(255 * X), Y, r"encoded samples, in \[0, 1\]"),
        (2 * X - 1, Y, "Pass what `data.arrays` gives"),
        (X * 3, Y, "encoded samples"),
        (np.full_like(X, np.nan), Y, "encoded samples"),
        (X, Y + 1, r"Labels must be whole numbers in 0\.\.2"),
        (X, np.full((12, 3), 1 / 3), "soft labels"),
        (X, np.array(["a", "b", "c"])[Y], "Labels must be numbers"),
    ],
)
def test_other_ranges_are_refused_before_the_first_step(x, y, line):
    gan = _compiled()
    for train in (
        lambda: gan.fit(x, y, verbose=0),
        lambda: train_gan(gan, x, y, steps=np.int64(1)),
    ):
        with pytest.raises(InvalidInputError, match=line) as refused:
            train()
        assert "\n" not in str(refused.value)
    assert int(gan.step) == 0


@pytest.mark.parametrize("change", [lambda x: 255 * x, lambda x: 2 * x - 1])
def test_a_dataset_of_another_range_is_refused(change):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(6).map(lambda x, y: (change(x), y))
    with pytest.raises(InvalidInputError, match=r"in \[0, 1\]") as refused:
        _compiled().fit(data, verbose=0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ((X[..., 0], Y), r", 2, 2\) for a model of samples \(2, 2, 1\)"),
        ((np.tile(X, (1, 2, 1, 1)), Y), r", 4, 2, 1\) for a model"),
        ((tf.data.Dataset.from_tensor_slices((X, Y)),), "Call .batch"),
        ((tf.data.Dataset.from_tensor_slices(X),), "Call .batch"),
        ((X, Y[:5]), "x of 12, y of 5"),
    ],
)
def test_samples_of_another_shape_are_refused_before_the_first_step(data, line):
    gan = _compiled()
    with pytest.raises(InvalidInputError, match=line) as refused:
        gan.fit(*data, verbose=0)
    assert "\n" not in str(refused.value)
    assert int(gan.step) == 0


def test_a_schedule_moves_both_learning_rates(tmp_path):
    gan = _compiled()
    history = gan.fit(
        X, Y, epochs=2, verbose=0, validation_data=(X, Y),
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1)),
            keras.callbacks.EarlyStopping("val_generator_loss"),
            keras.callbacks.ModelCheckpoint(str(tmp_path / "gan.keras")),
        ],
    ).history  # fmt: skip
    assert history["learning_rate"] == pytest.approx([0.5, 0.25])
    assert float(gan.generator_optimizer.learning_rate) == pytest.approx(0.25)
    assert float(gan.discriminator_optimizer.learning_rate) == pytest.approx(0.5)
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_allclose(loaded.generate(Y), gan.generate(Y), atol=1e-6)
    loaded.fit(X, Y, verbose=0)


def test_a_plateau_lowers_both_and_kid_is_better_when_it_is_less():
    gan = _compiled()
    plateau = keras.callbacks.ReduceLROnPlateau("generator_loss", factor=0.1, patience=0,
                                                min_delta=1e9)  # fmt: skip
    stopper = keras.callbacks.EarlyStopping("kid")
    log = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(kid=0.1 * (epoch + 1))
    )
    train_gan(gan, X, Y, steps=4, checkpoint_every=1, callbacks=[plateau, log, stopper])
    assert int(gan.step) == 2
    rates = [float(each.learning_rate) for each in
             (gan.generator_optimizer, gan.discriminator_optimizer)]  # fmt: skip
    assert rates[1] == pytest.approx(2 * rates[0])
    assert rates[0] < 0.1


@pytest.mark.parametrize("given", [{"optimizer": "adam"}, {"loss": "mse"}, {"metrics": ["mae"]}])
def test_what_a_gan_has_not_is_refused_in_compile(given):
    with pytest.raises(InvalidInputError, match="two optimizers"):
        _gan().compile(**given)
    one = keras.optimizers.Adam()
    with pytest.raises(InvalidInputError, match="two optimizers"):
        _gan().compile(one, one)


def test_a_later_batch_of_another_shape_is_refused_too():
    gan = _compiled()
    gan.fit(X, Y, verbose=0)
    with pytest.raises(InvalidInputError, match="do not fit the model"):
        gan.fit(np.repeat(X, 3, axis=-1), Y, verbose=0)
    assert int(gan.step) == 1


def test_what_a_classifier_would_do_is_answered_in_one_line():
    gan = _compiled()
    for call in (gan, gan.predict, gan.predict_on_batch):
        with pytest.raises(InvalidInputError, match=r"an array of shape .* Call generate"):
            call(X)
    noise, classes = gan.latents(0, range(4)), np.arange(4, dtype="int32") % 3
    np.testing.assert_allclose(
        gan.predict([noise, classes], verbose=0), gan.generate(classes, seed=0), atol=1e-6
    )
    gan.summary(print_fn=lambda *args, **kwargs: None)


@pytest.mark.parametrize(
    "options", [{"seed": "a"}, {"seed": 2**70}, {"seed": 0.5}, {"batch_size": 0}]
)
def test_a_draw_is_by_whole_numbers(options):
    with pytest.raises(InvalidInputError, match="must be a whole number"):
        _gan().generate([0, 1], **options)


def test_export_writes_the_averaged_generator(tmp_path):
    gan = _compiled()
    gan.fit(X, Y, verbose=0)
    gan.export(tmp_path / "saved", verbose=False)
    # Kept: its variables go with it.
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    latents = gan.latents(5, range(4))
    np.testing.assert_allclose(
        gan.harden(loaded.serve([latents, np.arange(4, dtype="int32") % 3])),
        gan.generate(np.arange(4) % 3, seed=5),
        atol=1e-5,
    )


def test_networks_of_ones_own_go_on_when_the_cell_is_run_again(tmp_path):
    def cell(steps, units=4):
        gan = _gan(units)
        train_gan(gan, X, Y, steps=steps, checkpoint_every=1, checkpoint_dir=tmp_path)
        return gan

    cell(1)
    assert int(cell(2).step) == 2
    with pytest.raises(Exception, match=r"another model.*dense/kernel"):
        cell(3, units=5)
