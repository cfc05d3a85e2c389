import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_ganaccel.data.vocabulary import split_of
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.image.folders import list_files, read_class_folders

RED = (200, 30, 40)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def solid(mode, colour, size=(6, 4)):
    return Image.new(mode, size, colour)


def fill(root, *folders, count=1):
    """Makes folders that hold grey images, no two alike."""
    for place, folder in enumerate(folders):
        for number in range(count):
            save(root / folder / f"{number}.png", solid("L", 1 + place * count + number))


def refusal(root):
    with pytest.raises(InvalidInputError) as caught:
        read_class_folders(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
    assert raw.details == (0.0, 255.0)
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
    assert raw.notes == ("1 image lies outside of the class folders. Left out.",)


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
    with pytest.raises(InvalidInputError, match=r"none in '.*/test'.*--unlabelled"):
        read_class_folders(tmp_path)
    (tmp_path / "test").rmdir()
    for name in ("val", "validation"):
        save(tmp_path / name / "a" / "1.png", solid("L", 1))
    with pytest.raises(InvalidInputError, match="'val', 'validation'"):
        read_class_folders(tmp_path)


def test_images_are_sorted_by_path_parts(tmp_path):
    for name in ("b/1.png", "b a/1.png", "b/10.png", "b/2.PNG", "b/c/0.png"):
        save(tmp_path / name, solid("L", 1))
    found = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path).images]
    assert found == ["b/1.png", "b/10.png", "b/2.PNG", "b/c/0.png", "b a/1.png"]


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Train", "Valid", "Test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "VALID", "TEST"),
        ("train_set", "dev", "test_set"),
        ("training-images", "eval", "test images"),
    ],
)
def test_splits_have_their_usual_names_in_any_case(tmp_path, train, validation, test):
    for top in (train, validation, test):
        fill(tmp_path / top, "a", "b")
    raw = read_class_folders(tmp_path)
    assert set(raw.labels) == {"a", "b"}
    assert sorted(raw.supplied) == ["test", "train", "validation"]
    (note,) = raw.notes
    assert note.startswith("Folders taken as splits: ")
    assert f"{train!r} as train" in note


@given(st.sampled_from(["train", "Training", "trainset", "TRAIN data"]), st.randoms())
def test_the_case_of_a_split_does_not_matter(name, random):
    mixed = "".join(random.choice((c.lower(), c.upper())) for c in name)
    assert split_of(mixed) == "train"


@pytest.mark.parametrize("name", ["trainer", "detest", "data", "values", "developer", "set", ""])
def test_other_names_are_no_splits(name):
    assert split_of(name) is None


def test_splits_without_class_folders_are_refused_not_classes(tmp_path):
    fill(tmp_path, "Train", "Test")
    message = refusal(tmp_path)
    assert "without class folders in 'Test', 'Train'" in message


def test_a_class_may_be_called_like_a_split(tmp_path):
    fill(tmp_path, "bus", "car", "train")
    raw = read_class_folders(tmp_path)
    assert raw.labels.tolist() == ["bus", "car", "train"]
    assert raw.notes == ("The folder 'train' stands beside others and is taken as a class.",)


def test_held_out_classes_are_those_of_training_in_any_case(tmp_path):
    fill(tmp_path / "train", "cat", "dog")
    fill(tmp_path / "test", "Cat", "dog")
    raw = read_class_folders(tmp_path)
    assert set(raw.labels) == {"cat", "dog"}
    assert "although the case differs: 'test/Cat'" in raw.notes[-1]


@pytest.mark.parametrize("below", [("cats", "dogs"), ("train/a", "train/b", "test/a", "test/b")])
@pytest.mark.parametrize("depth", [("data",), ("archive", "data")])
def test_one_folder_too_high_names_the_folder_below(tmp_path, below, depth):
    data = tmp_path.joinpath("root", *depth)
    fill(data, *below)
    (tmp_path / "root" / "docs").mkdir()
    assert refusal(tmp_path / "root").endswith(f"one folder too high. Give {str(data)!r}.")
    assert len(read_class_folders(data).x) == len(below)


def test_one_folder_too_low_says_so(tmp_path):
    fill(tmp_path, "cats", "dogs")
    assert "or give the folder above" in refusal(tmp_path / "cats")


def test_every_image_of_every_ending_is_read_or_counted(tmp_path):
    fill(tmp_path, "a", "b")
    for number, ending in enumerate(["jfif", "JPG", "jpe", "TIFF", "webp", "ppm", "gif"]):
        form = {"jfif": "JPEG", "jpe": "JPEG"}.get(ending)
        save(tmp_path / "a" / f"x{number}.{ending}", solid("RGB", RED), format=form)
    for name in ("photo.heic", "photo", "notes.txt", ".DS_Store", "Thumbs.db", "._0.png"):
        (tmp_path / "a" / name).write_text("?")
    for junk in ("__MACOSX", ".ipynb_checkpoints", "@eaDir"):
        fill(tmp_path / "a", junk)
        fill(tmp_path, junk)
    raw = read_class_folders(tmp_path)
    assert len(raw.x) == 2 + 7
    assert raw.notes == (
        "3 files without the ending of an image that can be read: 'a/notes.txt', 'a/photo', "
        "'a/photo.heic'. Left out.",
    )


def test_a_class_without_a_readable_image_does_not_vanish(tmp_path):
    fill(tmp_path, "a", "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.png").touch()
    with pytest.raises(InvalidInputError, match=r"none in '.*/c'. Repair"):
        read_class_folders(tmp_path, skip_corrupt=True)


def test_folders_below_the_classes_are_mentioned(tmp_path):
    fill(tmp_path, "cats/lying", "cats/sitting", "dogs/running")
    raw = read_class_folders(tmp_path)
    assert set(raw.labels) == {"cats", "dogs"}
    assert raw.notes == (
        "The folders inside of the class folders are not told apart: 'lying', 'running', "
        "'sitting'.",
    )


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("seg_train", "seg_test"), ("train2017", "val2017"), ("01_train", "02_Test"),
        ("mnistTrain", "mnistTest"), ("train (1)", "test (1)"), ("Tr", "Te"), ("TRN", "TST"),
        ("my training images", "my validation images"), ("train_dir", "dev_dir"),
    ],
)  # fmt: skip
def test_longer_names_are_splits_where_the_same_classes_lie_below(tmp_path, train, test):
    for top in (train, test):
        fill(tmp_path / top, "a", "b")
    raw = read_class_folders(tmp_path)
    assert set(raw.labels) == {"a", "b"}
    assert len(raw.supplied) == 2
    assert len(raw.supplied["train"]) == 2
    assert f"{train!r} as train" in raw.notes[0]


def test_longer_names_are_classes_where_other_classes_lie_below(tmp_path):
    fill(tmp_path, "freight_train/front", "test_tube/full")
    assert set(read_class_folders(tmp_path).labels) == {"freight_train", "test_tube"}


def test_splits_inside_of_the_classes_are_splits(tmp_path):
    fill(tmp_path, "cats/train", "cats/Test", "dogs/train", "dogs/Test", count=2)
    raw = read_class_folders(tmp_path)
    assert set(raw.labels) == {"cats", "dogs"}
    rows = {name: raw.labels[rows].tolist() for name, rows in raw.supplied.items()}
    assert rows == {"train": ["cats"] * 2 + ["dogs"] * 2, "test": ["cats"] * 2 + ["dogs"] * 2}
    assert raw.notes == (
        "Folders inside of the class folders taken as splits: 'Test' as test, 'train' as train.",
    )


@pytest.mark.parametrize("tops", [("fold1", "fold2"), ("entrenamiento", "prueba"), ("A", "B", "C")])
def test_the_same_folders_below_all_are_refused_since_either_may_be_the_classes(tmp_path, tops):
    for top in tops:
        fill(tmp_path / top, "cat", "dog")
    message = refusal(tmp_path)
    assert message.startswith("It must be clear which folders are the classes.")
    assert "each with the folders 'cat', 'dog'" in message
    for top in tops:
        assert repr(top) in message


@pytest.mark.parametrize("labels", ["labels.csv", "annotations.json"])
def test_images_that_lie_together_beside_their_labels_are_told_so(tmp_path, labels):
    fill(tmp_path, "images", count=3)
    (tmp_path / labels).write_text("file,label")
    message = refusal(tmp_path)
    assert f"all images in {str(tmp_path / 'images')!r}, and labels in {labels!r}" in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path):
    fill(tmp_path, "a", "b")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    raw = read_class_folders(tmp_path)
    assert len(raw.x) == 2
    assert "'a/pipe.png'" in raw.notes[0]


def test_photographs_need_a_size(tmp_path):
    for name in "ab":
        save(tmp_path / name / "1.png", solid("L", 1, (1600, 1200)))
    assert "1200x1600" in refusal(tmp_path)
    assert read_class_folders(tmp_path, size=(12, 16)).x.shape == (2, 12, 16, 1)


def test_links_are_followed_once(tmp_path):
    fill(tmp_path / "store", "more", "b")
    fill(tmp_path / "data", "a")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "store" / "b")
    (tmp_path / "data" / "a" / "more").symlink_to(tmp_path / "store" / "more")
    (tmp_path / "data" / "a" / "loop").symlink_to(tmp_path / "data" / "a")
    raw = read_class_folders(tmp_path / "data")
    assert raw.labels.tolist() == ["a", "a", "b"]
    (tmp_path / "data" / "a" / "gone.png").symlink_to(tmp_path / "absent.png")
    assert "'a/gone.png'" in refusal(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_does_not_vanish(tmp_path):
    fill(tmp_path, "a/locked", "a", "b")
    (tmp_path / "a" / "locked").chmod(0)
    try:
        with pytest.raises(MissingFileError, match="locked"):
            read_class_folders(tmp_path)
    finally:
        (tmp_path / "a" / "locked").chmod(0o700)


NAMES = st.one_of(
    st.sampled_from(
        ["train", "Test", "VAL", "dev", "cat", "Cat", "nan", "-1", "cafe\u0301", "caf\u00e9", " a",
         "set", ".hidden", "__MACOSX", "a.png", "0", "\U0001f600"]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1,
            max_size=6).filter(lambda name: name not in (".", "..")),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    tree=st.dictionaries(
        NAMES, st.dictionaries(NAMES, st.integers(0, 2), max_size=3) | st.integers(0, 2), max_size=4
    )
)
def test_any_tree_of_folders_is_read_or_refused_in_one_line(tree, tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    made = 0
    for name, content in tree.items():
        parts = {"": content} if isinstance(content, int) else content
        for below, count in parts.items():
            (root / name / below).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                save(root / name / below / f"{number}.png", solid("L", made % 250))
                made += 1
    try:
        raw = read_class_folders(root)
    except InvalidInputError as error:
        message = str(error)
        raw = None
    if raw is None:
        assert "\n" not in message
        return
    hidden = sum(
        any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(root).parts)
        for path in root.rglob("*.png")
        if path.is_file()
    )
    assert len(raw.x) == len(raw.labels) == made - hidden
    rows = [*raw.supplied.values()] or [np.arange(made - hidden)]
    assert sorted(np.concatenate(rows).tolist()) == list(range(made - hidden))
