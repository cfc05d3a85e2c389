import pickle

import numpy as np
import pytest
import scipy.sparse

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.image.arrays import (
    check_samples,
    combine_arrays,
    read_archive,
    read_array,
    read_array_files,
    resize_samples,
)

X, Y = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6), np.array([0, 1, 0, 1])
SIX = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
FOUR = ("x_train", "y_train", "x_test", "y_test")


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64]
)
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_real_samples_become_four_dimensional_and_keep_their_values(dtype, channels):
    x = np.arange(2 * 3 * 4 * (channels or (1,))[0]).reshape(2, 3, 4, *channels).astype(dtype)
    checked = check_samples(x)
    assert checked.dtype == dtype
    assert checked.shape == (2, 3, 4, *(channels or (1,)))
    np.testing.assert_array_equal(checked.ravel(), x.ravel())


def _with(value):
    x = np.zeros((3, 2, 2))
    x[1, 0, 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "received"),
    [
        (np.zeros((4, 9)), r"shape \(4, 9\)"),
        (np.zeros((4, 8, 8, 2)), r"shape \(4, 8, 8, 2\)"),
        (np.zeros((4, 3, 8, 8)), "channels last"),
        (np.zeros((0, 8, 8)), r"shape \(0, 8, 8\)"),
        (np.zeros((4, 0, 8)), r"shape \(4, 0, 8\)"),
        (np.zeros((4, 8, 8), complex), "complex128"),
        (np.full((4, 8, 8), None), "object"),
        (np.full((4, 8, 8), "a"), "<U1"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "different shapes"),
        (_with(np.nan), "row 1"),
        (_with(-np.inf), "row 1"),
    ],
)
def test_other_samples_are_refused_in_one_line(x, received):
    with pytest.raises(InvalidInputError, match=received) as caught:
        check_samples(x)
    assert "\n" not in str(caught.value)


def test_four_arrays_are_numbered_training_first():
    raw = combine_arrays((X, Y, X[:2] + 1, Y[:2]), FOUR, "mine")
    np.testing.assert_array_equal(raw.x[:4, ..., 0], X)
    np.testing.assert_array_equal(raw.x[raw.supplied["test"], ..., 0], X[:2] + 1)
    assert raw.supplied["train"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("parts", "received"),
    [
        ((X, Y[:3]), "4 samples and 3 labels"),
        ((X, 7), r"shape \(\)"),
        ((X, Y, X[:, :4], Y), r"\(5, 6, 1\) and uint8 \(4, 6, 1\)"),
        ((X, Y, X.astype(float), Y), "uint8 .* and float64"),
        ((X, Y, X, Y.astype(str)), "int64 .* and <U"),
        ((X, Y, X, np.eye(2)[Y]), r"\(4,\) and float64 \(4, 2\)"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(parts, received):
    names = FOUR if len(parts) == 4 else ("x", "y")
    with pytest.raises(InvalidInputError, match=received):
        combine_arrays(parts, names, "mine")


def test_archives_and_array_files_hold_the_same(tmp_path):
    np.savez(tmp_path / "two.npz", x=X, y=Y)
    np.savez_compressed(tmp_path / "four.npz", **dict(zip(FOUR, (X, Y, X, Y), strict=True)))
    for name, array in zip(FOUR, (X, Y, X, Y), strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    files = [tmp_path / f"{name}.npy" for name in FOUR]
    two, four = read_archive(tmp_path / "two.npz"), read_archive(tmp_path / "four.npz")
    np.testing.assert_array_equal(two.x, read_array_files(files[:2]).x)
    np.testing.assert_array_equal(four.x, read_array_files(files).x)
    np.testing.assert_array_equal(four.labels, read_array_files(files).labels)
    assert two.name == "two"
    np.testing.assert_array_equal(read_array(tmp_path / "two.npz"), X)


def test_files_that_are_no_plain_arrays_are_refused_in_one_line(tmp_path):
    np.savez(tmp_path / "object.npz", x=np.array([{}, 1], object), y=Y)
    np.savez(tmp_path / "names.npz", first=X, second=Y)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"x": 1}))
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "whole.npz", x=X, y=Y)
    damaged = bytearray((tmp_path / "whole.npz").read_bytes())
    damaged[150:200] = bytes(50)
    (tmp_path / "damaged.npz").write_bytes(damaged)
    (tmp_path / "cut.npz").write_bytes(damaged[:-60])
    expected = {
        "object": "Python objects", "names": "first, second", "text": "foreign",
        "pickle": "foreign", "empty": "damaged", "damaged": "damaged", "cut": "damaged",
    }  # fmt: skip
    for name, received in expected.items():
        with pytest.raises(InvalidInputError, match=received) as caught:
            read_archive(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingFileError):
        read_array(tmp_path / "absent.npy")
    with pytest.raises(InvalidInputError, match="1 file"):
        read_array_files([tmp_path / "x.npy"])


@pytest.mark.parametrize(
    ("x", "hint"),
    [
        (np.zeros((4, 784)) + 0.5, r"x\.reshape\(-1, 28, 28\)"),
        (np.zeros((4, 3, 8, 8)), r"x\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((4, 8, 8, 4)), r"x\[\.\.\., :3\]"),
        (np.zeros(4), "in each other's place"),
        (np.ma.masked_array(np.zeros((4, 8, 8)), np.eye(8)[None].repeat(4, 0)), "32 masked"),
    ],
)
def test_the_message_says_how_to_mend_the_shape(x, hint):
    with pytest.raises(InvalidInputError, match=hint):
        check_samples(x)


def test_rows_of_pixels_are_pictures_and_other_rows_are_not():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 64))
    for rows in (pixels, pixels.astype(np.float32), scipy.sparse.csr_matrix(pixels)):
        raw = combine_arrays((rows, Y), ("x", "y"), "mine")
        np.testing.assert_array_equal(raw.x.reshape(4, 64), pixels)
        assert raw.x.shape == (4, 8, 8, 1)
        assert raw.notes == ("The rows of `x` were taken as pictures of 8x8 pixels.",)
    for rows in (pixels[:, :63], pixels + 0.5, pixels - 1, pixels[:, :36]):
        with pytest.raises(InvalidInputError, match="must have the shape"):
            combine_arrays((rows, Y), ("x", "y"), "mine")


def test_other_peoples_archives_are_read(tmp_path):
    expected = combine_arrays((X, Y, X + 1, Y, X + 2, Y), SIX, "mine")
    arrays = dict(zip(SIX, (X, Y, X + 1, Y[:, None], X + 2, Y), strict=True))
    renamed = {
        "medmnist": lambda split, kind: f"{split}_{'images' if kind == 'x' else 'labels'}",
        "capitals": lambda split, kind: f"{kind.upper()}_{split}",
        "words": lambda split, kind: f"{split}{'Data' if kind == 'x' else 'Target'}",
    }
    for style, rename in renamed.items():
        content = {rename(*key.split("_")[::-1]): value for key, value in arrays.items()}
        np.savez(tmp_path / f"{style}.npz", extra=np.zeros(2), **content)
        raw = read_archive(tmp_path / f"{style}.npz")
        np.testing.assert_array_equal(raw.x, expected.x)
        assert {name: rows.tolist() for name, rows in raw.supplied.items()} == {
            "train": [0, 1, 2, 3], "validation": [4, 5, 6, 7], "test": [8, 9, 10, 11],
        }  # fmt: skip
        assert raw.notes == ("Not used: 'extra'.",)
    for keys in (("data", "target"), ("images", "labels"), ("X", "Y"), ("image", "label")):
        np.savez(tmp_path / "pair.npz", **dict(zip(keys, (X, Y), strict=True)))
        np.testing.assert_array_equal(read_archive(tmp_path / "pair.npz").labels, Y)


def test_labels_that_are_there_twice_are_refused(tmp_path):
    np.savez(tmp_path / "twice.npz", x=X, label=Y, target=Y)
    with pytest.raises(InvalidInputError, match="label and target"):
        read_archive(tmp_path / "twice.npz")


def test_pickles_are_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    np.savez(tmp_path / "trap.npz", x=np.array([Trap()], object), y=Y)
    with pytest.raises(InvalidInputError):
        read_archive(tmp_path / "trap.npz")
    assert not (tmp_path / "ran").exists()


def test_halving_is_antialiased():
    """A checkerboard of single pixels must turn grey, not into one of its colours."""
    board = np.indices((32, 32)).sum(axis=0) % 2
    for dtype, white in ((np.uint8, 255), (np.float32, 1.0), (np.int16, 1000)):
        x = (board * white).astype(dtype)[np.newaxis, ..., np.newaxis]
        small = resize_samples(x, (16, 16))
        assert small.dtype == dtype
        assert small.shape == (1, 16, 16, 1)
        np.testing.assert_allclose(small[0, 2:-2, 2:-2] / white, 0.5, atol=0.01)


def test_resizing_never_leaves_the_range_and_treats_channels_alike():
    rng = np.random.default_rng(0)
    x = rng.choice([-3.0, 7.0], (2, 9, 7, 3))
    for size in ((20, 15), (4, 5), (9, 3)):
        resized = resize_samples(x, size)
        assert resized.shape == (2, *size, 3)
        assert resized.min() >= -3 - 1e-5
        assert resized.max() <= 7 + 1e-5
        np.testing.assert_array_equal(resized[..., 1:2], resize_samples(x[..., 1:2], size))
    assert resize_samples(x, (9, 7)) is x
    assert resize_samples(x > 0, (4, 4)).dtype == np.float32
