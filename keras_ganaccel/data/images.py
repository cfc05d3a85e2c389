"""Image files: any size and pixel mode, one at a time or in a folder of class folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from keras_ganaccel.data.arrays import RawData
from keras_ganaccel.errors import InvalidInputError, MissingFileError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
     ".webp"}
)  # fmt: skip
SPLIT_FOLDERS = {
    "train": "train", "val": "validation", "validation": "validation", "test": "test",
}  # fmt: skip
MOST_BYTES = 2**31
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)


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
    try:
        with Image.open(path) as file:
            image = _to_rgb(ImageOps.exif_transpose(file))
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(image)
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


def find_images(folder: Path) -> list[Path]:
    """Finds the image files in a folder and below, in sorted path order; hidden ones are left out.

    Args:
        folder: Where to look.

    Returns:
        Their paths.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        found += [
            Path(parent, name)
            for name in files
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not _hidden(name)
        ]
    return sorted(found, key=lambda path: path.parts)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def read_images(
    paths: Sequence[Path],
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    skip_corrupt: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads many image files at one size.

    Args:
        paths: The files.
        folder: Where they are, so that messages can name them briefly.
        size: ``(height, width)``; None takes the median height and the median width.
        skip_corrupt: Leave out files that cannot be read instead of refusing them.

    Returns:
        uint8 samples, shape ``(n, height, width, 1 or 3)``, one channel if every image is grey in
        every pixel, however it is stored; and for each path whether it could be read.

    Raises:
        InvalidInputError: If a file cannot be read and `skip_corrupt` is False, if none can, or if
            they would take more than 2 GiB.
    """
    size = size or _median_size(paths)
    if len(paths) * size[0] * size[1] * 3 > MOST_BYTES:
        raise InvalidInputError(
            f"The images must fit into {MOST_BYTES >> 30} GiB. Received: {len(paths)} of "
            f"{size[0]}x{size[1]}. Give a smaller `image_size`."
        )
    x = np.empty((len(paths), *size, 3), np.uint8)

    def read(row: int) -> bool:
        try:
            x[row] = read_image(paths[row], size)
        except InvalidInputError:
            return False
        return True

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        readable = np.fromiter(pool.map(read, range(len(paths))), bool, len(paths))
    corrupt = relative_names(paths, folder, ~readable)
    if corrupt and (not skip_corrupt or len(corrupt) == len(paths)):
        more = f" and {len(corrupt) - 5} more" if len(corrupt) > 5 else ""
        raise InvalidInputError(
            f"Cannot read {len(corrupt)} of {len(paths)} images in {str(folder)!r}. Received: "
            f"{', '.join(repr(name) for name in corrupt[:5])}{more}. "
            "Repair them, or pass skip_corrupt=True (--skip-corrupt) to go on without them."
        )
    x = x if readable.all() else x[readable]
    grey = all(np.array_equal(x[..., 0], x[..., channel]) for channel in (1, 2))
    return (x[..., :1].copy() if grey else x), readable


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


def read_class_folders(
    folder: Path, *, size: tuple[int, int] | None = None, skip_corrupt: bool = False
) -> RawData:
    """Reads a folder of class folders, with or without split folders above them.

    Rows are in sorted path order. Class folders may hold further folders. Files that are no
    images are ignored.

    Args:
        folder: Holds a folder per class, or ``train``, ``val`` or ``validation``, and ``test``
            folders that do.
        size: ``(height, width)``; None takes the median.
        skip_corrupt: Leave out files that cannot be read instead of refusing them.

    Returns:
        The raw data, the labels being the folders' names.

    Raises:
        InvalidInputError: If the folder or a class folder is empty, or a file cannot be read.
    """
    below = _subfolders(folder)
    splits = [part for part in below if part.name in SPLIT_FOLDERS]
    if splits:
        _check_split_folders(folder, splits, below)
    tops = splits or [folder]
    paths: list[Path] = []
    labels: list[str] = []
    owners: list[str] = []
    for top in tops:
        class_folders = _subfolders(top)
        if not class_folders:
            raise InvalidInputError(
                f"A data folder must hold a folder of images per class. Received: none in "
                f"{str(top)!r}. Put the images of each class into a folder with its name."
            )
        for class_folder in class_folders:
            found = find_images(class_folder)
            if not found:
                raise InvalidInputError(
                    f"Every class folder must hold images. Received: none in "
                    f"{str(class_folder)!r}. Fill or remove the folder."
                )
            paths += found
            labels += [class_folder.name] * len(found)
            owners += [SPLIT_FOLDERS.get(top.name, "") if splits else ""] * len(found)
    x, readable = read_images(paths, folder, size=size, skip_corrupt=skip_corrupt)
    owner = np.array(owners)[readable]
    stray = sum(_is_image(path) for top in {folder, *tops} for path in top.iterdir())
    return RawData(
        name=folder.resolve().name,
        x=x,
        labels=np.array(labels)[readable],
        supplied={name: np.flatnonzero(owner == name) for name in np.unique(owner) if name},
        value_range=(0.0, 255.0),
        skipped=relative_names(paths, folder, ~readable),
        notes=(f"{stray} images lie outside of the class folders and were ignored.",)
        if stray
        else (),
    )


def _subfolders(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name)]
    except OSError as error:
        raise MissingFileError(
            f"Cannot read the folder {str(folder)!r}. Received: {error.strerror}. "
            "Give an existing, readable folder."
        ) from None
    return sorted(found, key=lambda path: path.name)


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not _hidden(path.name)


def _check_split_folders(folder: Path, splits: Sequence[Path], below: Sequence[Path]) -> None:
    names = [path.name for path in splits]
    others = [path.name for path in below if path not in splits and find_images(path)]
    if "train" not in names or {"val", "validation"} <= set(names) or others:
        raise InvalidInputError(
            "Split folders must be train, and optionally val or validation, and test, and stand "
            f"alone. Received: {', '.join(repr(name) for name in [*names, *others])} in "
            f"{str(folder)!r}. Rename or move folders."
        )
