import numpy as np
import pytest
from PIL import Image

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.modality.image.images import image_suffixes, read_image, read_images

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
    assert read_images([path], tmp_path).x.shape == (1, 4, 6, 1)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_known_range_are_refused(tmp_path, mode):
    with pytest.raises(InvalidInputError, match=r"x\.tif"):
        read_image(save(tmp_path / "x.tif", solid(mode, 3)))


def test_images_that_would_not_fit_into_memory_are_refused_first(tmp_path):
    path = save(tmp_path / "a.png", solid("L", 1))
    with pytest.raises(InvalidInputError, match="1000 of 1024x1024"):
        read_images([path] * 1000, tmp_path, size=(1024, 1024))


def test_every_ending_that_pillow_reads_counts_but_no_programs_input():
    suffixes = image_suffixes()
    assert {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".webp", ".ppm", ".gif"} <= suffixes
    # Those make Pillow call another program, or read no pixels.
    assert not {".eps", ".ps", ".wmf", ".h5", ".mpg", ".pdf"} & suffixes


def test_a_disguised_postscript_file_is_not_handed_to_another_program(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EOF\n")
    with pytest.raises(InvalidInputError, match="UnidentifiedImageError"):
        read_image(path)


def test_animations_give_their_first_picture_and_are_counted(tmp_path):
    frames = [solid("RGB", RED), solid("RGB", TEAL)]
    paths = [
        save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]),
        save(tmp_path / "b.tif", frames[0], save_all=True, append_images=frames[1:]),
        save(tmp_path / "c.png", frames[0]),
    ]
    found = read_images(paths, tmp_path)
    assert found.animated == 2
    assert (found.x == np.uint8(RED)).all()
