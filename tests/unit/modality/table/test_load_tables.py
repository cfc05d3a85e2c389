"""Tables through `load_data`: splits, groups, labels, what is a table, and rows to predict."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.model_selection import train_test_split

import keras_ganaccel as ga
from keras_ganaccel.cli.main import main
from keras_ganaccel.modality.load import load_samples
from keras_ganaccel.modality.registry import modality_of, spec_from_dict


@pytest.fixture
def path(tmp_path, of_all_kinds):
    """A file of 120 rows of all kinds of columns."""
    frame = of_all_kinds(120)
    frame["label"] = np.where(frame["number"] + 5 * frame["count"] > 115, "high", "low")
    frame["person"] = np.arange(120) // 4
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_a_table_is_split_as_all_data_are_and_fitted_on_training_rows(path):
    data = ga.load_data(path, target="label", drop=["person"])
    rows = np.arange(120)
    test = train_test_split(rows, test_size=0.3, stratify=data.y, random_state=20261121)[1]
    assert sorted(data.splits.test) == sorted(test)
    assert (data.name, data.spec.modality, data.spec.target) == ("t", "table", "label")
    assert data.spec.class_names == ("high", "low")
    x, y = data.arrays("train")
    assert x.dtype == np.float32
    assert x.shape == (len(data.splits.train), *data.spec.sample_shape)
    assert len(y) == len(x)
    changed = pd.read_csv(path)
    changed.loc[data.splits.test, "number"] *= 1000
    changed.loc[data.splits.validation, "city"] = "Paris"
    again = ga.load_data(changed, target="label", drop=["person"])
    np.testing.assert_array_equal(again.arrays("train")[0], x)
    assert again.spec == data.spec


def test_labels_in_all_and_groups(path):
    data = ga.load_data(path, target="label", labels=40, groups="person")
    assert len(data.splits.train) + len(data.splits.validation) == pytest.approx(40, abs=4)
    assert "person" not in data.x
    people = pd.read_csv(path)["person"].to_numpy()
    assert not set(people[data.splits.train]) & set(people[data.splits.test])


def test_unlabelled_rows_are_kept_apart(path):
    frame = pd.read_csv(path)
    frame.loc[:19, "label"] = None
    data = ga.load_data(frame, target="label", drop=["person"])
    assert (data.y[:20] == -1).all()
    assert len(data.unlabelled) == 20
    assert data.unlabelled_arrays().shape == (20, *data.spec.sample_shape)


def test_what_is_a_table_and_what_are_pixels(tmp_path):
    pixels = pd.DataFrame(
        np.random.default_rng(0).integers(0, 256, (40, 64)),
        columns=[f"pixel{number}" for number in range(64)],
    ).assign(label=[0, 1] * 20)
    pixels.to_csv(tmp_path / "d.csv", index=False)
    for source in (pixels, tmp_path / "d.csv"):
        assert ga.load_data(source).spec.modality == "image"
        assert ga.load_data(source, modality="table", target="label").spec.modality == "table"
    assert ga.load_data(pixels, target="label").spec.modality == "image"
    named = pixels.rename(columns=lambda name: name.replace("pixel", "sensor"))
    assert ga.load_data(named, target="label").spec.modality == "table"


def test_rows_that_are_equal_by_chance_stay_and_copies_do_not():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"sex": rng.choice(["f", "m"], 200), "size": rng.normal(size=200), "label": [0, 1] * 100}
    )
    few = ga.load_data(frame.drop(columns="size"), target="label")
    assert len(few.splits.removed) == 0
    frame.loc[rng.random(200) < 0.2, "size"] = None
    gaps = ga.load_data(frame, target="label")
    assert len(gaps.splits.removed) == 0
    assert gaps.x["size"].iloc[gaps.splits.train].isna().any()
    copies = pd.concat([frame, frame.iloc[:100]])
    held_out = ga.load_data(copies, target="label")
    assert 20 < len(held_out.splits.removed) < 100
    assert held_out.x["size"].iloc[held_out.splits.removed].notna().all()


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris"])
def test_embedded_tables(name):
    data = ga.load_data(f"tables:{name}", labels_per_class=20)
    x, _ = data.arrays("test")
    assert x.shape[1:] == data.spec.sample_shape
    assert np.isfinite(x).all()


def test_options_of_images_are_refused(path):
    with pytest.raises(ga.InvalidInputError, match="`image_size` means nothing"):
        ga.load_data(path, target="label", image_size=8)
    with pytest.raises(ga.InvalidInputError, match="no target"):
        ga.load_data(path, modality="table")


def test_rows_to_predict_are_read_with_or_without_labels(path, tmp_path):
    data = ga.load_data(path, target="label", drop=["person"])
    spec = spec_from_dict(data.spec.to_dict())
    expected = spec.encode(data.x)
    np.testing.assert_allclose(spec.encode(load_samples(path, spec)), expected, atol=1e-6)
    frame = pd.read_csv(path).drop(columns="label").iloc[:, ::-1]
    np.testing.assert_allclose(spec.encode(load_samples(frame, spec)), expected, atol=1e-6)
    frame.to_csv(tmp_path / "new.tsv", sep="\t", index=False)
    np.testing.assert_allclose(
        spec.encode(load_samples(tmp_path / "new.tsv", spec)), expected, atol=1e-6
    )
    with pytest.raises(ga.InvalidInputError, match="'city'"):
        load_samples(frame.drop(columns="city"), spec)
    with pytest.raises(ga.InvalidInputError, match="pandas frame or a file"):
        load_samples(tmp_path, spec)


def test_words_for_missing_values_hold_for_rows_to_predict(tmp_path):
    frame = pd.DataFrame({"a": ["NA", "x", "-", "x"] * 10, "label": [0, 1] * 20})
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = ga.load_data(
        tmp_path / "t.csv", target="label", columns={"columns": {"a": {"missing": ["-"]}}}
    )
    assert data.spec.encoded_names == ("a = x", "a = NA", "a is missing")
    rows = data.spec.encode(load_samples(tmp_path / "t.csv", data.spec))
    assert rows[:3].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_relaxed_rows_come_back_as_arrays_and_as_tensors(path):
    data = ga.load_data(path, target="label", drop=["person"])
    modality = modality_of(data.spec)
    x, _ = data.arrays("train")
    relaxed = modality.relax(x, data.spec)
    assert np.abs(relaxed).max() <= 1
    np.testing.assert_allclose(modality.harden(relaxed, data.spec), x, atol=1e-3)
    back = tf.function(lambda t: modality.harden(modality.relax(t, data.spec), data.spec))(
        tf.constant(x)
    )
    assert back.shape == x.shape
    np.testing.assert_allclose(back, x, atol=1e-3)
    np.testing.assert_array_equal(modality.rows(x), x)
    with pytest.raises(ga.InvalidInputError, match=r"spec=data\.spec"):
        modality.relax(x)


@pytest.mark.parametrize(
    ("text", "options", "word"),
    [
        ("a,label\n1,x\n2,y,z\n", ["--target", "label"], "3 in line 3"),
        ("a,label\n1,x\n2,y\n", ["--target", "lable"], "Did you mean 'label'?"),
        ("a,label\n" + "1,0.5\n2,1.5\n" * 9, ["--target", "label"], "Regression"),
        ("a,label\n" + "1,x\n2,y\n" * 9, ["--target", "label", "--drop", "b"], "'b'"),
        ("a,label\n" + "1,x\n2,y\n" * 9, ["--target", "label", "--columns", "no.yaml"], "no.yaml"),
    ],
)
def test_the_command_line_says_what_is_wrong_in_one_line(tmp_path, capfd, text, options, word):
    path = tmp_path / "t.csv"
    path.write_text(text)
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as left:
        main(["run", "--data", str(path), *options, "--out", str(out)])
    error = capfd.readouterr().err
    assert left.value.code == 2
    assert word in error
    assert error.count("\n") == 1
    assert not out.exists()
