import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance as reference
from sklearn.metrics import roc_auc_score

from keras_ganaccel.metrics.importance import permutation_importance


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(600, 4)), columns=list("abcd"))
    y = (frame["a"] + 0.5 * frame["b"] + random.normal(0, 0.3, 600) > 0).to_numpy().astype(int)
    return frame, y, HistGradientBoostingClassifier(max_iter=30).fit(frame, y)


def test_it_is_what_scikit_learn_measures(fitted):
    frame, y, model = fitted
    answers = {"one": model.predict_proba, "two": lambda rows: 1 - model.predict_proba(rows)}
    before = frame.copy()
    found = permutation_importance(answers, frame, y, repeats=20)
    expected = reference(model, frame, y, n_repeats=20, random_state=0)
    one = found["one"]
    assert one.baseline == model.score(frame, y)
    spread = 4 * np.hypot(one.std, expected.importances_std) / np.sqrt(20) + 1e-9
    assert (np.abs(one.mean - expected.importances_mean) <= spread).all()
    assert np.argsort(-one.mean)[:2].tolist() == [0, 1]
    # Both were asked about the same rows: whoever says the opposite gains what the other loses.
    np.testing.assert_allclose(found["two"].mean, -one.mean)
    pd.testing.assert_frame_equal(frame, before)


def test_a_columns_figures_do_not_depend_on_the_others_or_on_the_index(fitted):
    frame, y, _ = fitted
    read = {"a": lambda rows: np.eye(2)[(rows["a"] > 0).astype(int)]}
    alone = permutation_importance(read, frame[["a"]], y)["a"]
    among = permutation_importance(read, frame[["d", "a"]].set_index(y), y)["a"]
    assert among.columns == ("d", "a")
    assert among.mean.tolist() == [0.0, alone.mean[0]]
    assert among.as_dict()["columns"]["a"]["mean"] == alone.mean[0]


def test_another_score_may_be_asked_for(fitted):
    frame, y, model = fitted

    def area(labels, answers):
        return roc_auc_score(labels, answers[:, 1])

    found = permutation_importance({"m": model.predict_proba}, frame, y, score=area)["m"]
    assert found.baseline == roc_auc_score(y, model.predict_proba(frame)[:, 1])
