"""What knows images lies in modality/image/: elsewhere no code asks for sides or channels."""

import re
from pathlib import Path

import keras_ganaccel

PACKAGE = Path(keras_ganaccel.__file__).parent
ASSUMPTIONS = re.compile(
    r"\bimage_shape\b|\bspec\.(height|width|channels)\b|unit_to_signed|signed_to_unit"
    r"|axis=\(1, 2, 3\)|\bndim [!=]= 4\b|\bimport (DataSpec|IMAGE)\b"
)
# Where they stand for a reason.
ALLOWED = {
    "__init__.pyi": "the public names of images",
    "benchmarks/mixing.py": "streams of pictures are what is measured",
    "benchmarks/compression.py": "models and data of published image benchmarks",
    "benchmarks/steps.py": "steps of networks for pictures are what is measured",
    "benchmarks/zoo_models.py": "published image models",
    "classifier/shallow.py": "teachers of images see them shifted and averaged down",
    "export/agreement.py": "a value range is part of the metadata of image files",
    "export/metadata.py": "a value range is part of the metadata of image files",
    "export/predict.py": "files without a front end take images",
    "export/verify.py": "a value range is part of the metadata of image files",
}


def _without_examples(text: str) -> str:
    return "\n".join(
        line for line in text.splitlines() if ">>> " not in line and "... " not in line
    )


def test_only_the_package_of_images_and_the_files_that_are_named_assume_images():
    found = set()
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]:
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("modality/image/"):
            continue
        if ASSUMPTIONS.search(_without_examples(path.read_text(encoding="utf-8"))):
            found.add(name)
    assert found == set(ALLOWED)


def test_the_game_knows_its_range_nowhere():
    for folder in ("gan", "generated", "mixing", "gate", "metrics"):
        for path in (PACKAGE / folder).rglob("*.py"):
            code = _without_examples(path.read_text(encoding="utf-8"))
            assert not re.search(r"\* 2\.0 - 1\.0|\+ 1\.0\) / 2\.0|127\.5", code), path
