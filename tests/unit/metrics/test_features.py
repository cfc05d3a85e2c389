import keras
import numpy as np
import pytest

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.metrics.features import (
    FeatureExtractor,
    inception_extractor,
    train_feature_extractor,
)
from keras_ganaccel.modality.image.spec import DataSpec


def small_model(head):
    image = keras.Input((5, 4, 1), name="image")
    x = keras.layers.Conv2D(3, 3, activation="relu", name="conv")(image)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(7, activation="tanh", name="hidden")(x)
    x = keras.layers.Dense(3, activation=head, name="logits")(x)
    x = keras.layers.Activation("softmax", name="softmax")(x)
    return keras.Model(image, x, name="small")


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(10, 5, 4, 1)).astype(np.float32)


def test_the_default_is_what_enters_the_head(images):
    model = small_model("linear")
    features = FeatureExtractor(model, name="own")(images)
    kernel, bias = model.get_layer("logits").get_weights()
    logits = features @ kernel + bias
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert features.shape == (10, 7)
    np.testing.assert_allclose(softmax, model.predict(images, verbose=0), rtol=1e-5)


def test_feature_maps_are_averaged_over_positions(images):
    model = small_model("linear")
    features = FeatureExtractor(model, "conv", name="own")(images)
    maps = keras.Model(model.inputs[0], model.get_layer("conv").output)(images).numpy()
    np.testing.assert_allclose(features, maps.mean(axis=(1, 2)), rtol=1e-5)


def test_the_input_range_is_applied(images):
    model = small_model("linear")
    signed = FeatureExtractor(model, name="own", input_range=(-1.0, 1.0))(images)
    np.testing.assert_allclose(
        signed, FeatureExtractor(model, name="own")(images * 2.0 - 1.0), rtol=1e-5
    )


def test_a_row_does_not_depend_on_the_batch(images):
    model = small_model("linear")
    whole = FeatureExtractor(model, name="own", batch_size=4)(images)
    assert whole.shape == (10, 7)
    np.testing.assert_array_equal(
        FeatureExtractor(model, name="own", batch_size=4)(images[8:]), whole[8:]
    )
    assert FeatureExtractor(model, name="own")(images[:0]).shape == (0, 7)


def test_sequential_models_fit_and_others_are_refused(images):
    layers = [keras.layers.Flatten(name="flat"), keras.layers.Dense(2, name="logits")]
    sequential = keras.Sequential([keras.Input((5, 4, 1)), *layers], name="sequential")
    np.testing.assert_allclose(
        FeatureExtractor(sequential, name="own")(images), images.reshape(10, 20)
    )
    with pytest.raises(InvalidInputError, match="Did you mean 'flat'"):
        FeatureExtractor(sequential, "flatt", name="own")
    unbuilt = keras.Sequential([keras.layers.Dense(2, name="logits")], name="unbuilt")
    with pytest.raises(InvalidInputError, match="build the model first"):
        FeatureExtractor(unbuilt, name="own")


@pytest.mark.train
def test_the_trained_space_separates_classes_and_repeats():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (rng.uniform(size=(120, 8, 8, 1)) * 0.5).astype(np.float32)
    x[np.arange(120), y * 2] += 0.5  # a bright row says the class
    y[100:] = -1
    spec = DataSpec(8, 8, 1, ("a", "b", "c"))
    options = {"steps": 40, "architecture": "mlp", "size": "tiny", "seed": 3}
    extractor = train_feature_extractor(x, y, spec, **options)
    features, labels = extractor(x[:100]), y[:100]
    centres = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(features[:, None] - centres, axis=-1).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95
    assert "real training split" in extractor.name
    again = train_feature_extractor(x, y, spec, **options)
    np.testing.assert_allclose(again(x), extractor(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(InvalidInputError, match="unlabelled rows only"):
        train_feature_extractor(x, np.full(120, -1), spec)


def test_inception_needs_a_weights_file(tmp_path):
    with pytest.raises(MissingFileError, match="InceptionV3 without its top"):
        inception_extractor(tmp_path / "none.h5")


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_inception_features_are_keras_own(tmp_path, channels):
    inception = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    path = tmp_path / "inception.weights.h5"
    inception.save_weights(path)
    x = np.random.default_rng(0).uniform(size=(2, 12, 9, channels)).astype(np.float32)
    extractor = inception_extractor(path, channels)
    resized = keras.layers.Resizing(299, 299, interpolation="bilinear")(x * 255.0)
    rgb = np.broadcast_to(resized, (2, 299, 299, 3)).copy()
    expected = inception(keras.applications.inception_v3.preprocess_input(rgb)).numpy()
    np.testing.assert_allclose(extractor(x), expected, rtol=1e-3, atol=1e-5)
    assert extractor.name == "inception_v3"
