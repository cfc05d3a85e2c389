import numpy as np
import pytest
from PIL import Image

from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.image.samples import read_samples
from keras_ganaccel.modality.image.spec import DataSpec
from keras_ganaccel.modality.load import load_samples

GREY = DataSpec(8, 8, 1, ("a", "b"), (0.0, 16.0))
COLOUR = DataSpec(6, 5, 3, ("a", "b"), (0.0, 255.0))


def test_arrays_from_memory_and_files_are_taken_raw(tmp_path):
    x = np.arange(2 * 64).reshape(2, 8, 8) % 17
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, y=[0, 1])
    for source in (x, tmp_path / "x.npy", str(tmp_path / "x.npz")):
        samples = read_samples(source, GREY)
        np.testing.assert_array_equal(samples.x[..., 0], x)
        assert samples.names == ("0", "1")
    assert load_samples(np.zeros((2, 9, 7)), GREY).shape == (2, 8, 8, 1)


def test_image_files_are_brought_to_the_datas_form(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "b.png")
    (tmp_path / "sub").mkdir()
    Image.new("L", (9, 4), 128).save(tmp_path / "sub" / "a.png")
    samples = read_samples(tmp_path, GREY)
    assert samples.names == ("b.png", "sub/a.png")
    unit = GREY.encode(samples.x)
    expected = np.asarray(Image.fromarray(rgb).convert("L")) / 255
    np.testing.assert_allclose(unit[0, ..., 0], expected, atol=1e-6)
    np.testing.assert_allclose(unit[1], 128 / 255, atol=1e-6)
    colour = load_samples(tmp_path / "sub" / "a.png", COLOUR)
    np.testing.assert_array_equal(colour, np.full((1, 6, 5, 3), 128, np.uint8))


def test_corrupt_images_are_named_or_skipped(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").touch()
    with pytest.raises(InvalidInputError, match=r"'bad\.png'"):
        load_samples(tmp_path, GREY)
    samples = read_samples(tmp_path, GREY, skip_corrupt=True)
    assert (samples.names, samples.skipped) == (("good.png",), ("bad.png",))


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    np.savez(tmp_path / "two.npz", a=[1], b=[2])
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for source, error, received in (
        (tmp_path / "absent", MissingFileError, "absent"),
        (tmp_path / "two.npz", InvalidInputError, "a, b"),
        (tmp_path / "note.txt", InvalidInputError, "note.txt"),
        (tmp_path / "empty", InvalidInputError, "none in"),
        (np.zeros((2, 8, 8, 3)), InvalidInputError, "Received: 3"),
        (np.full((2, 8, 8), np.nan), InvalidInputError, "NaN"),
    ):
        with pytest.raises(error, match=received) as caught:
            load_samples(source, GREY)
        assert "\n" not in str(caught.value)
