from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.memory import read_memory
from keras_ganaccel.modality.load import load_data

X = np.random.default_rng(0).integers(0, 256, (90, 6, 5, 3), np.uint8)
Y = np.arange(90) % 3


def slices(x=X, y=Y):
    return tf.data.Dataset.from_tensor_slices((x, y))


PARTS = ((X[:50], Y[:50]), (X[50:70], Y[50:70]), (X[70:], Y[70:]))


@pytest.mark.parametrize(
    "dataset",
    [
        slices(),
        slices().batch(32),
        slices().batch(32, drop_remainder=False).prefetch(1),
        slices(y=np.eye(3)[Y]),
        slices(y=np.eye(3)[Y]).batch(7),
        slices(y=Y[:, None].astype(np.float32)).batch(32),
        slices().map(lambda x, y: {"image": x, "label": y}),
        slices().map(lambda x, y: ({"pixels": x}, y)).batch(8),
        slices().filter(lambda x, y: True),
        tf.data.Dataset.from_generator(
            lambda: zip(X, Y, strict=True),
            output_signature=(tf.TensorSpec(None, tf.uint8), tf.TensorSpec((), tf.int64)),
        ),
    ],
)
def test_a_dataset_is_its_arrays(dataset):
    raw = read_memory(dataset)
    np.testing.assert_array_equal(raw.x, X)
    assert not raw.supplied
    assert load_data(dataset).fingerprint() == load_data((X, Y)).fingerprint()


def test_grey_batches_without_a_channel_axis():
    grey = X[..., 0]
    np.testing.assert_array_equal(read_memory(slices(grey).batch(32)).x[..., 0], grey)
    np.testing.assert_array_equal(read_memory(slices(grey)).x[..., 0], grey)


def test_weights_and_other_features_are_left_out_and_said():
    weighed = slices().map(lambda x, y: (x, y, 1.0))
    assert read_memory(weighed).notes == ("The sample weights of `the dataset` are not used.",)
    keyed = slices().map(lambda x, y: {"image": x, "label": y, "id": y})
    assert read_memory(keyed).notes == ("Not used of `the dataset`: 'id'.",)


def test_class_names_of_keras_are_kept(tmp_path):
    dataset = slices()
    dataset.class_names = ["ant", "bee", "cat"]
    assert load_data(dataset).spec.class_names == ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("dataset", "received"),
    [
        (slices().repeat(), "an endless dataset"),
        (slices().take(0), "an empty dataset"),
        (slices().map(lambda x, y: x), "elements TensorSpec"),
        (slices().map(lambda x, y: (x, y, y, y)), "elements"),
        (slices().map(lambda x, y: {"a": x, "b": y}), "a, b"),
        (
            slices().map(lambda x, y: (tf.image.resize(x, [5 + y % 2, 4]), y)),
            r"2 shapes, such as \(5, 4, 3\) and \(6, 4, 3\)",
        ),
        (slices().ragged_batch(4).map(lambda x, y: (tf.RaggedTensor.from_tensor(x), y)), "Ragged"),
        (slices().map(lambda x, y: (x, tf.debugging.check_numerics(1 / y, "bad"))), "cannot be"),
    ],
)
def test_datasets_that_are_no_labelled_samples_are_refused_in_one_line(dataset, received):
    with pytest.raises(InvalidInputError, match=received) as caught:
        read_memory(dataset)
    assert "\n" not in str(caught.value)


def test_every_way_to_give_splits_is_the_same_data():
    train, validation, test = PARTS
    three = (
        PARTS,
        (*train, *validation, *test),
        [slices(*part) for part in PARTS],
        {"train": train, "val": validation, "test": test},
        {"Test": slices(*test), "training": slices(*train).batch(9), "dev": slices(*validation)},
        {"x_train": train[0], "y_train": train[1], "x_val": validation[0], "y_val": validation[1],
         "x_test": test[0], "y_test": test[1]},
        {"train": {"image": train[0], "label": train[1]},
         "validation": {"x": validation[0], "y": validation[1]}, "test": test},
    )  # fmt: skip
    for source in three:
        data = load_data(source)
        np.testing.assert_array_equal(data.x, X)
        np.testing.assert_array_equal(np.sort(data.splits.validation), np.arange(50, 70))
        np.testing.assert_array_equal(np.sort(data.splits.test), np.arange(70, 90))
    two = ((train, test), (*train, *test), [slices(*train), slices(*test)])
    prints = {load_data(source).fingerprint() for source in two}
    assert len(prints) == 1


def test_the_order_of_train_test_split_is_recognised():
    (x, y), _, (other, labels) = PARTS
    raw = read_memory((x, other, y, labels))
    np.testing.assert_array_equal(raw.labels, np.concatenate([y, labels]))
    assert "train_test_split" in raw.notes[0]


def test_a_bunch_of_scikit_learn():
    bunch = load_digits()
    data = load_data(bunch)
    np.testing.assert_array_equal(data.x[..., 0], bunch.images)
    assert data.spec.class_names == tuple("0123456789")


def test_names_that_do_not_fit_the_labels_are_not_used_and_said():
    data = load_data({"x": X, "y": Y, "class_names": ["a", "b"]})
    assert data.spec.class_names == ("0", "1", "2")
    assert "The 2 names of classes do not fit the labels and are not used." in data.audit.warnings


def test_pandas_frames_of_pixels():
    pd = pytest.importorskip("pandas")
    bunch = load_digits(as_frame=True)
    expected = load_data((load_digits().images, bunch.target.to_numpy()))
    frame = bunch.data.assign(label=bunch.target)
    for source, target in ((frame, None), (frame, "label"), ((bunch.data, bunch.target), None)):
        data = load_data(source, target=target)
        np.testing.assert_array_equal(data.x, expected.x)
        np.testing.assert_array_equal(data.y, expected.y)
        assert any("pictures of 8x8 pixels" in note for note in data.audit.warnings)
    for wrong, message in (
        (bunch.data, "One column must be called label"),
        (frame.assign(name="a"), "'name' of other kinds"),
        (frame.iloc[:, 1:], "must have the shape"),
        (frame.assign(y=1), "'label', 'y'"),
        (pd.DataFrame({"a": [1, 2], "label": [0, 1]}), "must have the shape"),
    ):
        with pytest.raises(InvalidInputError, match=message) as caught:
            load_data(wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInputError, match=r"'labels'\. It has 'pixel_0_0'"):
        load_data(frame, target="labels")


@pytest.mark.parametrize(
    "source",
    [SimpleNamespace(x=1), iter([1]), {}, {1: 2}, (), ((),), ({}, {}), b"digits", 3.5, object],
)
def test_other_objects_are_refused_in_one_line(source):
    with pytest.raises(InvalidInputError) as caught:
        load_data(source)
    assert "\n" not in str(caught.value)
