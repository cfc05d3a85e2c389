import numpy as np
import pytest
from PIL import Image

from keras_ganaccel.data.images import find_images, read_class_folders, read_image, read_images
from keras_ganaccel.errors import InvalidInputError

RED, TEAL = (200, 30, 40), (10, 120, 130)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def solid(mode, colour, size=(6, 4)):
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("name", "image", "pixel"),
    [
        ("rgb.png", solid("RGB", RED), RED),
        ("grey.png", solid("L", 77), (77, 77, 77)),
        ("bilevel.png", solid("1", 1), (255, 255, 255)),
        ("palette.png", solid("RGB", TEAL).quantize(4), TEAL),
        ("clear.png", solid("RGBA", (*RED, 0)), (255, 255, 255)),
        ("opaque.png", solid("RGBA", (*RED, 255)), RED),
        ("half.png", solid("RGBA", (0, 0, 0, 128)), (127, 127, 127)),
        ("grey_alpha.png", solid("LA", (0, 0)), (255, 255, 255)),
        ("cmyk.tif", solid("CMYK", (0, 0, 0, 255)), (0, 0, 0)),
        ("deep.png", Image.fromarray(np.full((4, 6), 257 * 99, np.uint16)), (99, 99, 99)),
        ("deep.tif", Image.fromarray(np.full((4, 6), 65535, np.uint16)), (255, 255, 255)),
        ("picture.gif", solid("RGB", TEAL).quantize(4), TEAL),
        ("photo.bmp", solid("RGB", RED), RED),
    ],
)
def test_every_pixel_mode_becomes_rgb(tmp_path, name, image, pixel):
    pixels = read_image(save(tmp_path / name, image))
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.broadcast_to(np.uint8(pixel), (4, 6, 3)))


def test_a_transparent_palette_colour_shows_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *TEAL])
    image.putdata([0, 1])
    path = save(tmp_path / "p.png", image, transparency=0)
    assert read_image(path).tolist() == [[[255, 255, 255], list(TEAL)]]


def test_jpeg_in_cmyk_is_close(tmp_path):
    path = save(tmp_path / "c.jpg", solid("CMYK", (255, 0, 0, 0), (16, 16)), quality=95)
    assert np.abs(read_image(path).astype(int) - (0, 255, 255)).max() <= 4


def test_exif_turns_images_upright(tmp_path):
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[0, :3] = 255
    exif = Image.Exif()
    # Stored a quarter turn counterclockwise: "rotate 90 clockwise to display".
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
    path = save(tmp_path / "a" / "turned.png", stored, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)
    x, _ = read_images([path], tmp_path)
    assert x.shape == (1, 4, 6, 1)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_known_range_are_refused(tmp_path, mode):
    with pytest.raises(InvalidInputError, match=r"x\.tif"):
        read_image(save(tmp_path / "x.tif", solid(mode, 3)))


def class_folders(root):
    save(root / "cat" / "b.png", solid("L", 10, (10, 8)))
    save(root / "cat" / "deeper" / "a.png", solid("L", 20, (20, 12)))
    save(root / "ant" / "z.jpg", solid("L", 30, (30, 40)))
    save(root / "ant" / "y.png", solid("LA", (0, 0), (10, 8)))
    (root / "cat" / "notes.txt").write_text("no image")
    save(root / "cat" / ".hidden.png", solid("L", 1))
    save(root / "__MACOSX" / "cat" / "b.png", solid("L", 1))


def test_rows_follow_sorted_paths_at_the_median_size(tmp_path):
    class_folders(tmp_path)
    raw = read_class_folders(tmp_path)
    assert raw.labels.tolist() == ["ant", "ant", "cat", "cat"]
    # Heights 40, 8, 8, 12 and widths 30, 10, 10, 20.
    assert raw.x.shape == (4, 10, 15, 1)
    assert raw.x[:, 5, 5, 0].tolist() == [255, 30, 10, 20]
    assert raw.value_range == (0.0, 255.0)
    assert not raw.supplied
    assert read_class_folders(tmp_path, size=(5, 7)).x.shape == (4, 5, 7, 1)


def test_one_coloured_image_makes_all_rgb_and_grey_rgb_files_stay_grey(tmp_path):
    class_folders(tmp_path)
    save(tmp_path / "ant" / "w.png", solid("RGB", (9, 9, 9)))
    assert read_class_folders(tmp_path).x.shape[3] == 1
    save(tmp_path / "ant" / "v.png", solid("RGB", RED))
    x = read_class_folders(tmp_path).x
    assert x.shape[3] == 3
    assert x[0, 0, 0].tolist() == list(RED)
    assert x[-1, 0, 0].tolist() == [20, 20, 20]


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_split_folders_are_splits(tmp_path, validation):
    for top, count in (("train", 3), (validation, 1), ("test", 2)):
        for label in ("a", "b"):
            for number in range(count):
                save(tmp_path / top / label / f"{number}.png", solid("L", number))
    save(tmp_path / "train" / "stray.png", solid("L", 0))
    raw = read_class_folders(tmp_path)
    assert {name: len(rows) for name, rows in raw.supplied.items()} == {
        "train": 6, "validation": 2, "test": 4,
    }  # fmt: skip
    # Path order: test, train, val or validation.
    assert raw.supplied["test"].tolist() == [0, 1, 2, 3]
    assert set(raw.labels) == {"a", "b"}
    assert raw.notes == ("1 images lie outside of the class folders and were ignored.",)


def test_corrupt_files_are_named_or_skipped_and_listed(tmp_path):
    class_folders(tmp_path)
    whole = save(tmp_path / "cat" / "c.jpg", Image.effect_noise((64, 64), 90)).read_bytes()
    (tmp_path / "cat" / "c.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "ant" / "no.png").write_text("not an image")
    with pytest.raises(InvalidInputError, match="2 of 6") as caught:
        read_class_folders(tmp_path)
    message = str(caught.value)
    assert "'ant/no.png', 'cat/c.jpg'" in message
    assert "\n" not in message
    raw = read_class_folders(tmp_path, skip_corrupt=True)
    assert raw.skipped == ("ant/no.png", "cat/c.jpg")
    assert raw.labels.tolist() == ["ant", "ant", "cat", "cat"]
    np.testing.assert_array_equal(raw.x[:, 2, 2, 0], [255, 30, 10, 20])


def test_nothing_readable_is_an_error_even_when_skipping(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.png").touch()
    with pytest.raises(InvalidInputError, match="2 of 2"):
        read_class_folders(tmp_path, skip_corrupt=True)


def test_folders_that_are_no_data_are_refused_in_one_line(tmp_path):
    def expect(received):
        with pytest.raises(InvalidInputError, match=received) as caught:
            read_class_folders(tmp_path)
        assert "\n" not in str(caught.value)

    expect("folder of images per class")
    save(tmp_path / "loose.png", solid("L", 1))
    expect("folder of images per class")
    save(tmp_path / "a" / "1.png", solid("L", 1))
    (tmp_path / "b").mkdir()
    expect(r"none in '.*/b'")
    save(tmp_path / "b" / "1.png", solid("L", 1))
    save(tmp_path / "test" / "a" / "1.png", solid("L", 1))
    expect("'test', 'a', 'b'")


def test_train_alone_or_twice_the_validation(tmp_path):
    for label in "ab":
        save(tmp_path / "train" / label / "1.png", solid("L", 1))
    assert list(read_class_folders(tmp_path).supplied) == ["train"]
    (tmp_path / "test").mkdir()
    with pytest.raises(InvalidInputError, match=r"none in '.*/test'"):
        read_class_folders(tmp_path)
    (tmp_path / "test").rmdir()
    for name in ("val", "validation"):
        save(tmp_path / name / "a" / "1.png", solid("L", 1))
    with pytest.raises(InvalidInputError, match="'val', 'validation'"):
        read_class_folders(tmp_path)


def test_images_that_would_not_fit_into_memory_are_refused_first(tmp_path):
    path = save(tmp_path / "a.png", solid("L", 1))
    with pytest.raises(InvalidInputError, match="1000 of 1024x1024"):
        read_images([path] * 1000, tmp_path, size=(1024, 1024))


def test_find_images_is_sorted_by_path_parts(tmp_path):
    for name in ("b/1.png", "b a/1.png", "b/10.png", "b/2.PNG", "b/c/0.png"):
        save(tmp_path / name, solid("L", 1))
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["b/1.png", "b/10.png", "b/2.PNG", "b/c/0.png", "b a/1.png"]
