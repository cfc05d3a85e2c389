"""What people call splits, samples, labels and class names: in folders, archives and mappings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keras_ganaccel.errors import InvalidInputError

SPLIT_NAMES = ("train", "validation", "test")
SPLITS_OF = {1: ("",), 2: ("train", "test"), 3: SPLIT_NAMES}
"""What one, two and three sets of samples with labels are; ``""`` is still to be split."""

_SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "validate": "validation", "dev": "validation", "eval": "validation",
    "evaluation": "validation",
    "test": "test", "testing": "test", "tests": "test", "holdout": "test",
}  # fmt: skip
# Too short to mean a split by themselves, but not where folders of the same classes lie below.
_SHORT_SPLIT_WORDS = {"tr": "train", "trn": "train", "te": "test", "tst": "test"}
# Of several in one place the first one counts: scikit-learn's digits have images and flat data.
_SAMPLE_WORDS = (
    "x", "images", "image", "imgs", "img", "data", "samples", "features", "inputs", "pixels",
)  # fmt: skip
LABEL_WORDS = ("y", "labels", "label", "targets", "target", "classes", "class")
_CLASS_NAME_WORDS = ("classnames", "labelnames", "targetnames")


@dataclass(frozen=True)
class FoundKeys:
    """Which keys of an archive or mapping hold what.

    Args:
        parts: For each split the keys of its samples and of its labels; the split ``""`` is data
            that are still to be split.
        class_names: The key of the classes' names, if there is one.
        unused: The other keys.
    """

    parts: Mapping[str, tuple[str, str]]
    class_names: str | None
    unused: tuple[str, ...]


def split_of(name: str) -> str | None:
    """Tells which split something is called after, in any case, or None.

    Example:
        >>> split_of("Training"), split_of("VALID"), split_of("test_set"), split_of("tested")
        ('train', 'validation', 'test', None)
    """
    word = re.sub(r"[\s_.-]*(set|data|images?|imgs?|split)$", "", name.strip().lower())
    return _SPLIT_WORDS.get(word)


def split_within(name: str) -> str | None:
    """Tells which split a longer name speaks of, if it speaks of one only.

    Example:
        >>> split_within("seg_train"), split_within("val2017"), split_within("02-Tst")
        ('train', 'validation', 'test')
        >>> split_within("strain"), split_within("train_and_test")
        (None, None)
    """
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])(?=[A-Z])", r"\1 ", name).lower())
    known = _SPLIT_WORDS | _SHORT_SPLIT_WORDS
    found = {known[word] for word in words if word in known}
    return found.pop() if len(found) == 1 else None


def find_keys(keys: Iterable[str], where: str) -> FoundKeys:
    """Finds samples and labels, of one or several splits, among the keys of an archive or mapping.

    Args:
        keys: Such as ``("x_train", "y_train", "x_test", "y_test")``, ``("data", "target")`` or
            ``("train_images", "train_labels", ...)``, in any case.
        where: What messages call the place.

    Returns:
        The keys.

    Raises:
        InvalidInputError: If none of them, or more than one, may hold the samples or the labels.

    Example:
        >>> found = find_keys(["train_images", "train_labels", "ids"], "data.npz")
        >>> found.parts, found.unused
        ({'train': ('train_images', 'train_labels')}, ('ids',))
    """
    keys = tuple(keys)
    roles: dict[tuple[str, str], list[tuple[int, str]]] = {}
    class_names = None
    for key in keys:
        plain = re.sub(r"[^a-z0-9]", "", key.lower())
        if plain in _CLASS_NAME_WORDS:
            class_names = key
        for split, role, rank in _ROLES.get(plain, ()):
            roles.setdefault((split, role), []).append((rank, key))
    splits = [name for name in SPLIT_NAMES if {(name, "x"), (name, "y")} <= set(roles)]
    whole = {("", "x"), ("", "y")} <= set(roles)
    if not (whole or "train" in splits):
        raise InvalidInputError(
            f"{where} must hold x and y, or x_train, y_train, x_test and y_test. Received: "
            f"{', '.join(sorted(map(str, keys))) or 'nothing'}. Rename its arrays."
        )
    parts = {
        name: (min(roles[name, "x"])[1], _only(roles[name, "y"], where))
        for name in (splits if "train" in splits and not _plain_pair(keys) else [""])
    }
    used = {key for pair in parts.values() for key in pair} | {class_names}
    return FoundKeys(parts, class_names, tuple(key for key in keys if key not in used))


def _plain_pair(keys: tuple[str, ...]) -> bool:
    return {"x", "y"} <= set(keys)


def _only(ranked: list[tuple[int, str]], where: str) -> str:
    rank, key = min(ranked)
    if len(ranked) > 1 and rank > 0:
        raise InvalidInputError(
            f"{where} must hold the labels once. Received: "
            f"{' and '.join(sorted(key for _, key in ranked))}. Keep one of them, or call it y."
        )
    return key


def _role_table() -> dict[str, list[tuple[str, str, int]]]:
    """From a key without punctuation to the split, role and rank that it may stand for."""
    table: dict[str, list[tuple[str, str, int]]] = {}
    for role, words in (("x", _SAMPLE_WORDS), ("y", LABEL_WORDS)):
        for rank, word in enumerate(words):
            table.setdefault(word, []).append(("", role, rank))
            for split_word, split in _SPLIT_WORDS.items():
                for key in (word + split_word, split_word + word):
                    table.setdefault(key, []).append((split, role, rank))
    return table


_ROLES = _role_table()
