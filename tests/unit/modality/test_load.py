import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.load import load_data


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (120, 6, 5), np.uint8), np.arange(120) % 3


def test_digits_are_scikit_learns():
    data = load_data()
    bunch = load_digits()
    np.testing.assert_array_equal(data.x[..., 0], bunch.images)
    np.testing.assert_array_equal(data.y, bunch.target)
    expected = train_test_split(
        np.arange(1797), test_size=0.3, stratify=bunch.target, random_state=20261121
    )
    np.testing.assert_array_equal(data.splits.test, expected[1])
    x, y = data.arrays("test")
    assert (x.dtype, x.shape, y.dtype) == (np.float32, (540, 8, 8, 1), np.int64)
    np.testing.assert_allclose(x[..., 0], bunch.images[expected[1]] / 16)
    assert data.name == "digits"
    assert data.unlabelled is None
    assert data.unlabelled_arrays() is None


def test_every_way_to_give_arrays_is_the_same_data(arrays, tmp_path):
    x, y = arrays
    np.savez(tmp_path / "arrays.npz", x=x, y=y)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    sources = (
        (x, y),
        [x[..., np.newaxis], y[:, np.newaxis].astype(float)],
        (x, np.eye(3)[y]),
        str(tmp_path / "arrays.npz"),
        tmp_path / "arrays.npz",
        f"{tmp_path}/x.npy,{tmp_path}/y.npy",
    )
    loaded = [load_data(source, seed=4) for source in sources]
    assert len({data.fingerprint() for data in loaded}) == 1
    assert loaded[0].spec.value_range == (0.0, 255.0)


def test_the_fingerprint_tells_data_labels_and_splits_apart(arrays):
    x, y = arrays
    other_x = x.copy()
    other_x[0, 0, 0] ^= 1
    variants = (
        load_data((x, y)),
        load_data((other_x, y)),
        load_data((x, np.roll(y, 1))),
        load_data((x, y), seed=1),
    )
    assert len({data.fingerprint() for data in variants}) == 4


def test_a_supplied_test_set_is_used_whole(arrays, tmp_path):
    x, y = arrays
    np.savez(tmp_path / "d.npz", x_train=x[:90], y_train=y[:90], x_test=x[90:], y_test=y[90:])
    for source in (
        tmp_path / "d.npz",
        (x[:90], y[:90], x[90:], y[90:]),
        ((x[:90], y[:90]), (x[90:], y[90:])),
    ):
        data = load_data(source)
        np.testing.assert_array_equal(data.x[..., 0], x)
        np.testing.assert_array_equal(np.sort(data.splits.test), np.arange(90, 120))
        assert len(data.splits.train) + len(data.splits.validation) == 90


def test_labels_are_mapped_and_named(arrays):
    x, y = arrays
    data = load_data((x, np.array(["dog", "ant", "cat"])[y]))
    assert data.spec.class_names == ("ant", "cat", "dog")
    np.testing.assert_array_equal(data.y, np.array([2, 0, 1])[y])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.uint8([0, 250]), (0.0, 255.0)),
        (np.uint8([3, 16]), (3.0, 16.0)),
        (np.uint16([0, 4095]), (0.0, 4095.0)),
        (np.int16([-30000, 20000]), (-32768.0, 32767.0)),
        (np.int64([0, 255]), (0.0, 255.0)),
        (np.float32([-1.0, 1.0]), (-1.0, 1.0)),
        (np.array([False, True]), (0.0, 1.0)),
    ],
)
def test_value_range_is_the_dtypes_if_filled_else_the_training_rows(values, expected):
    x = np.random.default_rng(0).choice(values, (60, 5, 5))
    data = load_data((x, np.arange(60) % 2))
    assert data.spec.value_range == expected
    assert load_data((x, np.arange(60) % 2), value_range=(-5, 5)).spec.value_range == (-5.0, 5.0)


def test_value_range_does_not_look_at_test_rows(arrays):
    x, y = arrays
    x = x.astype(np.float32)
    plain = load_data((x, y))
    x[plain.splits.test[0], 0, 0] = 1e6
    assert load_data((x, y)).spec.value_range[1] <= 255


def test_resizing(arrays):
    x, y = arrays
    assert load_data((x, y), image_size=8).x.shape == (120, 8, 8, 1)
    data = load_data((x, y), image_size=(4, 7), unlabelled=x[:5] // 2)
    assert data.spec.image_shape == (4, 7, 1)
    assert data.unlabelled.shape == (5, 4, 7, 1)


def test_unlabelled_rows_and_samples_may_train_but_not_if_held_out(arrays, tmp_path):
    x, y = arrays
    marked = y.copy()
    marked[:30] = -1
    data = load_data((x, marked))
    assert data.audit.unlabelled == 30
    np.testing.assert_array_equal(data.unlabelled[..., 0], x[:30])
    used = np.concatenate([data.splits.train, data.splits.validation, data.splits.test])
    assert used.min() == 30

    np.save(tmp_path / "more.npy", np.concatenate([x, 255 - x]))
    data = load_data((x, marked), unlabelled=tmp_path / "more.npy")
    held_out = len(data.splits.test) + len(data.splits.validation)
    assert data.audit.unlabelled == 30 + 240 - held_out
    assert data.audit.duplicates_removed == held_out
    unit = data.unlabelled_arrays()
    assert unit.dtype == np.float32
    rows = {row.tobytes() for row in unit}
    for split in ("validation", "test"):
        assert not rows & {row.tobytes() for row in data.arrays(split)[0]}


def test_copies_of_test_rows_never_train(arrays):
    x, y = arrays
    doubled, labels = np.concatenate([x, x]), np.concatenate([y, y])
    data = load_data((doubled, labels))
    train, test = data.arrays("train")[0], data.arrays("test")[0]
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}
    assert data.audit.duplicates_removed == len(data.splits.removed) > 0
    data = load_data((x, y, x[:9], y[:9]))
    assert data.audit.duplicates_removed == 9


def test_class_folders_of_mixed_images(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number, mode in enumerate(["RGB", "L", "RGBA", "LA", "P", "CMYK"] * 3):
            height, width = rng.integers(9, 20, 2)
            noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
            ending = "tif" if mode == "CMYK" else "png" if "A" in mode or mode == "P" else "jpg"
            noise.convert(mode).save(tmp_path / "pets" / label / f"{number:02}.{ending}")
    data = load_data(tmp_path / "pets", image_size=(12, 10))
    assert data.name == "pets"
    assert data.x.shape == (36, 12, 10, 3)
    assert data.y.tolist() == [0] * 18 + [1] * 18
    (tmp_path / "pets" / "cat" / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(InvalidInputError, match=r"cat/broken\.png"):
        load_data(tmp_path / "pets")
    data = load_data(tmp_path / "pets", skip_corrupt=True)
    assert data.audit.skipped == ("cat/broken.png",)
    assert len(data.x) == 36
    data = load_data(tmp_path / "pets", skip_corrupt=True, unlabelled=tmp_path / "pets")
    assert data.audit.skipped == ("cat/broken.png",) * 2


def test_too_few_labels_are_noted(arrays):
    x, y = arrays
    train = len(y) - len(load_data((x, y)).splits.test)
    warnings = load_data((x, y), labels_per_class=500).audit.warnings
    assert f"No class has 500 labelled samples to train on: all {train} are taken." in warnings
    uneven = np.where(np.arange(120) < 10, 0, 1 + y % 2)
    warnings = load_data((x, uneven), labels_per_class=20).audit.warnings
    assert "1 class has fewer than 20 labelled samples to train on." in warnings


def test_missing_labels_and_a_class_minus_one_are_said(arrays):
    x, y = arrays
    data = load_data((x, np.where(np.arange(120) % 9, y, np.nan)))
    assert data.spec.class_names == ("0", "1", "2")
    assert data.audit.unlabelled == 14
    assert data.audit.warnings[0].startswith("14 of 120 rows have no label (rows 0, 9, 18, 27, 36")
    warnings = load_data((x, y - 1)).audit.warnings
    assert "40 of 120 rows are labelled -1" in warnings[0]
    four = (x[:90], y[:90].astype(object), x[90:], np.where(y[90:] > 1, None, y[90:]))
    data = load_data(four)
    assert len(data.splits.test) == 20
    assert data.audit.unlabelled == 10


def test_samples_at_another_scale_are_mapped_or_refused(arrays):
    x, y = arrays
    unit = x / 255
    data = load_data((unit, y), unlabelled=255 - x)
    np.testing.assert_allclose(data.unlabelled_arrays()[..., 0], (255 - x) / 255, atol=1e-2)
    assert "The uint8 values of `unlabelled` were mapped" in data.audit.warnings[0]
    for unlabelled in (unit * 200, unit * 2 - 1, unit / 100):
        with pytest.raises(InvalidInputError, match="must have the data's value range"):
            load_data((unit, y), unlabelled=unlabelled)
    for other in (unit[90:] * 255, unit[90:] / 100, unit[90:] * 2 - 1):
        with pytest.raises(InvalidInputError, match="in the test split, for"):
            load_data((unit[:90], y[:90], other, y[90:]))


@pytest.mark.parametrize("ends", [(0, 1), (0, 1e5), (1000, 2000)])
def test_a_value_range_far_from_the_data_is_said(arrays, ends):
    warnings = load_data(arrays, value_range=ends).audit.warnings
    assert "does not fit the training samples: values from 0 to 255" in warnings[0]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("digit", MissingFileError, "Did you mean 'digits'"),
        ("keras:mnits", InvalidInputError, "Did you mean 'mnist'"),
        ("kears:mnist", MissingFileError, "Did you mean 'keras:mnist'"),
        ("", MissingFileError, "Received: ''"),
        ("no/such/folder", MissingFileError, "no/such/folder"),
        ("no.npz", MissingFileError, "no.npz"),
        ("x.npy,y.npy", MissingFileError, "x.npy"),
        ("x.npy,y.npy,z.npy", InvalidInputError, "3 files"),
        (__file__, InvalidInputError, "test_load.py"),
        (np.zeros((2, 2)), InvalidInputError, "ndarray"),
        ((1, 2, 3), InvalidInputError, "tuple of 3"),
        (None, InvalidInputError, "NoneType"),
    ],
)
def test_sources_that_are_none_are_refused_in_one_line(source, error, message):
    with pytest.raises(error, match=message) as caught:
        load_data(source)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 3},
        {"image_size": (8, 8, 8)},
        {"image_size": (8.5, 8)},
        {"value_range": (1, 0)},
        {"value_range": (0, 1, 2)},
        {"value_range": (0, float("nan"))},
        {"value_range": 4},
        {"labels_per_class": 1},
        {"groups": [1, 2]},
        {"unlabelled": "absent"},
        {"unlabelled": np.zeros((2, 8, 8, 3))},
    ],
)
def test_options_out_of_range_are_refused_in_one_line(options, arrays):
    with pytest.raises(InvalidInputError) as caught:
        load_data(arrays, **options)
    assert "\n" not in str(caught.value)


def test_constant_data_are_refused():
    with pytest.raises(InvalidInputError, match="Received: 7 everywhere"):
        load_data((np.full((20, 4, 4), 7), np.arange(20) % 2))


def test_an_unknown_split_gets_the_nearest():
    with pytest.raises(InvalidInputError, match="Did you mean 'train'"):
        load_data().arrays("training")


@pytest.mark.train
def test_loading_does_not_import_tensorflow(tmp_path, arrays):
    x, y = arrays
    np.savez(tmp_path / "d.npz", x=x, y=y)
    for label in ("a", "b"):
        (tmp_path / "folder" / label).mkdir(parents=True)
        for row in range(6):
            Image.fromarray(x[row] ^ ord(label)).save(tmp_path / "folder" / label / f"{row}.png")
    code = f"""
import sys
from keras_ganaccel.modality.load import load_data
for source in ("digits", {str(tmp_path / "d.npz")!r}, {str(tmp_path / "folder")!r}):
    load_data(source)
for wrong in ("absent", "keras:mnits"):
    try:
        load_data(wrong)
    except ValueError:
        pass
assert not {{"tensorflow", "keras", "tf_keras"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


DTYPES = [np.bool_, np.uint8, np.int16, np.int64, np.uint64, np.float16, np.float32, np.float64,
          np.complex64, np.dtype("U3"), np.dtype("M8[s]"), np.dtype(object)]  # fmt: skip
KINDS_OF_LABELS = [
    lambda y: y, lambda y: y - 1, lambda y: y.astype(float), lambda y: y[:, None],
    lambda y: np.eye(4)[y], lambda y: np.array(["a", "b ", "B", None], object)[y],
    lambda y: np.where(y > 2, np.nan, y), lambda y: y.astype(str), lambda y: y / 2,
    lambda y: (y > 1), lambda y: y[:-1], lambda y: np.stack([y, y], 1), lambda y: list(map(str, y)),
]  # fmt: skip


def loaded_or_refused(source, **options):
    """The data, or None where they were refused in one line."""
    try:
        return load_data(source, **options)
    except InvalidInputError as error:
        message = str(error)
    assert "\n" not in message
    return None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whatever_arrays_are_given_the_invariants_hold_or_one_line_says_why(seed):
    """Drawn by NumPy: hypothesis' own draws are mostly of the simplest kind, which is refused."""
    rng = np.random.default_rng(seed)

    def one_of(*choices):
        return choices[rng.integers(len(choices))]

    shape = (int(rng.integers(4, 60)), *(int(side) for side in rng.integers(2, 7, 2)))
    if rng.random() < 0.2:
        shape = tuple(int(side) for side in rng.integers(0, 9, rng.integers(0, 6)))
    dtype = np.dtype(one_of(*DTYPES, *[np.uint8, np.float32] * 4))
    values = rng.random(shape) * one_of(1, 255, 255, 255, 1e5, 0, 1e39, 1e-30, np.nan)
    with np.errstate(all="ignore"):
        whole = np.nan_to_num(values).astype("i8")
        x = (whole if dtype.kind == "M" else np.asarray(values)).astype(dtype)
    y = rng.integers(0, 4, shape[0] if shape else 0)
    labels = one_of(*KINDS_OF_LABELS, *KINDS_OF_LABELS[:4])(y)
    options = {
        "labels_per_class": one_of(None, None, 2, 3, 10**6, 1),
        "image_size": one_of(None, 4, (5, 6)),
        "value_range": one_of(None, None, None, (0, 1), (3, 2)),
        "unlabelled": one_of(None, None, None, x, x[:1] if x.ndim else x),
    }
    data = loaded_or_refused((x, labels), **options)
    if data is None:
        return
    assert len(data.x) == len(data.y) == len(y)
    assert set(data.y.tolist()) - {-1} == set(range(data.spec.num_classes))
    splits = data.splits
    rows = np.concatenate([splits.train, splits.validation, splits.test])
    assert len(np.unique(rows)) == len(rows)
    assert (data.y[rows] >= 0).all()
    assert set(data.y[splits.train].tolist()) == set(range(data.spec.num_classes))
    for split in ("train", "validation", "test"):
        unit, codes = data.arrays(split)
        assert unit.shape == (len(codes), *data.spec.image_shape)
        assert len(codes) > 0
        assert unit.dtype == np.float32
        assert ((unit >= 0) & (unit <= 1)).all()


@pytest.mark.parametrize("image_size", [8.0, "8", (8.0, 8), (8,), None.__class__, (8, 8, 1)])
def test_sizes_that_are_none_are_refused_in_one_line(image_size):
    with pytest.raises(InvalidInputError, match="`image_size` must be one or two whole numbers"):
        load_data("digits", image_size=image_size)


@pytest.mark.parametrize("seed", [None, 1.5, "a", True])
def test_seeds_that_are_none_are_refused(seed):
    with pytest.raises(InvalidInputError, match="`seed` must be a whole number"):
        load_data("digits", seed=seed)


def test_samples_as_large_as_photographs_need_a_size():
    x = np.random.default_rng(0).integers(0, 256, (8, 1100, 4), np.uint8)
    with pytest.raises(InvalidInputError, match="1100x4"):
        load_data((x, np.arange(8) % 2))
    assert load_data((x, np.arange(8) % 2), image_size=8).spec.height == 8


def test_labels_are_a_number_in_all_and_too_many_take_all():
    data = load_data("digits", labels=100)
    assert len(data.splits.train) + len(data.splits.validation) == 100
    everything = load_data("digits", labels=100_000)
    assert "There are no 100000 labelled samples to train on: all 1257 are taken." in (
        everything.audit.warnings
    )


def test_options_of_another_modality_are_refused_in_one_line():
    for options in ({"drop": ("age",)}, {"columns": "columns.yaml"}):
        with pytest.raises(InvalidInputError, match="means nothing for data of the modality") as e:
            load_data("digits", **options)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\u202eb", "a\x00b", "long" * 300])
def test_a_class_that_no_report_can_name_is_refused_when_the_data_are_read(name):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    with pytest.raises(InvalidInputError, match="short strings without control characters"):
        load_data((x, np.array([name, "b"] * 20, object)))


def test_names_in_an_archive_are_text_in_one_line_and_differ(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    y = np.arange(40) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y, class_names=np.array([b"stop\r\nsign", b"go"]))
    assert load_data(tmp_path / "a.npz").spec.class_names == ("stop sign", "go")
    np.savez(tmp_path / "b.npz", x=x, y=y, class_names=["a", "a "])
    with pytest.raises(InvalidInputError, match="must be different"):
        load_data(tmp_path / "b.npz")
