import keras
import numpy as np
import pytest

from keras_ganaccel.checkpoint import model_state
from keras_ganaccel.errors import CheckpointError, InvalidInputError
from keras_ganaccel.gan.conditional_gan import ConditionalGAN
from keras_ganaccel.gan.train import train_gan
from keras_ganaccel.gan.transfer import initialize_from

pytestmark = pytest.mark.train

RNG = np.random.default_rng(0)
X = RNG.random((20, 2, 2, 1)).astype("float32")
Y = np.array([0, 0, 0, 1] * 5)


def make_gan(classes=2, **options):
    keras.utils.set_random_seed(3)
    latent, label = keras.Input((3,), name="latent"), keras.Input((), dtype="int32", name="label")
    table = keras.layers.Embedding(classes, 4, name="class")(label)
    image = keras.layers.Dense(4, name="g")(latent)
    image = keras.layers.Reshape((2, 2, 1), name="r")(keras.layers.Add(name="s")([image, table]))
    shown, judged = keras.Input((2, 2, 1), name="image"), keras.Input((), dtype="int32", name="as")
    logit = keras.layers.Dense(1, name="d")(keras.layers.Flatten(name="f")(shown))
    logit = keras.layers.Reshape((), name="logit")(logit)
    gan = ConditionalGAN(
        keras.Model([latent, label], keras.layers.Activation("tanh", name="t")(image), name="g"),
        keras.Model([shown, judged], logit, name="d"),
        latent_dim=3,
        num_classes=classes,
        augmentation=(),
        penalty_interval=2,
        **options,
    )
    gan.compile()
    return gan


def train(gan, steps, **options):
    options = {"batch_size": 6, "checkpoint_every": 4, "steps_per_execution": 3, **options}
    return train_gan(gan, X, Y, steps=steps, **options)


class Recorder(keras.callbacks.Callback):
    """Has a state of arrays and plain values, and notes where epochs begin."""

    def __init__(self):
        super().__init__()
        self.best, self.epochs = np.zeros(2), []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.best = self.best + epoch

    def get_state(self):
        return {"best": self.best, "epochs": self.epochs}

    def set_state(self, state):
        self.best, self.epochs = state["best"], list(state["epochs"])


def test_resumed_training_ends_on_the_same_bits(tmp_path):
    whole, whole_calls = make_gan(), Recorder()
    history = train(whole, 10, callbacks=[whole_calls])
    train(make_gan(), 7, checkpoint_dir=tmp_path, callbacks=[Recorder()])
    (tmp_path / "state-0000000007.ckpt").write_bytes(b"cut short")
    gan, calls = make_gan(), Recorder()
    resumed = train(gan, 10, checkpoint_dir=tmp_path, callbacks=[calls])
    expected, found = model_state(whole), model_state(gan)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert resumed.history == history.history
    assert resumed.epoch == history.epoch == [0, 1, 2]
    assert calls.epochs == whole_calls.epochs == [0, 1, 2]
    np.testing.assert_array_equal(calls.best, whole_calls.best)


def test_a_finished_training_is_left_alone(tmp_path):
    train(make_gan(), 5, checkpoint_dir=tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    gan = make_gan()
    history = train(gan, 5, checkpoint_dir=tmp_path)
    assert int(gan.step) == 5
    assert len(history.epoch) == 2
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(make_gan(), 4, checkpoint_dir=tmp_path)
    for options in ({"seed": 1}, {"batch_size": 5}):
        with pytest.raises(CheckpointError, match="another training"):
            train(make_gan(), 8, checkpoint_dir=tmp_path, **options)
    with pytest.raises(CheckpointError, match="at most 3 steps"):
        train(make_gan(), 3, checkpoint_dir=tmp_path)
    train(make_gan(), 3, checkpoint_dir=tmp_path, resume=False)


def test_generated_classes_follow_the_labelled_samples():
    gan = make_gan()
    train(gan, 1, unlabelled=X[:5])
    np.testing.assert_allclose(gan.class_probabilities, [0.75, 0.25])
    assert int(gan.samples_seen) == 6


def test_a_step_takes_a_batch_per_discriminator_update():
    gan = make_gan(discriminator_steps=2)
    train(gan, 3)
    assert int(gan.samples_seen) == 3 * 2 * 6


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (X[:, :1], Y, {}, "must have the shape"),
        (X, Y[:3], {}, "must have the shape"),
        (X * 200, Y, {}, r"encoded samples, in \[0, 1\]"),
        (X * np.nan, Y, {}, r"encoded samples, in \[0, 1\]"),
        (X, Y + 1, {}, r"Labels must be whole numbers in 0..1"),
        (X, Y, {"steps": 0}, "`steps` must be a whole number, at least 1"),
    ],
)
def test_wrong_arguments_are_refused(x, y, options, message):
    with pytest.raises(InvalidInputError, match=message):
        train_gan(make_gan(), x, y, **{"steps": 1, **options})


def test_fine_tuning_takes_over_what_fits():
    old = make_gan()
    train(old, 3)
    new = make_gan(classes=5)
    transfer = initialize_from(new, old)
    assert transfer.left == ("generator/class/embeddings", "ema_generator/class/embeddings")
    np.testing.assert_array_equal(
        new.generator.get_layer("g").kernel, old.ema_generator.get_layer("g").kernel
    )
    np.testing.assert_array_equal(
        new.discriminator.get_layer("d").kernel, old.discriminator.get_layer("d").kernel
    )


def test_fine_tuning_from_files(tmp_path):
    old = make_gan()
    old.save(tmp_path / "gan.keras")
    old.ema_generator.save(tmp_path / "generator.keras")
    old.discriminator.save(tmp_path / "discriminator.keras")
    for source in (tmp_path, tmp_path / "gan.keras"):
        assert not initialize_from(make_gan(), source).left
    with pytest.raises(InvalidInputError, match="whole GAN"):
        initialize_from(make_gan(), tmp_path / "generator.keras")
    with pytest.raises(FileNotFoundError, match="no such model"):
        initialize_from(make_gan(), tmp_path / "none.keras")
