import numpy as np
import pandas as pd
import pytest
import skops.io
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

from keras_ganaccel.classifier.estimator_file import load_estimator, save_estimator
from keras_ganaccel.classifier.kernel_machine import KernelMachine
from keras_ganaccel.errors import InvalidInputError, MissingFileError, UnsafeModelError


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    return (random.normal(size=(120, 5)) + y[:, None]).astype("float32"), y


ESTIMATORS = {
    "boosted": HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4),
    "forest": ExtraTreesClassifier(4),
    "gradient": GradientBoostingClassifier(n_estimators=2),
    "pipeline": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "selected": make_pipeline(
        make_column_transformer(
            (StandardScaler(), make_column_selector(dtype_include=np.number)),
        ),
        LogisticRegression(max_iter=500),
    ),
    "categories": make_pipeline(
        make_column_transformer((OrdinalEncoder(), ["c0"]), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=3, categorical_features=[0]),
    ),
    "voting": VotingClassifier([("a", LogisticRegression())], voting="soft"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_of_scikit_learn_come_back_without_anybody_trusting_them(name, rows, tmp_path):
    x, y = rows
    if name in ("selected", "categories"):
        x = pd.DataFrame(np.round(x), columns=[f"c{i}" for i in range(5)])
    fitted = ESTIMATORS[name].fit(x, y)
    save_estimator(tmp_path / "estimator.skops", fitted)
    loaded = load_estimator(tmp_path / "estimator.skops")
    np.testing.assert_array_equal(loaded.predict_proba(x), fitted.predict_proba(x))
    assert len(list(tmp_path.iterdir())) == 1


def test_our_own_machine_comes_back(rows, tmp_path):
    x, y = rows
    save_estimator(tmp_path / "machine.skops", KernelMachine().fit(x, y))
    loaded = load_estimator(tmp_path / "machine.skops")
    assert loaded.decision_function(x).shape == (120, 3)


def test_other_types_are_named_until_they_are_trusted(rows, tmp_path):
    x, y = rows
    fitted = LGBMClassifier(n_estimators=2, verbose=-1).fit(x, y)
    save_estimator(tmp_path / "boosted.skops", fitted)
    names = "lightgbm.basic.Booster,lightgbm.sklearn.LGBMClassifier"
    with pytest.raises(UnsafeModelError, match=f"--trust {names}"):
        load_estimator(tmp_path / "boosted.skops")
    with pytest.raises(UnsafeModelError, match=r"Booster\."):
        load_estimator(tmp_path / "boosted.skops", trusted=["lightgbm.sklearn.LGBMClassifier"])
    loaded = load_estimator(tmp_path / "boosted.skops", trusted=names.split(","))
    np.testing.assert_array_equal(loaded.predict_proba(x), fitted.predict_proba(x))


def test_a_function_is_not_run_because_a_file_says_so(rows, tmp_path):
    x, y = rows
    pipeline = make_pipeline(FunctionTransformer(np.linalg.norm), LogisticRegression())
    skops.io.dump(make_pipeline(FunctionTransformer(print)), tmp_path / "printing.skops")
    with pytest.raises(UnsafeModelError, match="print"):
        load_estimator(tmp_path / "printing.skops")
    pipeline.steps[0][1].func = lambda values: values
    with pytest.raises(InvalidInputError, match="lambda"):
        save_estimator(tmp_path / "code.skops", pipeline.fit(x, y))
    assert not (tmp_path / "code.skops").exists()


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04cut off"])
def test_other_files_are_refused_in_one_line(content, tmp_path):
    (tmp_path / "other.skops").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"skops\.io\.dump"):
        load_estimator(tmp_path / "other.skops")
    with pytest.raises(MissingFileError):
        load_estimator(tmp_path / "none.skops")
