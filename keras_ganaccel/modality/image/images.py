"""Image files: any size and pixel mode, one at a time or many at one size."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from keras_ganaccel.data.labels import named
from keras_ganaccel.errors import InvalidInputError

MOST_BYTES = 2**31
LARGEST_SIDE = 1024
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)
# Pillow knows these, but they are no pictures of pixels, or need another program to become some.
_NO_PICTURES = frozenset(
    {"BUFR", "CUR", "EPS", "FITS", "FLI", "GBR", "GRIB", "HDF5", "IPTC", "MCIDAS", "MIC", "MPEG",
     "WMF"}
)  # fmt: skip
# A phone's photograph may hold a depth or gain map as a second picture.
_ONE_PICTURE = frozenset({"JPEG", "MPO", "ICO", "ICNS"})


@dataclass(frozen=True, eq=False)
class ImageArray:
    """What many image files hold, at one size.

    Args:
        x: uint8, shape ``(n, height, width, 1 or 3)``, of the readable ones.
        readable: For each file whether it could be read.
        animated: How many files hold several pictures, of which the first was taken.
    """

    x: np.ndarray
    readable: np.ndarray
    animated: int


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """The formats that this machine's Pillow decodes by itself, such as ``"PNG"``."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NO_PICTURES))


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The endings of files in those formats, in lower case, such as ``".png"``."""
    known = readable_formats()
    return frozenset(suffix for suffix, form in Image.EXTENSION.items() if form in known)


def read_image(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> np.ndarray:
    """Reads one image file as RGB.

    It is turned upright by its EXIF orientation. Transparent parts show white, as on a page.
    16-bit values are scaled to 8 bits. Of an animation the first picture counts.

    Args:
        path: The file.
        size: ``(height, width)`` to resize to, antialiased, without keeping the aspect ratio.

    Returns:
        uint8, shape ``(height, width, 3)``.

    Raises:
        InvalidInputError: If the file is no image, damaged, or has pixels without a known range.
    """
    return _read(path, size)[0]


def _read(path: str | os.PathLike[str], size: tuple[int, int] | None) -> tuple[np.ndarray, bool]:
    """The pixels of a file, and whether it holds further pictures."""
    try:
        with Image.open(path, formats=readable_formats()) as file:
            animated = file.format not in _ONE_PICTURE and getattr(file, "is_animated", False)
            image = _to_rgb(ImageOps.exif_transpose(file))
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(image), animated
    # Pillow's decoders raise nearly anything on a damaged file.
    except Exception as error:
        raise InvalidInputError(
            f"Cannot read the image {str(path)!r}. Received: {type(error).__name__}. "
            "Repair it or leave it out."
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        values = np.clip(np.asarray(image).astype(np.float64), 0, 65535)
        return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def read_images(
    paths: Sequence[Path],
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    skip_corrupt: bool = False,
) -> ImageArray:
    """Reads many image files at one size.

    Args:
        paths: The files.
        folder: Where they are, so that messages can name them briefly.
        size: ``(height, width)``; None takes the median height and the median width.
        skip_corrupt: Leave out files that cannot be read instead of refusing them.

    Returns:
        The pixels, with one channel if every image is grey in every pixel, however it is stored.

    Raises:
        InvalidInputError: If a file cannot be read and `skip_corrupt` is False, if none can, or if
            they would take more than 2 GiB.
    """
    size = size or _median_size(paths)
    check_sides(size)
    if len(paths) * size[0] * size[1] * 3 > MOST_BYTES:
        raise InvalidInputError(
            f"The images must fit into {MOST_BYTES >> 30} GiB. Received: {len(paths)} of "
            f"{size[0]}x{size[1]}. Give a smaller `image_size`."
        )
    x = np.empty((len(paths), *size, 3), np.uint8)

    several = np.zeros(len(paths), bool)

    def read(row: int) -> bool:
        try:
            x[row], several[row] = _read(paths[row], size)
        except InvalidInputError:
            return False
        return True

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        readable = np.fromiter(pool.map(read, range(len(paths))), bool, len(paths))
    corrupt = relative_names(paths, folder, ~readable)
    if corrupt and (not skip_corrupt or len(corrupt) == len(paths)):
        raise InvalidInputError(
            f"Cannot read {len(corrupt)} of {len(paths)} images in {str(folder)!r}. Received: "
            f"{named(corrupt)}. "
            "Repair them, or pass skip_corrupt=True (--skip-corrupt) to go on without them."
        )
    x = x if readable.all() else x[readable]
    grey = all(np.array_equal(x[..., 0], x[..., channel]) for channel in (1, 2))
    return ImageArray(x[..., :1].copy() if grey else x, readable, int(several.sum()))


def check_sides(size: tuple[int, int]) -> None:
    """Refuses samples that are too large to be learnt from as they are.

    Args:
        size: Their height and width.

    Raises:
        InvalidInputError: A side has more than 1,024 pixels.
    """
    if max(size) > LARGEST_SIDE:
        raise InvalidInputError(
            f"Samples may have up to {LARGEST_SIDE} pixels a side. Received: {size[0]}x{size[1]}. "
            "Give an `image_size` (--image-size), such as 64."
        )


def relative_names(paths: Sequence[Path], folder: Path, chosen: np.ndarray) -> tuple[str, ...]:
    """Names those of `paths` that are chosen, relative to the folder that they are in."""
    pairs = zip(paths, chosen, strict=True)
    return tuple(path.relative_to(folder).as_posix() for path, wanted in pairs if wanted)


def _median_size(paths: Sequence[Path]) -> tuple[int, int]:
    """The median height and width by the files' headers; those without one do not count."""
    sizes = []
    for path in paths:
        try:
            with Image.open(path) as image:
                width, height = image.size
                turned = image.getexif().get(_ORIENTATION) in _SIDEWAYS
        # Reading the whole file will report it.
        except Exception:
            continue
        sizes.append((width, height) if turned else (height, width))
    if not sizes:
        return (1, 1)
    height, width = np.median(np.array(sizes), axis=0)
    return int(height), int(width)
