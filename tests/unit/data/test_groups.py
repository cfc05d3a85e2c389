import numpy as np
import pytest

from keras_ganaccel.data.groups import read_groups
from keras_ganaccel.errors import InvalidInputError, MissingFileError
from keras_ganaccel.modality.load import load_data

X = np.random.default_rng(0).integers(0, 256, (90, 6, 6), dtype=np.uint8)
Y = np.arange(90) % 3
GROUPS = np.arange(90) // 9


def test_groups_in_files_keep_to_one_side_of_every_split(tmp_path):
    np.save(tmp_path / "groups.npy", GROUPS)
    (tmp_path / "groups.txt").write_text("\n".join(f"person {group}" for group in GROUPS))
    for groups in (GROUPS, tmp_path / "groups.npy", str(tmp_path / "groups.txt")):
        splits = load_data((X, Y), groups=groups).splits
        parts = [set(GROUPS[rows]) for rows in (splits.train, splits.validation, splits.test)]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 10


def test_groups_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="Name a column of the data, or a file"):
        read_groups(tmp_path / "none.txt")
    (tmp_path / "broken.npy").write_bytes(b"no array")
    with pytest.raises(InvalidInputError, match="The groups cannot be read"):
        read_groups(tmp_path / "broken.npy")
    np.save(tmp_path / "short.npy", GROUPS[1:])
    with pytest.raises(InvalidInputError, match="`groups` must hold one group per sample"):
        load_data((X, Y), groups=tmp_path / "short.npy")
