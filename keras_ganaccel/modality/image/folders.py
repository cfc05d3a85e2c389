"""Folders of class folders: which files count, and which folders are classes and which splits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganaccel.data.labels import named
from keras_ganaccel.data.vocabulary import split_of, split_within
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.image.images import image_suffixes, read_images, relative_names
from keras_ganaccel.modality.protocol import RawData

_PLAIN_SPLIT_FOLDERS = ("train", "val", "validation", "test")
# What operating systems and tools leave behind.
_JUNK_FOLDERS = frozenset(
    {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
)
# Where labels of images that lie together are usually found.
_TABLES = frozenset({".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".xml", ".parquet"})
_JUNK_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})


@dataclass(frozen=True)
class FolderFiles:
    """The files in a folder and below, in sorted path order, without hidden ones.

    Args:
        images: Those that Pillow may read, by their names' endings.
        others: The rest.
    """

    images: tuple[Path, ...]
    others: tuple[Path, ...]


@dataclass(frozen=True)
class _ClassFolder:
    path: Path
    split: str
    name: str
    files: FolderFiles


def list_files(folder: Path) -> FolderFiles:
    """Finds the files in a folder and below, also through links, each folder once.

    Args:
        folder: Where to look.

    Returns:
        The images and the other files.

    Raises:
        MissingFileError: If a folder cannot be read.
    """
    suffixes, seen = image_suffixes(), set()
    images: list[Path] = []
    others: list[Path] = []

    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error)

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        # A link may lead back up.
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else [name for name in folders if not _is_junk_folder(name)]
        if real in seen:
            continue
        seen.add(real)
        for name in files:
            if not _is_junk_file(name):
                path = Path(parent, name)
                is_image = path.suffix.lower() in suffixes and not _is_special(path)
                (images if is_image else others).append(path)
    return FolderFiles(*(tuple(sorted(found, key=lambda p: p.parts)) for found in (images, others)))


def left_out_note(others: Sequence[Path], folder: Path) -> tuple[str, ...]:
    """Says which files were left out since they are no images, if any."""
    if not others:
        return ()
    names = relative_names(others, folder, np.ones(len(others), bool))
    return (
        f"{len(others)} file{'s' * (len(others) > 1)} without the ending of an image that can be "
        f"read: {named(names, most=3)}. Left out.",
    )


def read_class_folders(
    folder: Path, *, size: tuple[int, int] | None = None, skip_corrupt: bool = False
) -> RawData:
    """Reads a folder of class folders, with or without split folders above them.

    Rows are in sorted path order. Class folders may hold further folders. Files that are no
    images are left out, and counted in the notes.

    Args:
        folder: Holds a folder per class, or folders that do and are called after splits (``train``,
            ``val``, ``Testing``, ``test_set``, ``seg_train``, ...); or a folder per class that
            holds such folders.
        size: ``(height, width)``; None takes the median.
        skip_corrupt: Leave out files that cannot be read instead of refusing them.

    Returns:
        The raw data, the labels being the folders' names.

    Raises:
        InvalidInputError: If the folder or a class folder is empty, it is not clear which folders
            are classes, or a file cannot be read.
    """
    below = _subfolders(folder)
    contents = {path: list_files(path) for path in below}
    splits = _split_folders(folder, contents)
    notes = _split_notes(contents, splits)
    if splits:
        classes = [
            class_folder
            for top, split in splits.items()
            for class_folder in _class_folders(
                top, split, {path: list_files(path) for path in _subfolders(top)}
            )
        ]
        classes, renamed = _matched_names(classes)
        notes += renamed
    else:
        _refuse_one_too_high(folder, contents)
        classes = _class_folders(folder, "", contents)
        classes, found_below = _splits_below(classes)
        notes += found_below or _deeper_note(classes)
    paths = [path for part in classes for path in part.files.images]
    owners = np.repeat(np.arange(len(classes)), [len(part.files.images) for part in classes])
    found = read_images(paths, folder, size=size, skip_corrupt=skip_corrupt)
    owners = owners[found.readable]
    for number, part in enumerate(classes):
        if number not in owners:
            raise InvalidInputError(
                f"Every class folder must hold images that can be read. Received: none in "
                f"{str(part.path)!r}. Repair its images or remove the folder."
            )
    split = np.array([part.split for part in classes])[owners]
    others = [path for part in classes for path in part.files.others]
    stray = sum(_is_image(path) for top in {folder, *splits} for path in top.iterdir())
    if stray:
        images = "1 image lies" if stray == 1 else f"{stray} images lie"
        notes += (f"{images} outside of the class folders. Left out.",)
    if found.animated:
        notes += (f"{found.animated} files hold several pictures; the first of each was taken.",)
    return RawData(
        name=folder.resolve().name,
        x=found.x,
        labels=np.array([part.name for part in classes])[owners],
        supplied={name: np.flatnonzero(split == name) for name in np.unique(split) if name},
        every_text=True,
        details=(0.0, 255.0),
        skipped=relative_names(paths, folder, ~found.readable),
        notes=notes + left_out_note(others, folder),
    )


def _is_junk_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK_FOLDERS


def _is_junk_file(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK_FILES


def _is_special(path: Path) -> bool:
    """Whether something is no file at all, such as a pipe, which reading would wait for."""
    return path.exists() and not path.is_file()


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in image_suffixes() and path.name[0] != "."


def _subfolders(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.is_dir()]
    except OSError as error:
        raise _unreadable(folder, error) from None
    return sorted((path for path in found if not _is_junk_folder(path.name)), key=lambda p: p.name)


def _unreadable(folder: object, error: OSError) -> MissingFileError:
    return MissingFileError(
        f"Cannot read the folder {str(folder)!r}. Received: {error.strerror}. "
        "Give an existing, readable folder."
    )


def _split_folders(folder: Path, contents: Mapping[Path, FolderFiles]) -> dict[Path, str]:
    """The folders that are splits; none where the classes stand at the top."""
    splits = {path: split for path in contents if (split := split_of(path.name)) is not None}
    if not splits:
        splits = _longer_names(contents)
    if not splits:
        return {}
    nested = [path for path in splits if any(list_files(part).images for part in _subfolders(path))]
    others = [path for path, files in contents.items() if path not in splits and files.images]
    # A class of its own, such as trains beside buses.
    if len(splits) == 1 and others and not nested:
        return {}
    if not nested and all(contents[path].images for path in splits):
        raise InvalidInputError(
            "Split folders must hold a folder of images per class. Received: images without class "
            f"folders in {named([path.name for path in splits])} of {str(folder)!r}. "
            "Put the images of each class into a folder with its name."
        )
    if "train" not in splits.values() or len(set(splits.values())) < len(splits) or others:
        raise InvalidInputError(
            "Split folders must be one for training (train), and optionally one for validation "
            "(val) and one for the test (test), and stand alone. Received: "
            f"{named([path.name for path in [*splits, *others]])} in {str(folder)!r}. "
            "Rename or move folders."
        )
    return splits


def _longer_names(contents: Mapping[Path, FolderFiles]) -> dict[Path, str]:
    """Folders whose longer names speak of splits, where classes of the same names lie below."""
    splits = {path: split for path in contents if (split := split_within(path.name)) is not None}
    classes = [_holding(path) for path in splits if contents[path].images]
    if len(classes) < 2 or not set.intersection(*classes):
        return {}
    return splits


def _holding(folder: Path) -> set[str]:
    """The names of the folders inside that hold images."""
    return {path.name for path in _subfolders(folder) if list_files(path).images}


def _splits_below(
    classes: Sequence[_ClassFolder],
) -> tuple[list[_ClassFolder], tuple[str, ...]]:
    """Reads class folders that hold splits, and refuses those that all hold the same folders."""
    if any(path.parent == part.path for part in classes for path in part.files.images):
        return list(classes), ()
    below = [_holding(part.path) for part in classes]
    named_after = {name: split_of(name) for name in set().union(*below)}
    if all(named_after.values()) and all("train" in map(split_of, names) for names in below):
        parts = [
            _ClassFolder(path, named_after[path.name] or "", part.name, list_files(path))
            for part in classes
            for path in _subfolders(part.path)
            if path.name in named_after
        ]
        read = ", ".join(f"{name!r} as {split}" for name, split in sorted(named_after.items()))
        return parts, (f"Folders inside of the class folders taken as splits: {read}.",)
    shared = sorted(set.intersection(*below))
    if len(classes) > 1 and len(shared) > 1:
        raise InvalidInputError(
            "It must be clear which folders are the classes. Received: "
            f"{named([part.path.name for part in classes])}, each with the folders "
            f"{named(shared)}. Call the upper ones train, validation and test, or put the images "
            "of each class directly into a folder with its name."
        )
    return list(classes), ()


def _split_notes(
    contents: Mapping[Path, FolderFiles], splits: Mapping[Path, str]
) -> tuple[str, ...]:
    if splits and any(path.name not in _PLAIN_SPLIT_FOLDERS for path in splits):
        read = ", ".join(f"{path.name!r} as {split}" for path, split in splits.items())
        return (f"Folders taken as splits: {read}.",)
    alone = [path.name for path in contents if split_of(path.name) and not splits]
    return tuple(f"The folder {name!r} stands beside others and is taken as a class."
                 for name in alone)  # fmt: skip


def _class_folders(
    top: Path, split: str, contents: Mapping[Path, FolderFiles]
) -> list[_ClassFolder]:
    parts = [_ClassFolder(path, split, path.name, files) for path, files in contents.items()]
    if not parts:
        hint = "Put the images of each class into a folder with its name"
        if split:
            hint += ", or give samples without labels as `unlabelled` (--unlabelled)"
        elif list_files(top).images:
            hint += ", or give the folder above"
        raise InvalidInputError(
            "A data folder must hold a folder of images per class. Received: none in "
            f"{str(top)!r}. {hint}."
        )
    for part in parts:
        if not part.files.images:
            others = [path.name for path in part.files.others]
            raise InvalidInputError(
                f"Every class folder must hold images. Received: none in {str(part.path)!r}"
                f"{f', but {named(others, most=2)}' if others else ''}. Fill or remove the folder."
            )
    return parts


def _refuse_one_too_high(folder: Path, contents: Mapping[Path, FolderFiles]) -> None:
    """Names the folder below that holds the data, where `folder` holds nothing but that."""
    holding = [path for path, files in contents.items() if files.images]
    while len(holding) == 1:
        (top,) = holding
        holding = [path for path in _subfolders(top) if list_files(path).images]
        if len(holding) > 1 or any(split_of(path.name) == "train" for path in holding):
            raise InvalidInputError(
                "A data folder must hold a folder of images per class. Received: "
                f"{str(folder)!r}, one folder too high. Give {str(top)!r}."
            )
        if not holding and len(contents) == 1:
            tables = sorted(path.name for path in folder.iterdir() if path.suffix in _TABLES)
            labels = f", and labels in {named(tables)}, which are not read" if tables else ""
            raise InvalidInputError(
                "A data folder must hold a folder of images per class. Received: all images in "
                f"{str(top)!r}{labels}. Put the images of each class into a folder with its name."
            )


def _deeper_note(classes: Sequence[_ClassFolder]) -> tuple[str, ...]:
    """Says so where images lie below the class folders only, as if those were something else."""
    direct = any(path.parent == part.path for part in classes for path in part.files.images)
    if direct:
        return ()
    deeper = sorted({path.name for part in classes for path in _subfolders(part.path)})
    return (f"The folders inside of the class folders are not told apart: {named(deeper)}.",)


def _matched_names(classes: Sequence[_ClassFolder]) -> tuple[list[_ClassFolder], tuple[str, ...]]:
    """Gives held-out classes the names of the training classes, where only the case differs."""
    known = {part.name for part in classes if part.split == "train"}
    folded: dict[str, list[str]] = {}
    for name in known:
        folded.setdefault(name.casefold(), []).append(name)
    matched, renamed = [], []
    for part in classes:
        candidates = folded.get(part.name.casefold(), [])
        if part.name not in known and len(candidates) == 1:
            renamed.append(f"{part.split}/{part.name}")
            part = _ClassFolder(part.path, part.split, candidates[0], part.files)
        matched.append(part)
    if not renamed:
        return matched, ()
    return matched, (
        f"Taken as classes of the training split although the case differs: {named(renamed)}.",
    )
